package import DWebBase

/// An entry point of the network; spec 20 section 5.2.
package struct RPCBootstrapNode: Hashable, Sendable {
    /// An address to try first, or the only one.
    package let address: SocketAddress?
    /// A name to look up if there is no address or it does not answer.
    package let host: String?
    /// The port for ``host``.
    package let port: UInt16

    /// An entry point with a fixed address, which is used without asking it first.
    package init(address: SocketAddress) {
        self.address = address
        host = nil
        port = address.port
    }

    /// An entry point by name, with `address` as a suggestion to try before looking up the name.
    package init(host: String, port: UInt16, suggestion address: SocketAddress? = nil) {
        self.address = address
        self.host = host
        self.port = port
    }

    /// Reads `ip:port`, `host:port` or `ip@host:port`; nil for anything else.
    package init?(text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        let host = text[..<colon]
        if let at = host.firstIndex(of: "@") {
            let name = String(host[host.index(after: at)...])
            guard let address = SocketAddress(host: String(host[..<at]), port: port), address.family == .ipv4,
                !name.isEmpty
            else { return nil }
            self.init(host: name, port: port, suggestion: address)
        } else if let address = SocketAddress(host: String(host), port: port) {
            guard address.family == .ipv4 else { return nil }
            self.init(address: address)
        } else {
            guard !host.isEmpty else { return nil }
            self.init(host: String(host), port: port)
        }
    }
}

/// How a node takes part in the network; spec 20 section 5.
package struct RPCConfiguration: Sendable {
    /// Whether a node becomes part of other nodes' tables.
    package enum Mode: Sendable {
        /// It begins ephemeral and becomes persistent once it proved to be stable and reachable.
        case adaptive
        /// It is persistent as soon as it knows its address.
        case persistent
        /// It never becomes persistent.
        case ephemeral
    }

    /// Entry points of the network.
    package var bootstrapNodes: [RPCBootstrapNode] = []
    /// Nodes known from an earlier run, most recently heard first; see ``RPCNode/knownNodes(limit:)``.
    package var knownNodes: [SocketAddress] = []
    /// Whether and when the node becomes persistent.
    package var mode = Mode.adaptive
    /// Whether the node must assume that it is not reachable until a test proved otherwise.
    package var isFirewalled = true
    /// Whether a firewalled node tests its reachability with the first answer already; spec 20 section 5.2.
    package var isQuickFirewallTestEnabled = true
    /// Requests of a query at a time.
    package var concurrency = RPCConstants.queryConcurrency
    /// Requests sent per slot of the congestion window; spec 20 section 3.
    package var congestionWindow = RPCConstants.congestionWindow
    /// Whether nodes are told that a node they named is down.
    package var sendsDownHints = true
    /// DOWN_HINT messages per tick; nil for any number.
    package var downHintLimit: Int? = RPCConstants.downHintsPerTick
    /// The node's public address, if it is known from the start.
    package var publicAddress: SocketAddress?
    /// Says which addresses may enter the table and be visited; nil for all.
    package var nodeFilter: (@Sendable (SocketAddress) -> Bool)?

    /// An adaptive node without entry points.
    package init() {}

    /// A node that others begin with: persistent, reachable at `address`, with no entry point of its own.
    package static func bootstrapper(address: SocketAddress) -> RPCConfiguration {
        var configuration = RPCConfiguration()
        configuration.mode = .persistent
        configuration.isFirewalled = false
        configuration.publicAddress = address
        return configuration
    }
}
