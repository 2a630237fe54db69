import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Testing

/// Two histories under one key: the same primary key in use on two machines.
@Suite struct ConflictTests {
    /// Opens the two writers' stores and gives their logs 15 common blocks, then `counts` different ones.
    private func twoWriters(
        _ world: SimulatedWorld, _ counts: (Int, Int)
    ) async throws -> (honest: (Basestore, DDatabase), double: (Basestore, DDatabase)) {
        let honest = try await world.store(1)
        let double = try await world.store(1)
        let log = try await honest.database(named: "log")
        let other = try await double.database(named: "log")
        #expect(log.key == other.key)
        for writer in [log, other] { try await writer.append((0..<15).map { content($0) }) }
        try await log.append((0..<counts.0).map { content(100 + $0) })
        try await other.append((0..<counts.1).map { content(200 + $0) })
        return ((honest, log), (double, other))
    }

    /// The second history may be longer, as long, or shorter than the first.
    @Test(arguments: [(5, 15), (5, 5), (15, 5)])
    func aSecondHistoryFreezesTheLog(counts: (Int, Int)) throws {
        let world = SimulatedWorld(seed: 101)
        try world.run {
            let (honest, double) = try await twoWriters(world, counts)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: honest.1.key)
            try await connected(honest.0, reader) { try await copy.download(0..<(counts.0 > counts.1 ? 30 : 12)) }
            #expect(copy.length == honest.1.length)
            try await connected(double.0, reader) {
                await expectCode(.conflict) {
                    for index in 0..<UInt64(40) { _ = try await copy.block(at: index, .wait(upTo: .seconds(3))) }
                }
                #expect(await eventually(world.loop) { copy.peerCount == 0 })
            }
            await expectCode(.conflict) { try await copy.download(0..<100) }
            await expectCode(.conflict) { try await double.1.append([1]) }
            try await honest.1.append([1])
            for store in [honest.0, double.0, reader] { await store.close() }
        }
    }

    @Test func aPeerWithTheSameHistoryIsNoConflict() throws {
        let world = SimulatedWorld(seed: 102)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<20).map { content($0) })
            let first = try await world.store(2)
            let second = try await world.store(3)
            let copy = try await first.database(key: source.key)
            let other = try await second.database(key: source.key)
            try await connected(writer, first) { try await copy.download(0..<20) }
            try await source.append((20..<40).map { content($0) })
            try await connected(writer, second) { try await other.download(0..<40) }
            try await connected(first, second) { try await copy.download(0..<40) }
            try await source.append(content(40))
            #expect(copy.length == 40 && other.length == 40)
            for store in [writer, first, second] { await store.close() }
        }
    }

    @Test func aFrozenLogStaysFrozenUntilItsWriterDecides() throws {
        let world = SimulatedWorld(seed: 103)
        let disk = MemoryStorage()
        let readerDisk = MemoryStorage()
        try world.run {
            var honest = try await world.store(1, storage: disk)
            let double = try await world.store(1)
            var log = try await honest.database(named: "log")
            let other = try await double.database(named: "log")
            for writer in [log, other] { try await writer.append((0..<5).map { content($0) }) }
            try await log.append(content(10))
            try await other.append([content(20), content(21)])
            var reader = try await world.store(2, storage: readerDisk)
            var copy = try await reader.database(key: log.key)
            try await connected(honest, reader) { [copy] in try await copy.download(0..<6) }
            // The two writers meet: both learn of it.
            let engines = [log.engine, other.engine]
            try await connected(honest, double) {
                #expect(await eventually(world.loop) { engines.allSatisfy { $0.published.isFrozen } })
            }
            await expectCode(.conflict) { [log] in try await log.append(content(11)) }
            await honest.close()
            honest = try await world.store(1, storage: disk)
            log = try await honest.database(named: "log")
            #expect(log.isFrozen && log.length == 6)
            let kept = try await log.block(at: 5, .localOnly)
            #expect(kept == content(10))
            await expectCode(.conflict) { [log] in try await log.append(content(11)) }
            await expectCode(.conflict) { [log] in try await log.block(at: 40) }
            let first = copy
            let engine = copy.engine
            try await connected(honest, reader) { [log] in
                await pause(world.loop, .seconds(1))
                #expect(log.peerCount == 0)
                // The writer keeps what both histories have, under a fork that overrules them.
                try await log.truncate(to: 5)
                try await log.unfreeze()
                try await log.append(content(30))
                #expect(await eventually(world.loop) { engine.published.head.fork == 1 })
                let last = try await first.block(at: 5)
                #expect(last == content(30))
            }
            #expect(!log.isFrozen)
            await reader.close()
            reader = try await world.store(2, storage: readerDisk)
            copy = try await reader.database(key: log.key)
            #expect(copy.fork == 1 && !copy.isFrozen)
            for store in [honest, double, reader] { await store.close() }
        }
    }
}

