package import DWebBase

/// How a node of the peer DHT takes part.
package struct HyperConfiguration: Sendable {
    /// How the node below takes part; its filter is replaced by ``isUsable(_:)`` if it has none.
    package var rpc: RPCConfiguration
    /// The Noise handshake.
    package var ciphers: HandshakeCiphers
    /// The wall clock at `MonotonicTime.zero`, in milliseconds since 1970: bumps are compared with it.
    package var unixMillisecondsAtOrigin: Int64 = 0
    /// Whether the driver polls ``HyperDHTNode/pollRelayOutput()`` and can connect to blind relays. Otherwise none is
    /// offered, and offers of peers are ignored.
    package var usesBlindRelays = false

    /// Takes part as `rpc` says, with handshakes by `ciphers`.
    package init(rpc: RPCConfiguration, ciphers: HandshakeCiphers) {
        self.rpc = rpc
        self.ciphers = ciphers
    }

    /// The port that nodes of the public network prefer; they try four more; spec 20 section 3.
    package static let defaultPort: UInt16 = 49737

    /// The entry points of the public network; spec 20 section 5.2.
    package static let publicBootstrapNodes: [RPCBootstrapNode] = [
        "88.99.3.86@node1.hyperdht.org:49737", "142.93.90.113@node2.hyperdht.org:49737",
        "138.68.147.8@node3.hyperdht.org:49737",
    ].compactMap { RPCBootstrapNode(text: $0) }

    /// Whether a node may enter the table: some addresses of the public network are known to misbehave; spec 20
    /// section 4.
    package static func isUsable(_ address: SocketAddress) -> Bool {
        !misbehaving.contains(address) && !misbehavingHost.hasSameHost(as: address)
    }

    private static let misbehaving: Set<SocketAddress> = [
        SocketAddress(ipv4: 134, 209, 28, 98, port: 49738), SocketAddress(ipv4: 167, 99, 142, 185, port: 49738),
        SocketAddress(ipv4: 35, 233, 47, 252, port: 9400),
    ]
    private static let misbehavingHost = SocketAddress(ipv4: 150, 136, 142, 116, port: 0)
}
