import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import DWebSwarm
import Testing

/// Peers of one local network, without any DHT node.
@Suite struct LocalNetworkTests {
    let topic = Topic(hashing: "a topic")

    private final class Home: Sendable {
        let world: SimulatedWorld
        let segment: SimulatedSegment

        init(seed: UInt64) {
            world = SimulatedWorld(seed: seed)
            segment = SimulatedSegment(network: world.network)
        }

        func swarm(_ number: UInt8, _ change: (inout SwarmConfiguration) -> Void = { _ in }) -> DSwarm {
            var configuration = SwarmConfiguration()
            configuration.dht = DHTConfiguration(bootstrap: [SocketAddress(ipv4: 203, 0, 113, 1, port: 49_737)])
            change(&configuration)
            let address = SocketAddress(ipv4: 192, 168, 1, number, port: 0)
            return DSwarm(
                identity: KeyPair(seed: Bytes32(repeating: number)),
                runtime: world.runtime(address: address, in: segment), configuration: configuration)
        }
    }

    @Test func peersConnectWithinSeconds() throws {
        let home = Home(seed: 61)
        try home.world.run {
            let (a, b) = (home.swarm(1), home.swarm(2))
            try await withSwarms([a, b]) {
                let begin = home.world.loop.now
                try await a.join(topic, as: .announce)
                try await b.join(topic, as: .lookup)
                let connection = try await b.connections.first()
                #expect(connection.remotePublicKey == a.identity.publicKey)
                #expect(await connection.path == .localNetwork)
                #expect(connection.topics == [topic])
                #expect(await connection.remoteAddress?.host == "192.168.1.1")
                #expect(home.world.loop.now - begin < .seconds(1))
                _ = try await a.connections.first()
            }
        }
    }

    @Test func whoLooksFirstFindsWhoComesLater() throws {
        let home = Home(seed: 62)
        try home.world.run {
            let (a, b) = (home.swarm(1), home.swarm(2))
            try await withSwarms([a, b]) {
                try await b.join(topic, as: .lookup)
                await home.world.loop.sleep(for: .seconds(300))
                let begin = home.world.loop.now
                try await a.join(topic, as: .announce)
                _ = try await b.connections.first()
                #expect(home.world.loop.now - begin < .seconds(1))
            }
        }
    }

    @Test func whoOptsOutIsNotFound() throws {
        let home = Home(seed: 63)
        try home.world.run {
            let a = home.swarm(1) { $0.isLocalDiscoveryEnabled = false }
            let b = home.swarm(2)
            try await withCollectors([a, b]) { collectors in
                try await a.join(topic, as: .both)
                try await b.join(topic, as: .both)
                await home.world.loop.sleep(for: .seconds(60))
                #expect(await collectors[0].all.isEmpty)
                #expect(await collectors[1].all.isEmpty)
                #expect(await a.diagnostics.localPeerCount == nil)
                #expect(await b.diagnostics.localPeerCount == 0)
            }
        }
    }

    @Test func otherTopicsDoNotConnect() throws {
        let home = Home(seed: 64)
        try home.world.run {
            let (a, b) = (home.swarm(1), home.swarm(2))
            try await withCollectors([a, b]) { collectors in
                try await a.join(topic)
                try await b.join(Topic(hashing: "another"))
                await home.world.loop.sleep(for: .seconds(60))
                #expect(await collectors[0].all.isEmpty)
            }
        }
    }

    @Test func aPeerThatMovedIsFoundAtItsNewAddress() throws {
        let home = Home(seed: 65)
        try home.world.run {
            let b = home.swarm(2)
            try await withCollectors([b]) { collectors in
                try await b.join(topic, as: .lookup)
                for number: UInt8 in [1, 3] {
                    let a = home.swarm(number)
                    try await withCollectors([a]) { _ in
                        try await a.join(topic, as: .announce)
                        await home.world.loop.sleep(for: .seconds(10))
                        #expect(await collectors[0].open().count == 1)
                    }
                    await home.world.loop.sleep(for: .seconds(10))
                    #expect(await collectors[0].open().isEmpty)
                }
                #expect(await collectors[0].all.count == 2)
            }
        }
    }

    @Test func suspendedPeersFallSilent() throws {
        let home = Home(seed: 66)
        try home.world.run {
            let (a, b) = (home.swarm(1), home.swarm(2))
            try await withCollectors([a, b]) { collectors in
                try await a.join(topic, as: .announce)
                await a.suspend()
                try await b.join(topic, as: .lookup)
                await home.world.loop.sleep(for: .seconds(30))
                #expect(await collectors[1].all.isEmpty)
                try await a.resume()
                await home.world.loop.sleep(for: .seconds(5))
                #expect(await collectors[1].open().count == 1)
            }
        }
    }

    @Test func theReportCountsThem() throws {
        let home = Home(seed: 67)
        try home.world.run {
            let (a, b) = (home.swarm(1), home.swarm(2))
            try await withCollectors([a, b]) { _ in
                try await a.join(topic, as: .announce)
                try await b.join(topic, as: .lookup)
                await home.world.loop.sleep(for: .seconds(5))
                let report = try await b.diagnose()
                #expect(report.localPeerCount == 1)
                #expect(report.canConnect)
                #expect(!report.isNetworkJoined)
                let sentence = report.findings.first { $0.code == "local-network" }?.sentence
                #expect(
                    sentence
                        == "No node of the network is reachable, but one peer is in the local network: it can be "
                        + "connected without.")
            }
        }
    }

    @Test func theReportCountsPeersOfOtherTopicsToo() throws {
        let home = Home(seed: 68)
        try home.world.run {
            let (a, b, c) = (home.swarm(1), home.swarm(2), home.swarm(3))
            try await withCollectors([a, b, c]) { _ in
                try await a.join(topic, as: .announce)
                try await c.join(Topic(hashing: "another"), as: .announce)
                await home.world.loop.sleep(for: .seconds(5))
                #expect(try await b.diagnose().localPeerCount == 2)
            }
        }
    }

    @Test func theReportSaysThatAPeerIsNextDoor() throws {
        let home = Home(seed: 69)
        try home.world.run {
            // As a program that examines and dials nobody by itself.
            let (a, b) = (home.swarm(1), home.swarm(2) { $0.peerLimit = 0 })
            try await withCollectors([a, b]) { _ in
                try await a.join(topic, as: .announce)
                try await b.join(topic, as: .lookup)
                await home.world.loop.sleep(for: .seconds(5))
                #expect(await b.localPeers(of: topic) == [a.identity.publicKey])
                let report = try await b.diagnose(peers: [a.identity.publicKey])
                #expect(report.peers.first?.isNearby == true)
                #expect(report.peers.first?.connection?.path == .localNetwork)
                #expect(report.peers.first?.connection?.address?.host == "192.168.1.1")
                #expect(report.canConnect)
            }
        }
    }
}
