import DWeb
import Testing

/// One connection carries every log that both sides hold, whichever of them led to it.
@Suite(.scenarioLimit) struct SeveralLogsScenario {
    @Test(arguments: Ground.everywhere) func allLogsTravelOverOneConnection(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                var sources: [DDatabase] = []
                for number in 0..<5 {
                    let source = try await writer.store.database(named: "log \(number)")
                    try await source.append(contents(number * 10..<number * 10 + 4))
                    sources.append(source)
                }
                // Only one of them is on the network.
                try await writer.announce(sources[0])
                var copies = [try await reader.find(sources[0].key)]
                for source in sources.dropFirst() { copies.append(try await reader.store.database(key: source.key)) }
                for (number, copy) in copies.enumerated() {
                    #expect(try await copy.blocks(at: 0..<4) == contents(number * 10..<number * 10 + 4))
                    #expect(copy.peerCount == 1)
                }
                // The other direction, over the same connection.
                let answer = try await reader.store.database(named: "answer")
                try await answer.append(content(99))
                let answerCopy = try await writer.store.database(key: answer.key)
                #expect(try await answerCopy.block(at: 0) == content(99))
                #expect(await writer.networker.streams.count == 1)
                #expect(await reader.networker.streams.count == 1)
                #expect(reader.store.connectionCount == 1)
            }
        }
    }

    /// Without the key there is no log: a peer gets only what it can name, and prove to know.
    @Test(arguments: Ground.everywhere) func logsThatOnlyOneSideHoldsStayThere(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.home(1), stage.home(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let shared = try await writer.store.database(named: "shared")
                let secret = try await writer.store.database(named: "secret")
                try await shared.append(content(1))
                try await secret.append(content(2))
                try await writer.announce(shared)
                let copy = try await reader.find(shared.key)
                #expect(try await copy.block(at: 0) == content(1))
                #expect(secret.peerCount == 0)
                #expect(secret.statistics.uploadedBlockCount == 0)
                #expect(try await reader.store.keys() == [shared.key])
                #expect(try await !reader.store.contains(secret.discoveryKey))
            }
        }
    }
}
