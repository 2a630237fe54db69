import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTree
import Testing

/// Statements of the checklist of spec 50 about trees that no other suite asserts.
@Suite struct ConformanceTreeTests {
    @Test func theFirstPutWritesTheHeaderAndReadOnlyTreesWriteNothing() throws {
        try withTree { tree, _ in
            try await tree.put("a", "1")
            #expect(tree.database.length == 2)
        }
        var options = DTree.Options()
        options.isReadOnly = true
        try withTree(options: options) { tree, _ in
            #expect(await failure { try await tree.put("a", "1") } == .notWritable)
            #expect(await failure { try await tree.delete("a") } == .notWritable)
            #expect(await failure { try await tree.batch().put("a", "1") } == .notWritable)
            #expect(tree.database.length == 0)
        }
    }

    @Test func keysCompareAsUnsignedBytes() throws {
        try withTree { tree, _ in
            let keys: [[UInt8]] = [[], [0], [0, 0], [0x61], [0x61, 0x61], [0x7f], [0x80], [0xff], [0xff, 0]]
            for key in keys.reversed() { try await tree.put(key, key) }
            #expect(try await tree.all().map(\.key) == keys)
            // A bound without bytes is a bound like any other.
            #expect(try await tree.all(in: KeyRange(gt: [])).count == keys.count - 1)
            #expect(try await tree.all(in: KeyRange(gte: [])).count == keys.count)
            #expect(try await tree.all(in: KeyRange(lt: [])).isEmpty)
            #expect(try await tree.all(in: KeyRange(lte: [])).map(\.key) == [[]])
        }
    }

    @Test func strictBoundsWinAndNothingIsNothing() throws {
        try withTree { tree, _ in
            for key in ["a", "b", "c", "d"] { try await tree.put(key, key) }
            func keys(_ range: KeyRange, limit: Int? = nil) async throws -> [[UInt8]] {
                try await tree.all(in: range, limit: limit).map(\.key)
            }
            #expect(try await keys(KeyRange(gt: bytes("b"), gte: bytes("a"))) == [bytes("c"), bytes("d")])
            #expect(try await keys(KeyRange(lt: bytes("b"), lte: bytes("d"))) == [bytes("a")])
            #expect(try await keys(.all, limit: 0).isEmpty)
        }
    }

    @Test func putsWithoutValueInsideBatches() throws {
        try withTree { tree, _ in
            let batch = tree.batch()
            try await batch.put(bytes("none"), nil)
            try await batch.put("last", "x")
            try await batch.flush()
            let entry = try #require(try await tree.get("none"))
            #expect(entry.value == nil)
            var changes: [Bool] = []
            for try await change in tree.history() { changes.append(change.isDeletion) }
            // Nothing in the first block tells it from a deletion.
            #expect(changes == [true, false])
        }
    }

    @Test func readersNeverSeeALengthInsideABatch() throws {
        try withReader(seed: 12) { writer, reader in
            let log = writer.database
            let remote = reader.database
            var allowed: Set<UInt64> = [0, 1]
            var seen: Set<UInt64> = []
            for round in 0..<10 {
                let batch = writer.batch()
                for index in 0..<37 { try await batch.put("\(round) \(index)", "x") }
                try await batch.flush()
                allowed.insert(log.length)
                try await remote.waitForGrowth(beyond: seen.max() ?? 0)
                seen.insert(remote.length)
            }
            #expect(seen.isSubset(of: allowed) && seen.count > 5)
        }
    }

    @Test func watchersTellOfABurstOnce() throws {
        try withTree { tree, _ in
            try await tree.put("w0", "0")
            var watch = tree.changes(in: KeyRange(prefix: bytes("w"))).makeAsyncIterator()
            for index in 1..<10 { try await tree.put("w\(index)", "\(index)") }
            let pair = try #require(try await watch.next())
            #expect(pair.previous.version == 2 && pair.current.version == 11)
            try await tree.put("x", "out of range")
            try await tree.put("w1", "again")
            let second = try #require(try await watch.next())
            #expect(second.current.version == 13)
        }
    }
}
