import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import Testing

/// What a log does without peers.
@Suite struct LocalDatabaseTests {
    @Test func appendAndRead() throws {
        let world = SimulatedWorld(seed: 1)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "first")
            #expect(log.isWritable && log.length == 0)
            let index = try await log.append(Array("hello".utf8))
            let range = try await log.append([Array("world".utf8), []])
            #expect(index == 0 && range == 1..<3)
            #expect(log.length == 3 && log.byteLength == 10 && log.contiguousLength == 3 && log.fork == 0)
            let blocks = try await log.blocks(at: 0..<3)
            #expect(blocks == [Array("hello".utf8), Array("world".utf8), []])
            let single = try await log.block(at: 1, .localOnly)
            #expect(single == Array("world".utf8))
            let position = try await log.seek(toByte: 7)
            #expect(position == BytePosition(blockIndex: 1, byteOffset: 2))
            let hasAll = try await log.has(0..<3)
            let hasMore = try await log.has(3)
            #expect(hasAll && !hasMore)
            try await log.setUserData("hello", [1, 2])
            let kept = try await log.userData("hello")
            let other = try await log.userData("other")
            #expect(kept == [1, 2] && other == nil)
            await store.close()
        }
    }

    @Test func recordsAreThoseOfTheSpecification() throws {
        // Spec 40 section 13.3, except for the signature's and head's time.
        let world = SimulatedWorld(seed: 1)
        let storage = MemoryStorage()
        let entries = try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "first")
            try await log.append(Array("hello".utf8))
            try await log.append(Array("world".utf8))
            try await log.setUserData("hello", Array("ud".utf8))
            #expect(Hex.encode(log.key.bytes).hasPrefix("42a8b717"))
            await store.close()
            let raw = try await storage.open("store", options: StorageOptions())
            return try await raw.entries(from: [0], to: [7], limit: .max, isReversed: false)
        }
        let records = entries.map { (Hex.encode($0.key), Hex.encode($0.value)) }
        let ddk = "8bdd013debedd1c3f3309e5c6bb629c53bb27060565a163cd9dda72a671275a7"
        let zero = String(repeating: "00", count: 32)
        let one = String(repeating: "01", count: 32)
        #expect(records.count == 13)
        #expect(records[0] == ("00", "0201010003\(one)\(ddk)"))
        #expect(records[1] == ("01\(ddk)", "02000001056669727374\(zero)"))
        #expect(records[2] == ("02\(zero)0066697273740001", ddk))
        #expect(records[3].0 == "030000" && records[3].1.hasPrefix("42a8b717") && records[3].1.contains(ddk + "0346"))
        #expect(records[4].0 == "040000" && records[4].1.hasPrefix("000228ac717e") && records[4].1.contains("440100"))
        #expect(records[5] == ("040002", "0102"))
        #expect(records[6] == ("04000300", "68656c6c6f"))
        #expect(records[7] == ("04000301", "776f726c64"))
        #expect(records[8].0 == "04000400" && records[8].1.hasPrefix("0005f2391083"))
        #expect(records[9].0 == "04000401" && records[9].1.hasPrefix("010a56826d33"))
        #expect(records[10].0 == "04000402" && records[10].1.hasPrefix("0205993ec5ef"))
        #expect(records[11].0 == "0400050000" && records[11].1 == "03" + String(repeating: "00", count: 4_095))
        #expect(records[12] == ("0400060068656c6c6f0001", "7564"))
    }

    @Test func stateSurvivesARestart() throws {
        let world = SimulatedWorld(seed: 2)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append((0..<100).map { content($0) })
            try await log.truncate(to: 70)
            try await log.append([content(1_000)])
            try await log.clear(10..<20)
            let key = log.key
            await store.close()
            await #expect(throws: DDatabaseError.self) { try await log.append([1]) }

            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(key: key)
            #expect(reopened.isWritable && reopened.length == 71 && reopened.fork == 1)
            #expect(reopened.contiguousLength == 10)
            let last = try await reopened.block(at: 70, .localOnly)
            #expect(last == content(1_000))
            let hasCleared = try await reopened.has(15)
            let hasKept = try await reopened.has(20..<71)
            #expect(!hasCleared && hasKept)
            let index = try await reopened.append(content(2_000))
            #expect(index == 71)
            await again.close()
        }
    }

    @Test func missingBlocksFailWithTheirReason() throws {
        let world = SimulatedWorld(seed: 3)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append([content(0), content(1)])
            try await log.clear(1..<2)
            await expectCode(.outOfBounds) { try await log.block(at: 2, .localOnly) }
            await expectCode(.blockNotAvailable) { try await log.block(at: 1, .localOnly) }
            let start = store.runtime.loop.now
            await expectCode(.noPeers) { try await log.block(at: 1, .wait(upTo: .seconds(2))) }
            #expect(store.runtime.loop.now - start == .seconds(2))
            await expectCode(.outOfBounds) { try await log.seek(toByte: 1_000) }
            await expectCode(.outOfBounds) { try await log.truncate(to: 3) }
            await expectCode(.blockTooLarge) { try await log.append([UInt8](repeating: 0, count: (15 << 20) + 1)) }
            #expect(log.length == 2)
            let reader = try await store.database(key: PublicKey(Bytes32(repeating: 9)))
            #expect(!reader.isWritable)
            await expectCode(.notWritable) { try await reader.append([1]) }
            let updated = try await reader.update()
            #expect(!updated)
            await store.close()
            await expectCode(.closed) { try await log.block(at: 0) }
        }
    }

    @Test func cancellationEndsAWait() throws {
        let world = SimulatedWorld(seed: 4)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(key: PublicKey(Bytes32(repeating: 9)))
            let code = await withTaskGroup(of: DDatabaseError.Code?.self) { group in
                group.addTask { await codeOf { try await log.block(at: 0) } }
                group.addTask { await codeOf { try await log.download(0..<5) } }
                await pause(world.loop, .seconds(1))
                group.cancelAll()
                var codes: [DDatabaseError.Code?] = []
                for await code in group { codes.append(code) }
                return codes
            }
            #expect(code == [.cancelled, .cancelled])
            await store.close()
        }
    }

    @Test func overlappingAppendsAreWrittenTogether() throws {
        let world = SimulatedWorld(seed: 5)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let indices = try await withThrowingTaskGroup(of: UInt64.self) { group in
                for number in 0..<200 { group.addTask { try await log.append(content(number)) } }
                var indices: [UInt64] = []
                for try await index in group { indices.append(index) }
                return indices
            }
            #expect(indices.sorted() == Array(0..<200))
            #expect(log.length == 200 && log.contiguousLength == 200)
            let blocks = try await log.blocks(at: 0..<200, .localOnly)
            #expect(Set(blocks).count == Set((0..<200).map { content($0) }).count)
            await store.close()
        }
    }

    @Test func sessionsShareOneLog() throws {
        let world = SimulatedWorld(seed: 6)
        try world.run {
            let store = try await world.store(1)
            let first = try await store.database(named: "log")
            let second = try await store.database(named: "log")
            try await first.append([1])
            #expect(second.length == 1 && first.engine === second.engine)
            let snapshot = try await first.snapshot()
            try await second.append([[2], [3]])
            #expect(snapshot.length == 1 && snapshot.isSnapshot && !snapshot.isWritable && second.length == 3)
            await expectCode(.outOfBounds) { try await snapshot.block(at: 1) }
            await expectCode(.notWritable) { try await snapshot.append([1]) }
            let late = try await first.snapshot()
            try await first.truncate(to: 2)
            let kept = try await late.block(at: 1)
            #expect(kept == [2])
            let truncated = try await late.block(at: 2)
            #expect(truncated == [3], "what was stored when the snapshot was taken stays readable")
            await first.close()
            await expectCode(.closed) { try await first.append([9]) }
            try await second.append([9])
            let engine = second.engine
            await second.close()
            await snapshot.close()
            await late.close()
            #expect(engine.isIdle && !engine.isClosed)
            await pause(world.loop, .seconds(10))
            #expect(engine.isClosed)
            let third = try await store.database(named: "log")
            #expect(third.engine !== engine && third.length == 3)
            await store.close()
        }
    }

    @Test func sequencesReadToTheEndOrGoOn() throws {
        let world = SimulatedWorld(seed: 7)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append((0..<200).map { content($0) })
            var read: [[UInt8]] = []
            for try await block in log.blocks(from: 50) { read.append(block) }
            #expect(read == (50..<200).map { content($0) })
            let tail = try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
                group.addTask {
                    var tail: [[UInt8]] = []
                    for try await block in log.blocks(from: 198, live: true) {
                        tail.append(block)
                        if tail.count == 5 { break }
                    }
                    return tail
                }
                for number in 200..<203 {
                    await pause(world.loop, .seconds(1))
                    try await log.append(content(number))
                }
                return try await group.next() ?? []
            }
            #expect(tail == (198..<203).map { content($0) })
            await store.close()
        }
    }

    @Test func severalBitfieldPages() throws {
        // A page has 32,768 blocks: some become full by many small steps, others at once.
        let world = SimulatedWorld(seed: 8)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            for start in stride(from: 0, to: 66_000, by: 1_100) {
                try await log.append((start..<start + 1_100).map { [UInt8(truncatingIfNeeded: $0)] })
            }
            for round in 0..<2 {
                let hasAll = try await log.has(0..<66_000)
                #expect(hasAll && log.contiguousLength == 66_000, "round \(round)")
                for index in [UInt64(0), 32_767, 32_768, 65_535, 65_536, 65_999] {
                    let block = try await log.block(at: index, .localOnly)
                    #expect(block == [UInt8(truncatingIfNeeded: index)])
                }
                await store.close()
                store = try await world.store(1, storage: storage)
                log = try await store.database(named: "log")
            }
            try await log.clear(40_000..<40_001)
            #expect(log.contiguousLength == 40_000)
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            let hasCleared = try await log.has(40_000)
            let hasRest = try await log.has(40_001..<66_000)
            #expect(!hasCleared && hasRest && log.contiguousLength == 40_000)
            try await log.truncate(to: 35_000)
            #expect(log.length == 35_000 && log.contiguousLength == 35_000)
            await store.close()
        }
    }

    @Test func appendsCanBeBounded() throws {
        let world = SimulatedWorld(seed: 21)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let range = try await log.append([content(0), content(1)], maximumLength: 2)
            #expect(range == 0..<2)
            await expectCode(.outOfBounds) { try await log.append([content(2)], maximumLength: 2) }
            // Of several who saw the same length one succeeds.
            let winners = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<10 {
                    group.addTask { await codeOf { try await log.append([content(number)], maximumLength: 3) } == nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 1 && log.length == 3)
            let nothing = try await log.append([], maximumLength: 3)
            #expect(nothing == 3..<3)
            let report = try await log.audit()
            #expect(report.isSound)
            await store.close()
        }
    }

    @Test func truncationsChooseTheirFork() throws {
        let world = SimulatedWorld(seed: 22)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<5).map { content($0) })
            await expectCode(.outOfBounds) { [log] in try await log.truncate(to: 3, fork: 0) }
            await expectCode(.outOfBounds) { [log] in try await log.truncate(to: 3, fork: 1 << 53) }
            try await log.truncate(to: 3, fork: 7)
            #expect(log.fork == 7 && log.length == 3)
            await expectCode(.outOfBounds) { [log] in try await log.truncate(to: 2, fork: 7) }
            try await log.append([content(9)])
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            #expect(log.fork == 7 && log.length == 4)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { try await copy.download(0..<4) }
            #expect(copy.fork == 7)
            try await log.truncate(to: 4)
            #expect(log.fork == 8)
            await store.close()
            await reader.close()
        }
    }

    @Test func oldRecordsAreWrittenAnew() throws {
        let world = SimulatedWorld(seed: 23)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            let key = try await store.database(named: "log").key
            await store.close()
            // As storage before version 3 wrote it.
            let raw = try await storage.open("store", options: StorageOptions())
            let recordKey = StoreRecordKeys.core(key.discoveryKey)
            let stored = try #require(try await raw.read([recordKey])[0])
            var record = try CoreRecord(decoding: stored)
            #expect(record.version == 2)
            record.version = 1
            var batch = WriteBatch()
            batch.put(recordKey, record.encoded)
            try await raw.apply(batch, durability: .processCrash)
            await raw.close()
            store = try await world.store(1, storage: storage)
            _ = try await store.keys()
            _ = try await store.database(key: key, createIfMissing: false)
            await store.close()
            let after = try await storage.open("store", options: StorageOptions())
            let rewritten = try await after.read([recordKey])[0]
            #expect(rewritten == stored)
            await after.close()
        }
    }

    @Test func whatIsKeptBesideALogSurvivesTruncation() throws {
        let world = SimulatedWorld(seed: 24)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<5).map { content($0) })
            try await log.setUserData("name", [1])
            try await log.setLocalRecord([7, 7], [2])
            try await log.truncate(to: 0)
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            let kept = try await log.userData("name")
            let local = try await log.localRecord([7, 7])
            #expect(log.length == 0 && log.fork == 1 && kept == [1] && local == [2])
            await store.close()
        }
    }
}

/// The code with which `body` fails; nil if it does not.
func codeOf<Result>(_ body: () async throws -> Result) async -> DDatabaseError.Code? {
    do {
        _ = try await body()
        return nil
    } catch let error as DDatabaseError {
        return error.code
    } catch {
        return nil
    }
}

/// Expects `body` to fail with `code`.
func expectCode<Result>(
    _ code: DDatabaseError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Result
) async {
    let found = await codeOf(body)
    #expect(found == code, sourceLocation: sourceLocation)
}
