/// A typed 32-byte value, so that a log's key and its discovery key cannot be confused.
public protocol KeyType: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The 32 bytes.
    var bytes32: Bytes32 { get }
    /// Wraps 32 bytes.
    init(_ bytes32: Bytes32)
}

extension KeyType {
    /// Takes exactly 32 bytes; nil for any other count.
    public init?(_ bytes: some Collection<UInt8>) {
        guard let bytes32 = Bytes32(bytes) else { return nil }
        self.init(bytes32)
    }

    /// Reads z-base-32 (52 characters), hexadecimal (64 characters), or either behind `pear://`; spec 00 section 5.
    ///
    /// - Throws: ``KeyTextError`` that says what is wrong with the text.
    public init(text: some StringProtocol) throws(KeyTextError) {
        self.init(try KeyText.decode(text))
    }

    /// The key in z-base-32, as the living network's tools print it.
    public var text: String { ZBase32.encode(bytes32.bytes) }

    /// The key in lower-case hexadecimal, for log lines and file names.
    public var hex: String { Hex.encode(bytes32.bytes) }

    /// The 32 bytes as an array.
    public var bytes: [UInt8] { bytes32.bytes }

    /// The same as ``text``.
    public var description: String { text }

    /// Compares as unsigned byte strings.
    public static func < (left: Self, right: Self) -> Bool { left.bytes32 < right.bytes32 }
}

/// An Ed25519 public key: of a log (where it is the hash of its manifest) or of a peer.
public struct PublicKey: KeyType {
    /// The 32 bytes.
    public let bytes32: Bytes32
    /// Wraps 32 bytes.
    public init(_ bytes32: Bytes32) { self.bytes32 = bytes32 }
}

/// The public name of a log: safe to announce, since it does not reveal the log's key. It is also the DHT topic.
public struct DiscoveryKey: KeyType {
    /// The 32 bytes.
    public let bytes32: Bytes32
    /// Wraps 32 bytes.
    public init(_ bytes32: Bytes32) { self.bytes32 = bytes32 }
}
