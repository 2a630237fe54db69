import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import Testing

/// Branches of a log that become part of it, or do not.
@Suite struct DraftTests {
    @Test func aDraftIsCommitted() throws {
        let world = SimulatedWorld(seed: 171)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<5).map { content($0) })
            var draft = try await log.draft(named: "one")
            let range = try await draft.append((5..<20).map { content($0) })
            #expect(range == 5..<20 && log.length == 5)
            try await draft.truncate(to: 12)
            try await draft.append([content(100)])
            // Survives a restart under its name.
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            let names = try await log.drafts()
            #expect(names == ["one"])
            draft = try await log.draft(named: "one")
            let head = try await draft.head()
            #expect(head.length == 13 && head.byteLength == 156 && head.sharedLength == 5)
            for (index, expected) in [(0, 0), (4, 4), (5, 5), (11, 11), (12, 100)] {
                let block = try await draft.block(at: UInt64(index), .localOnly)
                #expect(block == content(expected))
            }
            await expectCode(.outOfBounds) { try await draft.block(at: 13) }
            let committed = try await draft.commit()
            #expect(committed == 5..<13 && log.length == 13 && log.fork == 0 && log.contiguousLength == 13)
            let last = try await log.block(at: 12, .localOnly)
            #expect(last == content(100))
            let report = try await log.audit()
            #expect(report.isSound && report.blockCount == 13)
            // It goes on from there, and can be committed again.
            let after = try await draft.head()
            #expect(after.sharedLength == 13)
            try await draft.append([content(101)])
            try await draft.commit()
            #expect(log.length == 14)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { [log] in try await copy.download(0..<log.length) }
            try await draft.discard()
            let none = try await log.drafts()
            #expect(none.isEmpty)
            await expectCode(.notFound) { try await draft.head() }
            try await draft.discard()
            await store.close()
            await reader.close()
        }
    }

    @Test func discardingLeavesNothingBehind() throws {
        let world = SimulatedWorld(seed: 172)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let log = try await store.database(named: "log")
            try await log.append((0..<3).map { content($0) })
            let draft = try await log.draft(named: "one")
            let same = try await log.draft(named: "one")
            try await draft.append((0..<50).map { content($0) })
            let head = try await same.head()
            #expect(head.length == 53)
            try await same.discard()
            #expect(log.length == 3)
            await store.close()
            let raw = try await storage.open("store", options: StorageOptions())
            let records = try await raw.entries(from: [0], to: [7], limit: .max, isReversed: false)
            // Head, core and alias; auth; head, page and hints; four nodes; three blocks.
            #expect(records.count == 14)
        }
    }

    @Test func aLogThatWentOnDifferentlyIsAConflict() throws {
        let world = SimulatedWorld(seed: 173)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append((0..<4).map { content($0) })
            let same = try await log.draft(named: "same")
            let other = try await log.draft(named: "other")
            let short = try await log.draft(named: "short")
            try await same.append([content(4), content(5), content(6)])
            try await other.append([content(9), content(10)])
            try await log.append([content(4), content(5)])
            await expectCode(.conflict) { try await other.commit() }
            await expectCode(.conflict) { try await short.commit() }
            // The log has the same blocks, as far as it went.
            let range = try await same.commit()
            #expect(range == 6..<7 && log.length == 7)
            // Cut below where the drafts began: what they share is gone.
            let late = try await log.draft(named: "late")
            try await late.append([content(50)])
            try await log.truncate(to: 2)
            await expectCode(.conflict) { try await late.commit() }
            await expectCode(.snapshotNotAvailable) { try await late.block(at: 0) }
            let own = try await late.block(at: 7)
            #expect(own == content(50))
            let names = try await log.drafts()
            #expect(names == ["same", "other", "short", "late"])
            await store.close()
        }
    }

    @Test func draftsCutBelowTheSharedLength() throws {
        let world = SimulatedWorld(seed: 174)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append((0..<9).map { content($0) })
            let draft = try await log.draft(named: "one")
            try await draft.append([content(20)])
            try await draft.truncate(to: 6)
            let cut = try await draft.head()
            #expect(cut.length == 6 && cut.sharedLength == 6)
            try await draft.append([content(6), content(7), content(8), content(30)])
            let sixth = try await draft.block(at: 6)
            #expect(sixth == content(6) && log.length == 9)
            let range = try await draft.commit()
            #expect(range == 9..<10)
            let report = try await log.audit()
            #expect(report.isSound && log.length == 10)
            await store.close()
        }
    }

    /// Readers may draft as well: drafts need no key before they are committed.
    @Test func readersAndEncryptedLogs() throws {
        let world = SimulatedWorld(seed: 175)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log", encryption: .key(Bytes32(repeating: 3)))
            try await log.append([content(0), content(1)])
            let draft = try await log.draft(named: "one")
            try await draft.append([content(2)])
            let head = try await draft.head()
            #expect(head.byteLength == 36)
            let block = try await draft.block(at: 2)
            #expect(block == content(2))
            try await log.append(content(5))
            // The same index under the same fork, but not the same key stream.
            let raw = try await store.database(named: "log")
            let ofLog = try await raw.block(at: 2)
            let ofDraft = try await raw.draft(named: "one").block(at: 2)
            let difference: [UInt8] = zip(ofLog, ofDraft).map { $0 ^ $1 }
            let ofPlaintexts: [UInt8] = zip(content(5), content(2)).map { $0 ^ $1 }
            #expect(Array(difference.suffix(12)) != ofPlaintexts)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            let theirs = try await copy.draft(named: "mine")
            try await theirs.append([content(7)])
            await expectCode(.notWritable) { try await theirs.commit() }
            let again = try await store.database(named: "log", encryption: .key(Bytes32(repeating: 3)))
            let second = try await again.draft(named: "two")
            try await second.append([content(8)])
            try await second.commit()
            let committed = try await log.block(at: 3)
            #expect(committed == content(8))
            await store.close()
            await reader.close()
        }
    }

    /// The records of spec 40 section 13.3 for a second log with a draft.
    @Test func recordsAreThoseOfTheSpecification() throws {
        let world = SimulatedWorld(seed: 1)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            _ = try await store.database(named: "first")
            let log = try await store.database(named: "second")
            try await log.append((0..<3).map { content($0) })
            let draft = try await log.draft(named: "draft1")
            try await draft.append([content(3)])
            await store.close()
            let raw = try await storage.open("store", options: StorageOptions())
            let values = try await raw.read(
                [
                    [0], [3, 1, 1], [4, 2, 1], [4, 2, 3, 3], [4, 2, 4, 3], [4, 2, 4, 5], [4, 2, 4, 6], [4, 2, 4, 0],
                ])
            #expect(values[0]?.prefix(4) == [2, 2, 3, 0])
            #expect(values[1].map(Hex.encode) == "010664726166743102")
            #expect(values[2] == [1, 3] && values[3] == content(3))
            #expect(values[4] != nil && values[5] != nil && values[6] != nil && values[7] == nil)
            await raw.close()
        }
    }

    @Test func draftsAreBegunAnew() throws {
        let world = SimulatedWorld(seed: 178)
        let storage = MemoryStorage()
        try world.run {
            var store = try await world.store(1, storage: storage)
            var log = try await store.database(named: "log")
            try await log.append((0..<3).map { content($0) })
            var draft = try await log.draft(named: "one")
            try await draft.append((10..<20).map { content($0) })
            try await log.append([content(3)])
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            draft = try await log.draft(named: "one", overwriting: true)
            var head = try await draft.head()
            #expect(head.length == 4 && head.sharedLength == 4)
            try await draft.append([content(4)])
            // Begun anew while it is open, as well; other handles see it.
            let other = try await log.draft(named: "one", overwriting: true)
            head = try await draft.head()
            #expect(head.length == 4)
            try await other.append([content(5)])
            await store.close()
            store = try await world.store(1, storage: storage)
            log = try await store.database(named: "log")
            let names = try await log.drafts()
            #expect(names == ["one"])
            draft = try await log.draft(named: "one")
            let committed = try await draft.commit()
            #expect(committed == 4..<5)
            let block = try await log.block(at: 4, .localOnly)
            #expect(block == content(5))
            let fresh = try await log.draft(named: "new", overwriting: true)
            head = try await fresh.head()
            #expect(head.length == 5)
            await store.close()
        }
    }
}

