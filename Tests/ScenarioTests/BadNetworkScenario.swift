import DWeb
import DWebSimulation
import Testing

/// Replication is complete on a network that loses, delays and reorders.
@Suite(.scenarioLimit) struct BadNetworkScenario {
    @Test(arguments: Ground.simulations) func everythingArrives(ground: Ground) async throws {
        var conditions = LinkConditions(latency: .milliseconds(30))
        conditions.loss = 0.05
        conditions.jitter = .milliseconds(20)
        conditions.reordering = 0.05
        conditions.duplication = 0.02
        try await Stage.run(ground, conditions: conditions) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                for start in stride(from: 0, to: 60, by: 20) {
                    try await source.append(contents(start..<start + 20, byteCount: 6_000))
                }
                try await writer.networker.join(source.discoveryKey)
                let copy = try await reader.store.database(key: source.key)
                try await reader.networker.join(source.discoveryKey)
                // Even the connection may need several attempts here.
                #expect(
                    try await copy.blocks(at: 0..<60, .wait(upTo: .seconds(120))) == contents(0..<60, byteCount: 6_000))
                #expect(copy.contiguousLength == 60)
                #expect(copy.statistics.downloadedBlockCount == 60)
                #expect(copy.statistics.invalidProofCount == 0)
                let counts = try #require(stage.world).network.counts
                #expect(counts.dropped > 10)
            }
        }
    }
}
