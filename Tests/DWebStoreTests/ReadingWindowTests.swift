import DWebSimulation
import DWebStore
import Testing

@testable import DWebDatabase

/// What a log reads ahead for a reader that takes one small block after the other.
@Suite("Reading ahead for readers") struct ReadingWindowTests {
    @Test("only who reads on is read ahead for, and more each time")
    func grows() {
        var window = ReadingWindow()
        for index in [9, 3, 4, 9, 10, 2] as [UInt64] { #expect(window.blockCount(from: index, cutCount: 0) == 1) }
        for index in 3...5 as ClosedRange<UInt64> { #expect(window.blockCount(from: index, cutCount: 0) == 1) }
        #expect(window.blockCount(from: 6, cutCount: 0) == 8)
        window.fill((6..<14).map { [$0] }, from: 6, cutCount: 0)
        #expect(window.block(6, cutCount: 0) == [6] && window.block(13, cutCount: 0) == [13])
        #expect(window.blockCount(from: 14, cutCount: 0) == 16)
        // Who comes later does not: the log was cut.
        #expect(window.blockCount(from: 14, cutCount: 1) == 1)
    }

    @Test("blocks that were all taken are let go, and none is handed out after a cut")
    func letsGo() {
        var window = ReadingWindow()
        window.fill([[1], [2]], from: 10, cutCount: 0)
        #expect(window.block(10, cutCount: 1) == nil)
        #expect(window.block(10, cutCount: 0) == [1] && window.block(10, cutCount: 0) == [1])
        #expect(window.block(11, cutCount: 0) == [2] && window.block(11, cutCount: 0) == nil)
    }

    @Test("a reader costs scans, not a read for every block")
    func readsTogether() throws {
        try reading(blockCount: 2_000, byteCount: 50) { log, storage in
            let before = storage.counts
            try await expectBlocks(Array(0..<2_000), of: 50, log)
            #expect(storage.counts.scans - before.scans < 30)
            #expect(storage.counts.reads - before.reads < 10)
        }
    }

    @Test("large blocks are read one by one")
    func readsLargeBlocksAlone() throws {
        try reading(blockCount: 40, byteCount: 5_000) { log, storage in
            let before = storage.counts
            try await expectBlocks(Array(0..<40), of: 5_000, log)
            #expect(storage.counts.scans == before.scans)
        }
    }

    @Test("what was cleared or replaced since is not read")
    func readsWhatIsThere() throws {
        try reading(blockCount: 100, byteCount: 50) { log, _ in
            for index in 0..<6 { _ = try await log.block(at: UInt64(index), .localOnly) }
            try await log.clear(8..<9)
            for index in [6, 7, 9] as [UInt64] { _ = try await log.block(at: index, .localOnly) }
            await #expect(throws: DDatabaseError.self) { try await log.block(at: 8, .localOnly) }
            try await log.truncate(to: 10)
            try await log.append([content(1_010), content(1_011)])
            let replaced = try await log.blocks(at: 10..<12, .localOnly)
            #expect(replaced == [content(1_010), content(1_011)])
            let read = try await log.block(at: 10, .localOnly)
            #expect(read == content(1_010))
            await #expect(throws: DDatabaseError.self) { try await log.block(at: 12, .localOnly) }
        }
    }

    @Test("two readers at two places both get their blocks")
    func servesTwoReaders() throws {
        try reading(blockCount: 400, byteCount: 50) { log, storage in
            let before = storage.counts
            try await expectBlocks((0..<200).flatMap { [$0, 399 - $0] }, of: 50, log)
            #expect(storage.counts.scans - before.scans <= 2)
        }
    }

    private func expectBlocks(_ indices: [Int], of byteCount: Int, _ log: DDatabase) async throws {
        for index in indices {
            let block = try await log.block(at: UInt64(index), .localOnly)
            #expect(block == content(index, byteCount: byteCount))
        }
    }

    private func reading(
        blockCount: Int, byteCount: Int, _ body: @escaping @Sendable (DDatabase, CountingStorage) async throws -> Void
    ) throws {
        let world = SimulatedWorld(seed: 403)
        try world.run {
            let storage = CountingStorage()
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append((0..<blockCount).map { content($0, byteCount: byteCount) })
            try await body(log, storage)
            await store.close()
        }
    }
}
