import DWeb
import Testing

/// One writer serves several readers at a time.
@Suite(.scenarioLimit) struct SeveralReceiversScenario {
    @Test(arguments: Ground.everywhere) func everyReaderGetsEverything(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            let homes = (UInt8(1)...5).map { stage.home($0) }
            try await stage.withPeers(homes) { peers in
                let writer = peers[0]
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<30, byteCount: 1_000))
                try await writer.announce(source)
                let key = source.key
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for reader in peers.dropFirst() {
                        group.addTask {
                            let copy = try await reader.find(key)
                            #expect(try await copy.blocks(at: 0..<30) == contents(0..<30, byteCount: 1_000))
                            #expect(await reader.networker.peers.map(\.publicKey) == [writer.publicKey])
                            #expect(copy.statistics.downloadedBlockCount == 30)
                            // Everybody stays until everybody is here.
                            #expect(await stage.eventually { source.peerCount == 4 })
                        }
                    }
                    try await group.waitForAll()
                }
                let readers = Set(peers.dropFirst().map(\.publicKey))
                #expect(Set(await writer.networker.peers.map(\.publicKey)) == readers)
                #expect(await writer.networker.streams.allSatisfy { !$0.isInitiator })
                #expect(source.statistics.uploadedBlockCount == 4 * 30)
            }
        }
    }
}
