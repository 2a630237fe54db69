public import DWebBase
public import DWebDHTCore

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
    /// How the network in front of it treats its packets, as far as answers to ordinary requests show.
    public var nat = NATType.unknown
    /// What ``nat`` follows from: its address as other nodes saw it, one sample per node, the last 16.
    public var natSamples: [NATSample] = []
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
    /// Requests answered since the start.
    public var responseCount = 0
    /// Requests given up since the start.
    public var timeoutCount = 0
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
    public var peers: [SwarmPeerDiagnostics]
    /// Open connections.
    public var connectionCount: Int
    /// Attempts under way.
    public var connectingCount: Int
    /// Running totals.
    public var statistics: SwarmStatistics
    /// Peers of the topics that were found in the local network; nil if nobody looks there.
    public var localPeerCount: Int?
    /// The limits in force.
    public var limits: SwarmLimitsInForce
}

/// One peer of a swarm: why it is not connected, or how it is.
@dynamicMemberLookup
public struct SwarmPeerDiagnostics: Sendable, Equatable {
    /// What the swarm's policy knows: key, status, attempts, last failure, topics.
    public var peer: PeerDiagnostics
    /// The connection as it is at the moment; nil if there is none.
    public var connection: PeerConnectionReport?

    /// The parts of ``peer``, as if they were this value's own.
    public subscript<Value>(dynamicMember path: KeyPath<PeerDiagnostics, Value>) -> Value { peer[keyPath: path] }
}

/// The limits of a swarm, as it was configured.
public struct SwarmLimitsInForce: Sendable, Equatable {
    /// Connections beyond which no further peer is dialled.
    public var peerLimit: Int
    /// Outgoing attempts at a time.
    public var parallelLimit: Int
    /// Outgoing connections at a time; nil for any number.
    public var clientLimit: Int?
    /// Incoming connections at a time.
    public var serverLimit: Int
    /// Incoming connections from one IP address at a time.
    public var serverLimitPerAddress: Int

    init(_ configuration: SwarmConfiguration) {
        peerLimit = configuration.peerLimit
        parallelLimit = configuration.parallelLimit
        clientLimit = configuration.clientLimit
        serverLimit = configuration.serverLimit
        serverLimitPerAddress = configuration.serverLimitPerAddress
    }
}
