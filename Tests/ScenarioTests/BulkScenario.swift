import DWeb
import DWebSimulation
import Testing

/// Logs of some size, in large and in many small blocks.
@Suite(.scenarioLimit) struct BulkScenario {
    @Test(arguments: Ground.everywhere, [(40, 50_000), (2_000, 100)])
    func aLogOfSomeSize(ground: Ground, shape: (blockCount: Int, byteCount: Int)) async throws {
        var conditions = LinkConditions.everyday
        conditions.loss = 0.001
        try await Stage.run(ground, conditions: conditions) { stage in
            try await stage.withPeers([stage.homeOnDisk(1), stage.homeOnDisk(2)]) { peers in
                let (writer, reader) = (peers[0], peers[1])
                let expected = contents(0..<shape.blockCount, byteCount: shape.byteCount)
                let source = try await writer.store.database(named: "log")
                try await source.append(expected)
                try await writer.announce(source)
                let copy = try await reader.find(source.key)
                try await copy.update()
                try await copy.download(0..<UInt64(shape.blockCount))
                #expect(try await copy.blocks(at: 0..<UInt64(shape.blockCount), .localOnly) == expected)
                #expect(copy.contiguousLength == UInt64(shape.blockCount))
                #expect(copy.statistics.downloadedBlockCount == UInt64(shape.blockCount))
                #expect(source.statistics.uploadedBlockCount == UInt64(shape.blockCount))
            }
        }
    }
}
