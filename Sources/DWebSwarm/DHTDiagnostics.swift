public import DWebBase

/// What a DHT node knows about itself.
public struct DHTDiagnostics: Sendable, Equatable {
    /// Its id in other nodes' tables; nil while it is a guest.
    public var nodeID: Bytes32?
    /// Where its server socket is bound; nil while no socket is.
    public var serverAddress: SocketAddress?
    /// Where its client socket is bound; nil while no socket is.
    public var clientAddress: SocketAddress?
    /// Its public address as other nodes see it: nil if unknown, port 0 if ports vary per destination.
    public var publicAddress: SocketAddress?
    /// The address at which strangers reach it directly, or nil.
    public var openAddress: SocketAddress?
    /// Whether it is a guest.
    public var isEphemeral = true
    /// Whether it assumes that strangers cannot reach it.
    public var isFirewalled = true
    /// Whether it found its place in the network.
    public var isBootstrapped = false
    /// Whether answers arrive at all.
    public var isOnline = true
    /// Whether most requests go unanswered.
    public var isDegraded = false
    /// Whether it is suspended.
    public var isSuspended = false
    /// Nodes in the routing table.
    public var nodeCount = 0
    /// Open streams.
    public var streamCount = 0
    /// Bound sockets.
    public var socketCount = 0
}

/// One topic of a swarm.
public struct TopicDiagnostics: Sendable, Equatable {
    /// The topic.
    public var topic: Topic
    /// What is done for it.
    public var roles: SwarmRoles
    /// Whether a query runs.
    public var isRefreshing: Bool
    /// When the next query is due; nil while one runs.
    public var nextRefresh: MonotonicTime?
}

/// What a swarm knows about itself and its peers.
public struct SwarmDiagnostics: Sendable, Equatable {
    /// The DHT node.
    public var node: DHTDiagnostics
    /// Whether the swarm accepts connections.
    public var isListening: Bool
    /// The topics, in the order they were joined.
    public var topics: [TopicDiagnostics]
    /// Every known peer, by key; each that is not connected says why.
    public var peers: [PeerDiagnostics]
    /// Open connections.
    public var connectionCount: Int
    /// Attempts under way.
    public var connectingCount: Int
    /// Running totals.
    public var statistics: SwarmStatistics
}
