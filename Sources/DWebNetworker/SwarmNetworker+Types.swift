public import DWebBase
public import DWebCrypto
public import DWebPorts
import DWebSwarm

extension SwarmNetworker {
    /// How a networker reaches the network.
    public struct Configuration: Sendable {
        /// The one identity of all connections. Nil derives it from the store, so that it survives a restart.
        public var keyPair: KeyPair?
        /// Where DHT nodes are kept from one run to the next, so that a restart needs no bootstrap node; nil keeps none.
        public var knownNodesFile: (any SmallFile)?
        /// Blind relays for peers that cannot be reached directly; see ``DHTConfiguration/relays``.
        public var relays: [PublicKey] = []
        /// Whether peers in the local network are found without the DHT; see
        /// ``SwarmConfiguration/isLocalDiscoveryEnabled``.
        public var isLocalDiscoveryEnabled = true
        /// DHT nodes to start from. Nil takes the public network's.
        public var bootstrap: [SocketAddress]?
        /// The most peers to stay connected with.
        public var maxPeers = 64
        /// The UDP port to prefer. Nil takes 49737 or the next free one; 0 lets the system choose.
        public var port: UInt16?
        /// Whether another port will do when the preferred one is taken. If not, joining fails with code `bindFailed`.
        public var isAnyPortAllowed = true
        /// The local host to bind; nil is all interfaces.
        public var host: String?
        /// Whether the node stays a guest of the DHT; nil lets it become a member once it proved stable and reachable.
        public var isEphemeral: Bool?
        /// DHT nodes known from an earlier run; see ``SwarmNetworker/knownNodes(limit:)``.
        public var knownNodes: [SocketAddress] = []
        /// Decides by its public key whether a peer may connect, in either direction. Nil admits everyone.
        public var admits: (@Sendable (PublicKey) async -> Bool)?

        /// The public network, an identity from the store, everyone admitted.
        public init() {}
    }

    /// What is done for a log, and how far it is.
    public struct Status: Sendable, Hashable {
        /// Whether this node announces the log.
        public internal(set) var isAnnounced: Bool
        /// Whether this node looks for peers of the log.
        public internal(set) var isLookedUp: Bool
        /// Whether the announcement and the first lookup are done.
        public internal(set) var isJoined = false
        /// Whether every peer that was found has been tried, and those connections have made their handshakes.
        public internal(set) var isFlushed = false
    }

    /// A peer that the store replicates with.
    public struct Peer: Sendable, Hashable {
        /// The peer's proven public key.
        public let publicKey: PublicKey
        /// The address its packets come from.
        public let address: SocketAddress
    }

    /// A connection that the store replicates over. There is at most one per peer.
    public struct Stream: Sendable, Hashable {
        /// The peer at the other end.
        public let peer: Peer
        /// Whether this side opened it.
        public let isInitiator: Bool
    }

    /// What happened.
    public enum Event: Sendable, Equatable {
        /// The log's announcement and first lookup are done.
        case joined(DiscoveryKey)
        /// Every peer found for the log was tried.
        case flushed(DiscoveryKey)
        /// A peer connected.
        case peerAdded(Peer)
        /// A peer's last connection ended.
        case peerRemoved(Peer)
        /// A connection finished its handshake.
        case handshake(PublicKey)
        /// A connection ended; `reason` is nil where it ended in order.
        case streamClosed(PublicKey, reason: String?)
        /// A peer was dropped because of what it sent.
        case replicationError(PublicKey, reason: String)
    }

    /// Events from the moment of the call on, as a bounded sequence: a consumer that is too slow misses the oldest.
    public struct Events: AsyncSequence, Sendable {
        let stream: AsyncStream<Event>

        /// Takes the events.
        public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator()) }

        /// Takes one event after the other.
        public struct Iterator: AsyncIteratorProtocol {
            var base: AsyncStream<Event>.Iterator

            /// The next event; nil once the networker is closed, or when the calling task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Event? {
                await base.next(isolation: actor)
            }
        }
    }
}