/// Logs whose tree lost its roots, and that lack the blocks to compute them.
@Suite struct RepairTests {
    private func damagedReader(
        _ world: SimulatedWorld, _ source: DDatabase, _ writer: Basestore
    ) async throws -> (Basestore, DDatabase) {
        let storage = MemoryStorage()
        var reader = try await world.store(2, storage: storage)
        var copy = try await reader.database(key: source.key)
        try await connected(writer, reader) { [copy] in try await copy.download(3..<9) }
        let keys = copy.engine.keys
        let length = copy.length
        await reader.close()
        let raw = try await storage.open("store", options: StorageOptions())
        var batch = WriteBatch()
        for root in FlatTree.fullRoots(length: length) { batch.delete(keys.node(root)) }
        try await raw.apply(batch, durability: .processCrash)
        await raw.close()
        reader = try await world.store(2, storage: storage)
        copy = try await reader.database(key: source.key)
        return (reader, copy)
    }

    @Test func peersGiveLostRootsBack() throws {
        let world = SimulatedWorld(seed: 104)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<21).map { content($0) })
            let (reader, copy) = try await damagedReader(world, source, writer)
            #expect(copy.isDamaged && copy.length == 21)
            let stored = try await copy.block(at: 4, .localOnly)
            #expect(stored == content(4))
            await expectCode(.storage) { try await copy.seek(toByte: 30) }
            await expectCode(.storage) { try await copy.audit() }
            // The writer has gone on meanwhile: what is proven is the length that is stored here.
            try await source.append((21..<30).map { content($0) })
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { !copy.isDamaged })
                try await copy.download(0..<30)
            }
            let report = try await copy.audit()
            #expect(report.isSound && report.blockCount == 30 && report.unprovenBlockCount == 0)
            await writer.close()
            await reader.close()
        }
    }

    @Test func otherHistoriesDoNotRepair() throws {
        let world = SimulatedWorld(seed: 105)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<21).map { content($0) })
            let (reader, copy) = try await damagedReader(world, source, writer)
            let other = try await world.store(1)
            let double = try await other.database(named: "log")
            try await double.append((0..<21).map { content($0 + 100) })
            try await connected(other, reader) { await pause(world.loop, .seconds(2)) }
            #expect(copy.isDamaged)
            // A writer must not go on from a tree that it does not have.
            let again = try await copy.block(at: 3, .localOnly)
            #expect(again == content(3))
            await expectCode(.storage) { try await copy.append([1]) }
            for store in [writer, reader, other] { await store.close() }
        }
    }

    /// A writer's log whose blocks are incomplete waits as well.
    @Test func damagedWritersDoNotAppend() throws {
        let world = SimulatedWorld(seed: 106)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<9).map { content($0) })
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { try await copy.download(0..<9) }
            try await log.clear(2..<3)
            let keys = log.engine.keys
            await store.close()
            let raw = try await storage.open("store", options: StorageOptions())
            var batch = WriteBatch()
            batch.delete(keys.node(7))
            try await raw.apply(batch, durability: .processCrash)
            await raw.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            #expect(log.isDamaged)
            await expectCode(.storage) { [log] in try await log.append(content(9)) }
            await expectCode(.storage) { [log] in try await log.truncate(to: 3) }
            try await connected(store, reader) { [log] in
                let engine = log.engine
                #expect(await eventually(world.loop) { !engine.published.isDamaged })
                try await log.append(content(9))
                #expect(await eventually(world.loop) { copy.length == 10 })
                let block = try await log.block(at: 2)
                #expect(block == content(2))
            }
            await store.close()
            await reader.close()
        }
    }
}
