import DWeb
import Testing

/// A log that one peer announces is found and read by another.
@Suite(.scenarioLimit) struct SimpleReplicationScenario {
    @Test(arguments: Ground.everywhere) func aLogIsFoundAndRead(ground: Ground) async throws {
        try await Stage.run(ground) { stage in
            try await stage.withPeers([stage.homeOnDisk(1), stage.homeOnDisk(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let source = try await writer.store.database(named: "log")
                try await source.append(contents(0..<10))
                try await writer.announce(source)

                let copy = try await reader.find(source.key)
                try await copy.update()
                #expect(copy.length == 10)
                #expect(!copy.isWritable)
                #expect(try await copy.blocks(at: 0..<10) == contents(0..<10))
                #expect(copy.contiguousLength == 10)
                #expect(copy.byteLength == source.byteLength)
                #expect(copy.statistics.downloadedBlockCount == 10)
                #expect(copy.statistics.invalidProofCount == 0)
                #expect(source.statistics.uploadedBlockCount == 10)

                try await source.append(content(10))
                #expect(try await copy.block(at: 10) == content(10))
                #expect(copy.peerCount == 1 && source.peerCount == 1)
                #expect(await writer.networker.streams.count == 1)
                #expect(await reader.networker.streams.count == 1)
            }
        }
    }
}