/// Changes of several logs with one write.
@Suite struct AtomTests {
    @Test func changesOfTwoLogsHappenTogether() throws {
        let world = SimulatedWorld(seed: 181)
        let storage = FailingStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let first = try await store.database(named: "first")
            let second = try await store.database(named: "second", encryption: .key(Bytes32(repeating: 3)))
            try await first.append((0..<6).map { content($0) })
            var atom = Atom()
            #expect(atom.isEmpty)
            atom.append([content(10)], to: first)
            atom.append([content(20), content(21)], to: second)
            atom.truncate(first, to: 3)
            atom.append([content(11), content(12)], to: first)
            atom.setUserData("state", [1], of: first)
            atom.setUserData("state", [2], of: second)
            let ranges = try await store.commit(atom)
            #expect(ranges == [6..<7, 0..<2, 3..<5])
            #expect(first.length == 5 && first.fork == 1 && second.length == 2 && second.byteLength == 24)
            let blocks = try await first.blocks(at: 0..<5)
            #expect(blocks == [content(0), content(1), content(2), content(11), content(12)])
            let encrypted = try await second.blocks(at: 0..<2)
            #expect(encrypted == [content(20), content(21)])
            let kept = try await second.userData("state")
            #expect(kept == [2])
            for log in [first, second] {
                let report = try await log.audit()
                #expect(report.isSound && log.contiguousLength == log.length)
            }
            // All or nothing: the disk refuses the one write.
            storage.isFailing = true
            var refused = Atom()
            refused.append([content(1)], to: first)
            refused.append([content(1)], to: second)
            await expectCode(.storage) { [refused] in try await store.commit(refused) }
            #expect(first.length == 5 && second.length == 2)
            storage.isFailing = false
            await expectCode(.storage) { try await first.append(content(1)) }
            await store.close()
            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "first")
            #expect(reopened.length == 5 && reopened.fork == 1)
            await again.close()
        }
    }

    @Test func refusedAtomsChangeNothing() throws {
        let world = SimulatedWorld(seed: 182)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append([content(0)])
            let reader = try await store.database(key: PublicKey(Bytes32(repeating: 9)))
            let other = try await world.store(2)
            let foreign = try await other.database(named: "log")
            let snapshot = try await log.snapshot()
            for (refusal, code) in [
                (reader, DDatabaseError.Code.notWritable), (foreign, .conflict), (snapshot, .notWritable),
            ] {
                var atom = Atom()
                atom.append([content(1)], to: log)
                atom.append([content(2)], to: refusal)
                await expectCode(code) { [atom] in try await store.commit(atom) }
            }
            var beyond = Atom()
            beyond.append([content(1)], to: log)
            beyond.truncate(log, to: 3)
            await expectCode(.outOfBounds) { [beyond] in try await store.commit(beyond) }
            #expect(log.length == 1)
            let none = try await store.commit(Atom())
            #expect(none.isEmpty)
            try await log.append(content(1))
            await store.close()
            await other.close()
        }
    }

    /// Many at once, over the same logs in different orders: nobody waits for each other.
    @Test func atomsThatOverlap() throws {
        let world = SimulatedWorld(seed: 183)
        try world.run {
            let store = try await world.store(1, storage: FailingStorage())
            let logs = [
                try await store.database(named: "a"), try await store.database(named: "b"),
                try await store.database(named: "c"),
            ]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<30 {
                    group.addTask {
                        var atom = Atom()
                        for offset in 0..<3 { atom.append([content(number)], to: logs[(number + offset) % 3]) }
                        try await store.commit(atom)
                    }
                    group.addTask { try await logs[number % 3].append(content(1_000)) }
                }
                try await group.waitForAll()
            }
            for log in logs {
                #expect(log.length == 40)
                let report = try await log.audit()
                #expect(report.isSound)
            }
            await store.close()
        }
    }
}
