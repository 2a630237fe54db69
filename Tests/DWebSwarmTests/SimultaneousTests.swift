import DWebBase
import DWebPorts
import DWebSimulation
import DWebSwarm
import Testing

@Suite struct SimultaneousTests {
    /// Peers that join a topic at one moment look before the others are to be found.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func peersThatJoinAtOnceMeetWithinSeconds(seed: UInt64) throws {
        let world = SwarmWorld(seed: seed)
        var conditions = LinkConditions(latency: .milliseconds(40))
        conditions.jitter = .milliseconds(20)
        conditions.loss = 0.02
        world.world.network.conditions = conditions
        try world.run { world in
            let swarms = (UInt8(1)...3).map { world.swarm($0) }
            let topic = Topic(hashing: "the same moment")
            try await withCollectors(swarms) { collectors in
                let start = world.world.loop.now
                for swarm in swarms { try await swarm.join(topic) }
                var open: [Int] = []
                while world.world.loop.now - start < .seconds(20), open != [2, 2, 2] {
                    await world.world.loop.sleep(for: .milliseconds(100))
                    open = []
                    for collector in collectors {
                        open.append(Set(await collector.open().map(\.remotePublicKey)).count)
                    }
                }
                #expect(open == [2, 2, 2])
                #expect(world.world.loop.now - start < .seconds(12))
            }
        }
    }
}
