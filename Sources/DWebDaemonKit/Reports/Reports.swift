public import DWebBase

/// How a daemon is.
public enum DaemonHealth: Sendable, Hashable {
    /// Everything works.
    case healthy
    /// Something is wrong, and everything goes on.
    case degraded
    /// The disk refuses: nothing can be changed until it takes writes again.
    case readOnly
}

/// A daemon as a whole at one moment.
public struct DaemonStatus: Sendable, Hashable {
    /// How it is.
    public var health = DaemonHealth.healthy
    /// What is wrong, one sentence each.
    public var problems: [String] = []
    /// Its identity on the network.
    public var publicKey: PublicKey
    /// The local address of its socket; nil before the network is used.
    public var localAddress: SocketAddress?
    /// Its address as other nodes see it.
    public var publicAddress: SocketAddress?
    /// Whether answers arrive at all.
    public var isOnline = false
    /// Whether it found its place in the network.
    public var isBootstrapped = false
    /// Whether strangers are assumed not to reach it without a hole punched.
    public var isFirewalled = true
    /// Nodes in its routing table.
    public var routingTableCount = 0
    /// Open connections.
    public var connectedPeerCount = 0
    /// Attempts under way.
    public var connectingPeerCount = 0
    /// Seeds.
    public var seedCount = 0
    /// Seeds that are stored whole.
    public var completeSeedCount = 0
    /// Topics that are joined.
    public var topicCount = 0
    /// Bytes of all seeds that are stored.
    public var storedByteCount: UInt64 = 0
    /// Free bytes of the disk; nil if unknown.
    public var freeByteCount: UInt64?
    /// Bytes of blocks that came since the daemon was started.
    public var downloadedByteCount: UInt64 = 0
    /// Bytes of blocks that went since the daemon was started.
    public var uploadedByteCount: UInt64 = 0
    /// Bytes of blocks that came in a second, over the last seconds.
    public var downloadRate: UInt64 = 0
    /// Bytes of blocks that went in a second, over the last seconds.
    public var uploadRate: UInt64 = 0
    /// Logs in memory.
    public var openLogCount = 0
    /// The limits.
    public var limits = SeedLimits()

    init(publicKey: PublicKey) { self.publicKey = publicKey }
}

/// What is done for a log on the network, and how far it is.
public struct TopicStatus: Sendable, Hashable {
    /// The log.
    public let discoveryKey: DiscoveryKey
    /// What is done.
    public let setting: TopicSetting
    /// Whether the announcement and the first lookup are done.
    public let isJoined: Bool
    /// Whether every peer that was found has been tried.
    public let isFlushed: Bool
    /// The seed that needs it, if one does.
    public let seed: PublicKey?
}

/// A peer that exchanges a seed, and what it says that it holds.
public struct SeedHolder: Sendable, Hashable {
    /// The peer.
    public let publicKey: PublicKey
    /// Leading blocks of all logs that it stores.
    public let storedBlockCount: UInt64
    /// Whether it holds as much as is known to exist.
    public let isComplete: Bool
}

/// A seed, and how far it is.
public struct SeedStatus: Sendable, Hashable {
    /// The key.
    public let key: PublicKey
    /// The public name.
    public let discoveryKey: DiscoveryKey
    /// What it is; `automatic` while that is not known.
    public let kind: SeedKind
    /// More is kept longer.
    public let priority: UInt8
    /// Free text.
    public let note: String
    /// How far it is.
    public let state: SeedState
    /// Why it failed.
    public let problem: String?
    /// When it was added, in milliseconds since 1970.
    public let addedMilliseconds: UInt64
    /// When a peer last took something, or when it was added.
    public let lastActiveMilliseconds: UInt64
    /// Whether it was asked for by key.
    public let isDirect: Bool
    /// The lists that name it.
    public let lists: [PublicKey]
    /// Blocks of all its logs.
    public let blockCount: UInt64
    /// Leading blocks that are stored.
    public let storedBlockCount: UInt64
    /// Bytes of all its logs.
    public let byteCount: UInt64
    /// Bytes that are stored.
    public let storedByteCount: UInt64
    /// Bytes that came since it was opened.
    public let downloadedByteCount: UInt64
    /// Bytes that went since it was opened.
    public let uploadedByteCount: UInt64
    /// Who exchanges it at the moment; at most 64.
    public let holders: [SeedHolder]
}

/// A peer that the daemon knows.
public struct DaemonPeer: Sendable, Hashable {
    /// The peer.
    public let publicKey: PublicKey
    /// Where its packets come from; nil if it is not connected.
    public let address: SocketAddress?
    /// Whether the daemon opened the connection.
    public let isInitiator: Bool
    /// One sentence: how it is connected, or why it is not.
    public let state: String
    /// What the last failed attempt ran into.
    public let lastFailure: String?
    /// The topics under which it was found.
    public let topics: [DiscoveryKey]
    /// The time to the peer and back.
    public var roundTripTime: Duration?
    /// Bytes of blocks of seeds that came from it.
    public var downloadedByteCount: UInt64 = 0
    /// Bytes of blocks of seeds that went to it.
    public var uploadedByteCount: UInt64 = 0

    /// Whether it is connected.
    public var isConnected: Bool { address != nil }

    /// Over what the packets travel: `loopback`, `local network` or `internet`; empty if it is not connected.
    public var path: String {
        guard let address else { return "" }
        guard address.family == .ipv4 else { return "internet" }
        let number = address.ipv4Number
        if number >> 24 == 127 { return "loopback" }
        // RFC 1918, RFC 3927 and RFC 6598.
        let isLocal =
            number >> 24 == 10 || number >> 20 == 0xac1 || number >> 16 == 0xc0a8 || number >> 16 == 0xa9fe
            || number >> 22 == 0x191
        return isLocal ? "local network" : "internet"
    }
}
