import DWeb
import DWebSimulation
import Testing

/// Peers that join at any time, over links of any kind, end up with exactly one connection per pair.
@Suite(.scenarioLimit) struct MeshScenario {
    @Test(arguments: Ground.simulations) func oneConnectionPerPair(ground: Ground) async throws {
        guard case .simulated(let seed) = ground else { return }
        var random = SimulationRandom(seed: seed, stream: "mesh")
        var conditions = LinkConditions(latency: .milliseconds(Int.random(in: 1...150, using: &random)))
        conditions.jitter = .milliseconds(Int.random(in: 0...30, using: &random))
        conditions.loss = Double.random(in: 0...0.05, using: &random)
        let delays = (0..<4).map { _ in Duration.milliseconds(Int.random(in: 0...1_000, using: &random)) }
        try await Stage.run(ground, conditions: conditions, timeLimit: .seconds(3_000)) { stage in
            try await stage.withPeers((UInt8(1)...4).map { stage.home($0) }) { peers in
                let topic = Topic(hashing: "a meeting").bytes32
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (peer, delay) in zip(peers, delays) {
                        group.addTask {
                            await stage.pause(delay)
                            try await peer.networker.join(DiscoveryKey(topic))
                        }
                    }
                    try await group.waitForAll()
                }
                // Who missed somebody at first finds them at the next lookup, after ten to twelve minutes.
                let isComplete = await stage.eventually(within: .seconds(800)) {
                    for peer in peers where await Set(peer.networker.peers.map(\.publicKey)).count < 3 { return false }
                    return true
                }
                #expect(isComplete)
                await stage.pause(.seconds(60))
                for peer in peers {
                    let streams = await peer.networker.streams
                    #expect(streams.count == 3)
                    #expect(peer.store.connectionCount == 3)
                    for stream in streams {
                        let other = try #require(peers.first { $0.publicKey == stream.peer.publicKey })
                        let back = await other.networker.streams.filter { $0.peer.publicKey == peer.publicKey }
                        #expect(back.map(\.isInitiator) == [!stream.isInitiator])
                    }
                }
            }
        }
    }
}
