public import DWebBase

extension DSwarm {
    /// Examines this node's network and the ways to some peers; see ``DHTNode/diagnose(peers:relays:as:)``.
    ///
    /// A peer that the swarm is connected with is not dialled: the report shows that connection. What is known without
    /// asking anybody is in ``diagnostics``.
    ///
    /// - Parameters:
    ///   - peers: Peers to connect to, at most 32.
    ///   - relays: Relays whose availability is of interest, at most 32.
    /// - Throws: ``DSwarmError`` with code `bindFailed`, `closed`, `suspended` or `cancelled`.
    public func diagnose(
        peers keys: [PublicKey] = [], relays: [PublicKey] = []
    ) async throws(DSwarmError) -> ConnectivityReport {
        let unconnected = keys.filter { connection(with: $0) == nil }
        async let localPeerCount = countLocalPeers()
        let nearby = localAddresses
        var report = try await dht.diagnose(peers: unconnected, relays: relays, as: identity, nearby: nearby)
        report.localPeerCount = await localPeerCount
        var examined = report.peers[...]
        report.peers = keys.compactMap { key in
            if examined.first?.publicKey == key {
                var peer = examined.removeFirst()
                peer.status = status(of: key)
                return peer
            }
            guard let connection = connection(with: key) else { return nil }
            var peer = PeerReport(publicKey: key)
            peer.connection = connection
            peer.status = status(of: key)
            return peer
        }
        return report
    }

    /// Where the peers are that were found in the local network.
    private var localAddresses: [PublicKey: SocketAddress] {
        let found = policy.topicStates.flatMap { localNetwork?.discovery.peers(of: $0.topic) ?? [] }
        return Dictionary(found.map { ($0.key, $0.address) }, uniquingKeysWith: { first, _ in first })
    }

    /// The connection with a peer, as it is at the moment; nil if there is none.
    func connection(with key: PublicKey) -> PeerConnectionReport? {
        guard let id = policy.connection(with: key), case .connected(let link) = entries[id], !link.isClosed else {
            return nil
        }
        var report = PeerConnectionReport(path: ConnectionPath(link.kind), address: link.stream.remoteAddress)
        report.roundTripTime = link.stream.statistics.roundTripTime
        return report
    }
}
