public import DWebBase
import DWebCrypto

/// How a session encrypts the blocks it appends and decrypts those it reads; spec 40 section 11.
///
/// Blocks are encrypted before they become part of the log, so that peers replicate, verify and pass on a log whose
/// encryption key they do not have. A stored block is eight bytes longer than what was appended.
///
/// Nothing but the log itself authenticates an encrypted block, and its length is visible.
public struct BlockEncryption: Sendable, Hashable {
    private let bytes: Bytes32
    private let isBlockKey: Bool

    /// The bytes that a stored block has in front of its content.
    package static let paddingByteCount = UInt64(BlockCipher.paddingByteCount)

    /// Encrypts with keys that follow from `key` and the log's own key, so that one secret may serve for many logs.
    public static func key(_ key: Bytes32) -> BlockEncryption { BlockEncryption(bytes: key, isBlockKey: false) }

    /// Encrypts with `key` itself, which then must not serve for any other log.
    public static func blockKey(_ key: Bytes32) -> BlockEncryption { BlockEncryption(bytes: key, isBlockKey: true) }

    /// The cipher for a log; nil while it is not known whether the log's key is its signer's, which decides about it.
    func cipher(for key: PublicKey, isCompatible: Bool?) -> BlockCipher? {
        if isBlockKey { return BlockCipher(mode: .blockKey, coreKey: key, encryptionKey: bytes) }
        guard let isCompatible else { return nil }
        return BlockCipher(mode: isCompatible ? .compat : .normal, coreKey: key, encryptionKey: bytes)
    }
}

extension DDatabase {
    /// Whether this session encrypts what it appends and decrypts what it reads.
    public nonisolated var isEncrypted: Bool { encryption != nil }

    /// Another session over the same log that encrypts and decrypts.
    public func session(encryption: BlockEncryption) throws(DDatabaseError) -> DDatabase {
        try checkOpen()
        return DDatabase(engine: engine, frozen: frozen, encryption: encryption, view: view)
    }

    /// The session's cipher; nil for a session without encryption.
    func cipher() throws(DDatabaseError) -> BlockCipher? {
        guard let encryption else { return nil }
        if let cachedCipher { return cachedCipher }
        cachedCipher = encryption.cipher(for: key, isCompatible: engine.published.isCompatible)
        guard let cachedCipher else {
            throw DDatabaseError(.undecipherable, "How the log \(key) is signed, and so encrypted, is not known yet")
        }
        return cachedCipher
    }

    /// The content of a stored block.
    func decrypted(_ block: [UInt8], at index: UInt64) throws(DDatabaseError) -> [UInt8] {
        guard let cipher = try cipher() else { return block }
        guard let plaintext = cipher.open(block, index: index) else {
            throw DDatabaseError(.undecipherable, "Block \(index) is too short to be an encrypted one")
        }
        return plaintext
    }

    /// The contents of stored blocks in a row.
    func decrypted(_ blocks: [[UInt8]], from start: UInt64) throws(DDatabaseError) -> [[UInt8]] {
        guard encryption != nil else { return blocks }
        var contents: [[UInt8]] = []
        contents.reserveCapacity(blocks.count)
        for (offset, block) in blocks.enumerated() {
            contents.append(try decrypted(block, at: start + UInt64(offset)))
        }
        return contents
    }
}
