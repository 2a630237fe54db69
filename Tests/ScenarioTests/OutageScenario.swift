import DWeb
import DWebSimulation
import Testing

/// A network that fails for a while delays replication, and does not end it.
@Suite(.scenarioLimit) struct OutageScenario {
    /// Seconds without any packet, and how long it may take then until the log goes on.
    static let outages: [(outage: Int, recovery: Int)] = [(4, 15), (20, 60), (150, 800)]

    @Test(arguments: Ground.simulations, outages)
    func aTailGoesOnAfterwards(ground: Ground, times: (outage: Int, recovery: Int)) async throws {
        try await Stage.run(ground, timeLimit: .seconds(1_500)) { stage in
            let network = try #require(stage.world).network
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<3))
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                #expect(try await copy.blocks(at: 0..<3) == contents(0..<3))

                var broken = LinkConditions()
                broken.isPartitioned = true
                network.conditions = broken
                try await source.append(contents(3..<6))
                await stage.pause(.seconds(times.outage))
                #expect(copy.length == 3)
                network.conditions = .everyday
                try await source.append(contents(6..<9))
                let blocks = try await copy.blocks(at: 3..<9, .wait(upTo: .seconds(times.recovery)))
                #expect(blocks == contents(3..<9))
                #expect(await stage.eventually(within: .seconds(60)) { await reader.networker.streams.count == 1 })
                #expect(await stage.eventually(within: .seconds(60)) { await writer.networker.streams.count == 1 })
                #expect(copy.statistics.downloadedBlockCount == 9)
            }
        }
    }
}
