public import DWebBase
public import DWebDHTCore
public import DWebPorts

/// What ``DSwarm/diagnose(peers:relays:)`` found out about this node's network and the ways to its peers.
///
/// The parts are facts; ``findings`` puts them into sentences, and ``canConnect`` is the answer in one word.
public struct ConnectivityReport: Sendable, Equatable {
    /// The addresses of this machine's interfaces that are up.
    public var interfaces: [InterfaceAddress] = []
    /// The DHT node at the end of the examination.
    public var node = DHTDiagnostics()
    /// The port that was asked for, where another program has it; nil if there was no such trouble.
    public var takenPort: UInt16?
    /// The entry points that the node was given, in order.
    public var entryPoints: [EntryPointReport] = []
    /// Nodes beside the entry points that were asked for a sign of life.
    public var askedNodes: [SocketAddress] = []
    /// Everybody's answers, entry points included, in the order of ``entryPoints`` and ``askedNodes``.
    public var answers: [PingReply] = []
    /// How the network in front of this node treats its packets.
    public var nat = NATType.unknown
    /// What ``nat`` follows from: this node's address as each answer gave it.
    public var samples: [NATSample] = []
    /// Peers in the local network that were found without any DHT node; nil if that is switched off.
    public var localPeerCount: Int?
    /// The relays that were asked about, in the order given.
    public var relays: [PeerReport] = []
    /// The peers that were asked about, in the order given.
    public var peers: [PeerReport] = []

    /// A report without any fact.
    public init() {}

    /// Whether any UDP packet came back.
    public var isUDPWorking: Bool { !answers.isEmpty || node.nodeCount > 0 }

    /// Whether the node takes part in the network: it knows members of it, or found all there is and somebody answers.
    public var isNetworkJoined: Bool { node.nodeCount > 0 || (node.isBootstrapped && !answers.isEmpty) }

    /// Whether connecting is possible: to one of ``peers`` if there are any, otherwise in general.
    public var canConnect: Bool {
        if !peers.isEmpty { return peers.contains { $0.connection != nil } }
        return isNetworkJoined || (localPeerCount ?? 0) > 0
    }
}

/// One entry point of the network, and whether it is there.
public struct EntryPointReport: Sendable, Equatable {
    /// Why there is no answer.
    public enum Failure: String, Sendable, Equatable {
        /// The text is no address.
        case malformed
        /// The name has no address; with an address given as well, that did not answer either.
        case nameUnknown
        /// Nothing came back.
        case noAnswer
    }

    /// The entry point as it was given.
    public var text: String
    /// Where it was asked; nil if that is unknown.
    public var address: SocketAddress?
    /// Its answer.
    public var answer: PingReply?
    /// Why there is none.
    public var failure: Failure?

    /// An entry point that was not asked yet.
    public init(text: String) { self.text = text }
}

/// What came of the attempt to connect to one peer.
public struct PeerReport: Sendable, Equatable {
    /// The peer.
    public var publicKey: PublicKey
    /// Nodes that hold the peer's record and lead to it.
    public var knownBy: [SocketAddress] = []
    /// Whether it was found in the local network.
    public var isNearby = false
    /// The connection that came about, which was closed again, or which a swarm holds already.
    public var connection: PeerConnectionReport?
    /// Why there is no connection.
    public var failure: ConnectError?
    /// Whether the peer answers strangers but not this node's key: its firewall refuses that.
    public var isRefused = false
    /// Why the swarm holds no connection with the peer; nil if it does, or if no swarm was asked.
    public var status: PeerStatus?

    /// A peer about which nothing is known yet.
    public init(publicKey: PublicKey) { self.publicKey = publicKey }
}

/// A connection with a peer: its path and how good it is.
public struct PeerConnectionReport: Sendable, Equatable {
    /// The way its packets take.
    public var path: ConnectionPath
    /// Where they are sent to; a relay's address if they go through one.
    public var address: SocketAddress?
    /// From the first packet to the first acknowledged byte; nil for a connection that was there before.
    public var connectTime: Duration?
    /// The time to the peer and back; nil before the first measurement.
    public var roundTripTime: Duration?

    /// Describes a connection.
    public init(path: ConnectionPath, address: SocketAddress?) {
        self.path = path
        self.address = address
    }
}
