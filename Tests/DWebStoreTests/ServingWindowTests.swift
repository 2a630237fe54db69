import DWebSimulation
import DWebStore
import Testing

@testable import DWebDatabase

/// What a log reads ahead for a peer that asks for one small block after the other.
@Suite("Reading ahead for peers") struct ServingWindowTests {
    @Test("holds a run of blocks, and says which one comes next")
    func holdsARun() {
        var window = BlockWindow()
        #expect(window.block(0, cutCount: 0) == nil && !window.isNext(0, cutCount: 0))
        window.fill([[1], [2], [3]], from: 10, cutCount: 4)
        #expect(window.block(10, cutCount: 4) == [1] && window.block(12, cutCount: 4) == [3])
        #expect(window.block(9, cutCount: 4) == nil && window.block(13, cutCount: 4) == nil)
        #expect(window.isNext(13, cutCount: 4) && !window.isNext(12, cutCount: 4))
    }

    @Test("what was read before the log was cut is not handed out")
    func forgetsWhatWasCut() {
        var window = BlockWindow()
        window.fill([[1], [2], [3]], from: 10, cutCount: 4)
        #expect(window.block(10, cutCount: 5) == nil && !window.isNext(13, cutCount: 5))
    }

    @Test("a peer that reads on costs scans, not a read for every block and node")
    func readsTogether() throws {
        let world = SimulatedWorld(seed: 401)
        try world.run {
            let storage = CountingStorage()
            let writer = try await world.store(1, storage: storage)
            let source = try await writer.database(named: "log")
            try await source.append((0..<4_000).map { content($0) })
            await writer.close()

            // Nothing is in memory now.
            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "log")
            let reader = try await world.store(2)
            let copy = try await reader.database(key: reopened.key)
            let before = storage.counts
            try await connected(again, reader) { try await copy.download(0..<4_000) }
            for index in [0, 255, 256, 3_999] {
                let block = try await copy.block(at: UInt64(index), .localOnly)
                #expect(block == content(index))
            }
            let counts = storage.counts
            #expect(counts.scans - before.scans >= 2 * 4_000 / 256)
            #expect(counts.scans - before.scans < 100)
            #expect(counts.reads - before.reads < 800)
            await again.close()
            await reader.close()
        }
    }

    @Test("large blocks are read one by one")
    func readsLargeBlocksAlone() throws {
        let world = SimulatedWorld(seed: 402)
        try world.run {
            let storage = CountingStorage()
            let writer = try await world.store(1, storage: storage)
            let source = try await writer.database(named: "log")
            try await source.append((0..<64).map { content($0, byteCount: 20_000) })
            let reader = try await world.store(2)
            let copy = try await reader.database(key: source.key)
            let before = storage.counts
            try await connected(writer, reader) { try await copy.download(0..<64) }
            #expect(storage.counts.scans == before.scans)
            let last = try await copy.block(at: 63, .localOnly)
            #expect(last == content(63, byteCount: 20_000))
            await writer.close()
            await reader.close()
        }
    }
}
