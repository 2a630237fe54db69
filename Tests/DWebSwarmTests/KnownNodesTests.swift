import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import DWebSwarm
import Testing

/// Restarts without an entry point.
@Suite struct KnownNodesTests {
    let topic = Topic(hashing: "a topic")

    private func cutOffEntryPoint(of world: SwarmWorld) {
        var conditions = LinkConditions()
        conditions.isPartitioned = true
        let entry = world.net.bootstrap[0].with(port: 0)
        let others =
            (2...8).map { SocketAddress(ipv4: 10, 0, 0, UInt8($0), port: 0) }
            + (1...9).map { SocketAddress(ipv4: 10, 0, 1, UInt8($0), port: 0) }
        for other in others {
            world.world.network.setConditions(conditions, from: entry, to: other)
            world.world.network.setConditions(conditions, from: other, to: entry)
        }
    }

    @Test func peersMeetAgainAfterTheEntryPointIsGone() throws {
        try SwarmWorld(seed: 51).run { world in
            let files = [MemoryFile(), MemoryFile()]
            func swarm(_ index: Int) -> DSwarm {
                world.swarm(UInt8(index + 1)) { $0.dht.knownNodesFile = files[index] }
            }
            let first = [swarm(0), swarm(1)]
            try await withSwarms(first) {
                for swarm in first { #expect(await swarm.dht.bootstrapped()) }
            }
            cutOffEntryPoint(of: world)
            let second = [swarm(0), swarm(1)]
            try await withSwarms(second) {
                try await second[0].join(topic, as: .announce)
                #expect(await second[0].flush())
                try await second[1].join(topic, as: .lookup)
                let connection = try await second[1].connections.first()
                #expect(connection.remotePublicKey == second[0].identity.publicKey)
            }
        }
    }

    @Test func withoutTheFileTheyWouldNot() throws {
        try SwarmWorld(seed: 52).run { world in
            cutOffEntryPoint(of: world)
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                #expect(await swarm.dht.bootstrapped())
                await #expect(throws: DSwarmError.self) {
                    try await swarm.dht.announce(topic, as: swarm.identity)
                }
            }
        }
    }

    @Test func nodesOfAnotherNetworkAreNotUsed() throws {
        try SwarmWorld(seed: 53).run { world in
            let file = MemoryFile()
            let swarm = world.swarm(1) { $0.dht.knownNodesFile = file }
            try await withSwarms([swarm]) { #expect(await swarm.dht.bootstrapped()) }
            #expect(try await file.read() != nil)
            let other = world.swarm(1) {
                $0.dht.bootstrap = ["10.0.0.99:1"]
                $0.dht.knownNodesFile = file
            }
            try await withSwarms([other]) {
                #expect(await other.dht.bootstrapped())
                #expect(await other.dht.diagnostics.nodeCount == 0)
            }
        }
    }

    @Test(arguments: [[], [0], [1, 2, 3], [UInt8](repeating: 0xff, count: 100)] as [[UInt8]])
    func aDamagedFileIsAsGoodAsNone(content: [UInt8]) throws {
        try SwarmWorld(seed: 54).run { world in
            let file = MemoryFile(content)
            let swarm = world.swarm(1) { $0.dht.knownNodesFile = file }
            try await withSwarms([swarm]) {
                #expect(await swarm.dht.bootstrapped())
                #expect(await swarm.dht.diagnostics.nodeCount > 0)
            }
            #expect(try await file.read()?.count ?? 0 > 40)
        }
    }
}
