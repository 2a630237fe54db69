import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import Testing

@testable import DWebSwarm

/// What a swarm does where no node of the network answers (any more).
@Suite struct DeadNetworkTests {
    private let topic = Topic(hashing: "a topic")

    private func silence(_ world: SwarmWorld) {
        var conditions = world.world.network.conditions
        conditions.loss = 1
        world.world.network.conditions = conditions
    }

    @Test func closingWaitsThreeSecondsAtMost() throws {
        try SwarmWorld(seed: 41).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                for number in 0..<40 { try await swarm.join(Topic(hashing: "topic \(number)")) }
                await swarm.flush()
                silence(world)
                let start = world.world.loop.now
                await swarm.close()
                #expect(world.world.loop.now - start <= .milliseconds(3_050))
                #expect(await swarm.abandonedWithdrawalCount == 40)
                world.world.network.conditions.loss = 0
            }
        }
    }

    @Test func closingHardlyWaitsForANetworkThatIsGoneForSomeTime() throws {
        try SwarmWorld(seed: 42).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                try await swarm.join(topic)
                await swarm.flush()
                silence(world)
                await world.world.loop.sleep(for: .seconds(60))
                let start = world.world.loop.now
                await swarm.close()
                #expect(world.world.loop.now - start <= .milliseconds(550))
                world.world.network.conditions.loss = 0
            }
        }
    }

    @Test func leavingATopicDoesNotWaitForEver() throws {
        try SwarmWorld(seed: 43).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                let discovery = try await swarm.join(topic)
                await swarm.flush()
                silence(world)
                let start = world.world.loop.now
                await discovery.leave()
                #expect(world.world.loop.now - start <= .milliseconds(3_050))
                world.world.network.conditions.loss = 0
            }
        }
    }

    @Test func closingWithAWorkingNetworkTakesEverythingBack() throws {
        try SwarmWorld(seed: 44).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                try await swarm.join(topic)
                await swarm.flush()
                await swarm.close()
                #expect(await swarm.abandonedWithdrawalCount == 0)
                #expect(try await world.net.nodes[3].lookup(topic).isEmpty)
            }
        }
    }

    @Test func whoStartedWithoutTheNetworkIsFoundSoonAfterItCame() throws {
        try SwarmWorld(seed: 45).run { world in
            let (publisher, reader) = (world.swarm(1), world.swarm(2))
            silence(world)
            try await withSwarms([publisher]) {
                try await publisher.join(topic, as: .announce)
                await world.world.loop.sleep(for: .seconds(45))
                world.world.network.conditions.loss = 0
                await world.world.loop.sleep(for: .seconds(45))
                try await withSwarms([reader]) {
                    let start = world.world.loop.now
                    try await reader.join(topic, as: .lookup)
                    _ = try await reader.connections.first()
                    #expect(world.world.loop.now - start < .seconds(5))
                }
            }
        }
    }
}
