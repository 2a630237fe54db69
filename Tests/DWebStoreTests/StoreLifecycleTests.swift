import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebPosix
import DWebRocks
import DWebSimulation
import DWebStore
import Foundation
import Testing

/// Names, views, sleep, deletion and space of a store.
@Suite struct StoreLifecycleTests {
    @Test func namesCanBeGivenAndTaken() throws {
        let world = SimulatedWorld(seed: 201)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            let other = try await world.store(2)
            let foreign = try await other.database(named: "theirs")
            await expectStoreCode(.notFound) { [store] in try await store.setName("friend", of: foreign.key) }
            _ = try await store.database(key: foreign.key)
            try await store.setName("friend", of: foreign.key)
            try await store.setName("also", of: foreign.key)
            let own = try await store.database(named: "own")
            await expectStoreCode(.conflict) { [store] in try await store.setName("own", of: foreign.key) }
            await store.close()
            store = try await world.store(1, storage: storage)
            let named = try await store.database(named: "friend")
            #expect(named.key == foreign.key && !named.isWritable)
            var names = try await store.names()
            #expect(names.map(\.name) == ["also", "friend", "own"])
            try await store.removeName("friend")
            try await store.removeName("nothing")
            let derived = try await store.database(named: "friend")
            #expect(derived.key != foreign.key && derived.isWritable)
            try await store.removeName("own")
            names = try await store.names()
            #expect(names.map(\.name) == ["also", "friend"])
            let again = try await store.database(named: "own")
            #expect(again.key == own.key)
            let inside = try await store.namespace("app").names()
            #expect(inside.isEmpty)
            await store.close()
            await other.close()
        }
    }

    @Test func aSessionClosesWhatWasOpenedThroughIt() throws {
        let world = SimulatedWorld(seed: 202)
        try world.run {
            let store = try await world.store(1)
            let session = store.session()
            let shared = try await store.database(named: "shared")
            let first = try await session.database(named: "shared")
            let second = try await session.namespace("app").database(named: "log")
            #expect(first.engine === shared.engine)
            try await second.append(content(0))
            await session.close()
            await session.close()
            await expectCode(.closed) { try await first.append(content(0)) }
            await expectCode(.closed) { try await second.append(content(0)) }
            await expectStoreCode(.closed) { try await session.database(named: "late") }
            try await shared.append(content(0))
            let reopened = try await store.namespace("app").database(named: "log")
            #expect(reopened.length == 1)
            await store.close()
        }
    }

    @Test func openingsAreWatched() throws {
        let world = SimulatedWorld(seed: 203)
        try world.run {
            let store = try await world.store(1)
            let reader = try await world.store(2)
            let openings = store.openings()
            let first = try await store.database(named: "first")
            let second = try await store.database(named: "second")
            _ = try await store.database(named: "first")
            let key = second.key
            await second.close()
            await pause(world.loop, .seconds(10))
            try await connected(store, reader) {
                // Opened because a peer asks.
                let copy = try await reader.database(key: key)
                #expect(await eventually(world.loop) { copy.peerCount == 1 })
            }
            await store.close()
            var seen: [PublicKey] = []
            for await key in openings { seen.append(key) }
            #expect(seen == [first.key, key, key])
            await reader.close()
        }
    }

    @Test func suspendedStoresWait() throws {
        let world = SimulatedWorld(seed: 204)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append([content(0), content(1)])
            await store.suspend()
            await store.suspend()
            // The lock is free: another program may look, but then this one cannot go on.
            let other = try await world.store(1, storage: storage)
            await expectStoreCode(.locked) { try await store.resume() }
            await other.close()
            try await withThrowingTaskGroup(of: UInt64.self) { group in
                group.addTask { try await log.append(content(2)) }
                group.addTask {
                    let block = try await log.block(at: 1, .localOnly)
                    #expect(block == content(1))
                    return 100
                }
                group.addTask { try await store.database(named: "other").length }
                await pause(world.loop, .seconds(60))
                #expect(log.length == 2)
                try await store.resume()
                try await store.resume()
                var results: [UInt64] = []
                for try await result in group { results.append(result) }
                #expect(results.sorted() == [0, 2, 100])
            }
            // Closing while suspended ends everybody who waits.
            await store.suspend()
            await withTaskGroup(of: DDatabaseError.Code?.self) { group in
                group.addTask { await codeOf { try await log.append(content(3)) } }
                await pause(world.loop, .seconds(1))
                await store.close()
                let code = await group.next()
                #expect(code == .closed || code == .storage)
            }
            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "log")
            #expect(reopened.length == 3)
            await again.close()
        }
    }

    @Test func readOnlyStoresServeAndTakeNothing() throws {
        let world = SimulatedWorld(seed: 205)
        let storage = MemoryStorage()
        try world.run {
            let writer = try await world.store(1, storage: storage)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            try await source.clear(3..<4)
            let key = source.key
            await writer.close()
            var options = BasestoreOptions()
            options.storage.isReadOnly = true
            let store = try await Basestore.open("store", runtime: world.host(1, storage: storage), options: options)
            let log = try await store.database(named: "log")
            #expect(log.length == 10 && !log.isWritable && store.primaryKey == Bytes32(repeating: 1))
            let block = try await log.block(at: 5)
            #expect(block == content(5))
            await expectCode(.notWritable) { try await log.append([1]) }
            await expectCode(.notWritable) { try await log.truncate(to: 1) }
            await expectCode(.notWritable) { try await log.clear(0..<2) }
            await expectCode(.notWritable) { try await log.setUserData("a", [1]) }
            await expectCode(.notWritable) { try await log.download(0..<10) }
            await expectCode(.blockNotAvailable) { try await log.block(at: 3) }
            await expectStoreCode(.notFound) { try await store.database(named: "missing") }
            let reader = try await world.store(2)
            let copy = try await reader.database(key: key)
            try await connected(store, reader) { try await copy.download(4..<10) }
            let still = try await log.block(at: 5)
            #expect(still == content(5))
            await reader.close()
            await store.close()
            // Nothing was written.
            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(key: key)
            #expect(reopened.length == 10 && reopened.isWritable)
            await again.close()
        }
    }

    @Test func purgedLogsLeaveNothingBehind() throws {
        let world = SimulatedWorld(seed: 206)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let kept = try await store.database(named: "kept")
            try await kept.append(content(0))
            let log = try await store.database(named: "log")
            try await log.append((0..<20).map { content($0) })
            try await log.setUserData("a", [1])
            try await log.setLocalRecord([1], [1])
            try await log.setGroup(Bytes32(repeating: 8))
            try await log.draft(named: "draft").append([content(1)])
            try await store.setName("another", of: log.key)
            let key = log.key
            async let waiting = codeOf { try await log.waitForGrowth(beyond: 100) }
            await pause(world.loop, .seconds(1))
            try await store.purge(log.discoveryKey)
            let code = await waiting
            #expect(code == .closed)
            let isStored = try await store.contains(key.discoveryKey)
            let members = try await store.logs(inGroup: Bytes32(repeating: 8))
            let names = try await store.names()
            #expect(!isStored && members.isEmpty && names.map(\.name) == ["kept"])
            try await store.purge(key.discoveryKey)
            await store.close()
            let raw = try await storage.open("store", options: StorageOptions())
            let records = try await raw.entries(from: [0], to: [7], limit: .max, isReversed: false)
            // Store head, the other log's seven records, and the topic of the group.
            #expect(records.count == 10, "\(records.map { Hex.encode($0.key) })")
        }
    }

    @Test func idleLogsLeaveMemoryAndComeBack() throws {
        let world = SimulatedWorld(seed: 207)
        try world.run {
            let store = try await world.store(1)
            var keys: [PublicKey] = []
            for number in 0..<200 {
                let log = try await store.database(named: "log\(number)")
                try await log.append(content(number))
                keys.append(log.key)
                await log.close()
            }
            #expect(store.openLogCount == 200)
            await pause(world.loop, .seconds(10))
            #expect(store.openLogCount == 0)
            for (number, key) in keys.enumerated() where number % 20 == 0 {
                let log = try await store.database(key: key, createIfMissing: false)
                let block = try await log.block(at: 0, .localOnly)
                #expect(block == content(number) && log.isWritable)
            }
            await store.close()
        }
    }

    /// On a real disk: cleared and purged content gives its space back.
    @Test func spaceComesBack() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func directorySize() throws -> Int {
            let files = try FileManager.default.subpathsOfDirectory(atPath: path)
            return files.reduce(0) { total, file in
                let attributes = try? FileManager.default.attributesOfItem(atPath: path + "/" + file)
                return total + ((attributes?[.size] as? Int) ?? 0)
            }
        }
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: RocksStorage())
        let store = try await Basestore.open(path, runtime: runtime)
        let small = try await store.database(named: "small")
        try await small.append((0..<100).map { content($0) })
        let large = try await store.database(named: "large")
        for number in 0..<16 {
            try await large.append((0..<64).map { content(number * 64 + $0, byteCount: 20_000) })
        }
        let used = try await store.diskUse(of: large.key)
        #expect(used.blockByteCount == 16 * 64 * 20_000)
        #expect(try directorySize() > 20_000_000)
        try await large.clear(0..<512)
        try await store.reclaimSpace()
        let half = try await store.diskUse(of: large.key)
        #expect(half.blockByteCount == 512 * 20_000)
        #expect(try directorySize() < 22_000_000)
        let kept = try await large.block(at: 512, .localOnly)
        #expect(kept == content(512, byteCount: 20_000))
        try await store.purge(large.discoveryKey)
        #expect(try directorySize() < 12_000_000)
        await expectStoreCode(.notFound) { try await store.diskUse(of: large.key) }
        let first = try await small.block(at: 0, .localOnly)
        #expect(first == content(0))
        await store.suspend()
        try await store.resume()
        let last = try await small.block(at: 99, .localOnly)
        #expect(last == content(99))
        await store.close()
        await loop.shutdown()
    }
}
