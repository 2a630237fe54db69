import DWeb
import Testing

/// A reader that restarts goes on where it was, and downloads nothing twice.
@Suite(.scenarioLimit) struct ReaderRestartScenario {
    @Test(arguments: Ground.everywhere) func nothingIsDownloadedTwice(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeer(stage.home(1)) { writer in
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<20, byteCount: 2_000))
                try await writer.announce(source)
                let key = source.key
                let home = stage.homeOnDisk(2)
                try await stage.withPeer(home) { reader in
                    let copy = try await reader.find(key)
                    try await copy.download(0..<8)
                    #expect(try await copy.block(at: 15) == content(15, byteCount: 2_000))
                    #expect(copy.statistics.downloadedBlockCount == 9)
                }
                try await stage.withPeer(home) { reader in
                    // Before anything is connected.
                    let stored = try await reader.store.database(key: key)
                    #expect(stored.length == 20)
                    #expect(stored.contiguousLength == 8)
                    #expect(try await stored.block(at: 7, .localOnly) == content(7, byteCount: 2_000))
                    #expect(try await stored.has(15))
                    #expect(try await !stored.has(8))

                    let copy = try await reader.find(key)
                    #expect(try await copy.blocks(at: 0..<20) == contents(0..<20, byteCount: 2_000))
                    #expect(copy.contiguousLength == 20)
                    #expect(copy.statistics.downloadedBlockCount == 11)
                    #expect(copy.statistics.downloadedByteCount == 11 * 2_000)
                }
                #expect(source.statistics.uploadedBlockCount == 20)
                #expect(source.statistics.uploadedByteCount == 20 * 2_000)
            }
        }
    }
}
