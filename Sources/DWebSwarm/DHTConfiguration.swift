public import DWebBase
public import DWebPorts

/// How a node takes part in the DHT.
public struct DHTConfiguration: Sendable {
    /// A node's standing in the network; spec 20 section 5.4.
    public enum Mode: Sendable {
        /// It begins as a guest and joins other nodes' tables once it proved stable and reachable.
        case adaptive
        /// It joins other nodes' tables as soon as it knows its address.
        case persistent
        /// It stays a guest.
        case ephemeral
    }

    /// The entry points of the living network's public DHT; spec 20 section 5.2.
    public static let publicBootstrap = [
        "88.99.3.86@node1.hyperdht.org:49737", "142.93.90.113@node2.hyperdht.org:49737",
        "138.68.147.8@node3.hyperdht.org:49737",
    ]

    /// Entry points as `host:port`, `ip:port` or `ip@host:port`. Empty for a node that others begin with.
    public var bootstrap: [String] = DHTConfiguration.publicBootstrap
    /// Nodes known from an earlier run, most recently heard first; see ``DHTNode/knownNodes(limit:)``.
    public var knownNodes: [SocketAddress] = []
    /// Where nodes are kept from one run to the next, so that a restart needs no entry point; nil keeps none.
    ///
    /// Read at the start, written after it, every five minutes and at the end. Nodes of a network with other entry
    /// points are not used.
    public var knownNodesFile: (any SmallFile)?
    /// The local host that sockets are bound to; anything but 0.0.0.0 is also the only address told to peers nearby.
    public var host = "0.0.0.0"
    /// The preferred port; four more above it are tried. 0 lets the system choose.
    public var port: UInt16 = 49_737
    /// Whether any free port will do when the preferred ones are taken.
    public var isAnyPortAllowed = true
    /// The node's standing.
    public var mode = Mode.adaptive
    /// Whether the node assumes that strangers cannot reach it until a test proves otherwise.
    public var isFirewalled = true
    /// Whether a firewalled node tests with its first answers whether it can be reached; otherwise it does so after 20
    /// minutes, and punches holes until then.
    public var isReachabilityTestedAtStart = true
    /// The node's public address, where it is known from the start, as for an entry point of a network.
    public var publicAddress: SocketAddress?
    /// Whether peers in the same network may connect by local addresses.
    public var isLocalConnectionAllowed = true
    /// Whether the first round of hole punching already opens this side's firewall.
    public var isFastOpenEnabled = true
    /// Whether a peer that was connected a moment ago, and allows it too, is first tried by the same sockets: no search
    /// and no hole punching then; spec 20 section 14.
    public var isSocketReusable = true
    /// Blind relays to connect through where no direct path can be made: keys of peers that run one; spec 20 section 13.
    public var relays: [PublicKey] = []
    /// When ``relays`` are used.
    public var relayUse = RelayUse.whenNeeded
    /// Whether relays that peers offer are used.
    public var followsRelayOffers = true

    /// When a node offers its blind relays.
    public enum RelayUse: Sendable {
        /// For peers that cannot be reached otherwise, or while this node's network makes that unlikely.
        case whenNeeded
        /// Always and at once: the connection starts through the relay and moves to a direct path when there is one.
        case first
    }

    /// A guest of the public DHT.
    public init() {}

    /// A node that begins with `bootstrap`, bound to `host`.
    public init(bootstrap: [SocketAddress], host: String = "0.0.0.0", port: UInt16 = 49_737) {
        self.bootstrap = bootstrap.map(\.description)
        self.host = host
        self.port = port
    }

    /// An entry point with which other nodes begin: persistent, reachable at `address`, with no entry point of its own.
    public static func entryPoint(at address: SocketAddress) -> DHTConfiguration {
        var configuration = DHTConfiguration(bootstrap: [], host: address.host, port: address.port)
        configuration.isAnyPortAllowed = false
        configuration.mode = .persistent
        configuration.isFirewalled = false
        configuration.publicAddress = address
        return configuration
    }

    /// A node for tests and demonstrations: everything stays on this machine.
    public static func loopback(bootstrap: [SocketAddress], port: UInt16 = 0) -> DHTConfiguration {
        DHTConfiguration(bootstrap: bootstrap, host: "127.0.0.1", port: port)
    }
}
