import DWeb
import Testing

/// A simulated run follows from its seed alone.
@Suite(.scenarioLimit) struct DeterminismScenario {
    private func trace(seed: UInt64) throws -> UInt64 {
        try Stage.simulate(seed: seed) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2), stage.home(3)]) { peers in
                let source = try await peers[0].store.database(named: "log")
                try await source.append(contents(0..<30, byteCount: 3_000))
                let key = source.key
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for peer in peers {
                        group.addTask {
                            let copy = try await peer.store.database(key: key)
                            try await peer.networker.join(key.discoveryKey)
                            _ = await peer.networker.flushed(key.discoveryKey)
                            try await peer.networker.join(key.discoveryKey)
                            try await copy.download(0..<30)
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func theSameSeedSendsTheSamePackets() throws {
        let first = try trace(seed: 7)
        #expect(try trace(seed: 7) == first)
        #expect(try trace(seed: 8) != first)
    }
}
