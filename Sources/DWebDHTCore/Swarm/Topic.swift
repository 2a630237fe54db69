public import DWebBase
import DWebCrypto

/// What peers meet under: 32 bytes, usually the discovery key of a log; spec 30 section G.5.
public struct Topic: KeyType {
    /// The 32 bytes.
    public let bytes32: Bytes32
    /// Wraps 32 bytes.
    public init(_ bytes32: Bytes32) { self.bytes32 = bytes32 }

    /// The topic under which the holders of a log meet.
    public init(_ discoveryKey: DiscoveryKey) { bytes32 = discoveryKey.bytes32 }

    /// The hash of `name`, for programs that meet under a word.
    public init(hashing name: String) { bytes32 = Blake2b.hash32(Array(name.utf8)) }
}

/// What a swarm does for a topic; spec 30 section G.5.
public struct SwarmRoles: OptionSet, Hashable, Sendable {
    /// The roles as bits.
    public let rawValue: UInt8
    /// Takes the roles as bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Be found: announce this node under the topic and accept connections.
    public static let announce = SwarmRoles(rawValue: 1)
    /// Find others: look the topic up and connect to them.
    public static let lookup = SwarmRoles(rawValue: 2)
    /// Be found and find others.
    public static let both: SwarmRoles = [.announce, .lookup]
}
