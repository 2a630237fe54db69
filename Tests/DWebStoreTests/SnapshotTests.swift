import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebRocks
import DWebSimulation
import DWebStore
import Foundation
import Testing

/// Snapshots and checkouts keep reading what they saw.
@Suite struct SnapshotTests {
    @Test func whatWasStoredStaysReadable() throws {
        let world = SimulatedWorld(seed: 231)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append((0..<10).map { content($0) })
            try await log.setUserData("kept", [1])
            let snapshot = try await log.snapshot()
            let checkout = try await log.checkout(at: 6)
            #expect(checkout.length == 6 && checkout.byteLength == 72 && checkout.isSnapshot)
            try await log.clear(2..<4)
            try await log.truncate(to: 5)
            try await log.append((0..<20).map { content(1_000 + $0) })
            #expect(snapshot.length == 10 && snapshot.fork == 0 && log.length == 25 && log.fork == 1)
            let blocks = try await snapshot.blocks(at: 0..<10, .localOnly)
            #expect(blocks == (0..<10).map { content($0) })
            var read: [[UInt8]] = []
            for try await block in checkout.blocks(from: 1) { read.append(block) }
            #expect(read == (1..<6).map { content($0) })
            let hasAll = try await snapshot.has(0..<10)
            let hasMore = try await snapshot.has(10)
            #expect(hasAll && !hasMore)
            let inside = try await snapshot.checkout(at: 9)
            let last = try await inside.block(at: 8, .localOnly)
            #expect(last == content(8) && inside.byteLength == 108)
            await expectCode(.outOfBounds) { try await checkout.block(at: 6, .localOnly) }
            await expectCode(.outOfBounds) { try await log.checkout(at: 26) }
            await expectCode(.notWritable) { try await checkout.append([1]) }
            // One that is taken now sees the present log only.
            let now = try await log.snapshot()
            await expectCode(.blockNotAvailable) { try await now.block(at: 3, .localOnly) }
            await snapshot.close()
            await expectCode(.closed) { try await snapshot.block(at: 0, .localOnly) }
            await store.close()
        }
    }

    /// What a snapshot did not store comes from peers, as long as it is the same history.
    @Test func missingBlocksComeFromTheSameHistoryOnly() throws {
        let world = SimulatedWorld(seed: 232)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                _ = try await copy.block(at: 7)
                let snapshot = try await copy.snapshot()
                let early = try await snapshot.blocks(at: 0..<3)
                #expect(early == (0..<3).map { content($0) })
                try await source.truncate(to: 5)
                try await source.append((0..<5).map { content(100 + $0) })
                #expect(await eventually(world.loop) { copy.fork == 1 && copy.length == 10 })
                let seen = try await snapshot.block(at: 7)
                let shared = try await snapshot.block(at: 3)
                #expect(seen == content(7) && shared == content(3))
                await expectCode(.snapshotNotAvailable) { try await snapshot.block(at: 6) }
                await expectCode(.snapshotNotAvailable) { try await snapshot.blocks(at: 4..<7) }
                let present = try await copy.block(at: 6)
                #expect(present == content(101))
            }
            await writer.close()
            await reader.close()
        }
    }

    /// A read that waits while the history changes must not get a block of the new one.
    @Test func aTruncationDuringAReadIsNoticed() throws {
        let world = SimulatedWorld(seed: 233)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log")
            try await source.append((0..<10).map { content($0) })
            let copy = try await reader.database(key: source.key)
            try await connected(writer, reader) {
                #expect(await eventually(world.loop) { copy.length == 10 })
                try await source.clear(8..<9)
            }
            let snapshot = try await copy.snapshot()
            #expect(snapshot.length == 10)
            try await withThrowingTaskGroup(of: DDatabaseError.Code?.self) { group in
                group.addTask { await codeOf { try await snapshot.block(at: 8, .wait(upTo: .seconds(30))) } }
                await pause(world.loop, .seconds(1))
                try await source.truncate(to: 8)
                try await source.append([content(200), content(201)])
                try await connected(writer, reader) { await pause(world.loop, .seconds(2)) }
                let code = try await group.next()
                #expect(code == .snapshotNotAvailable)
            }
            await writer.close()
            await reader.close()
        }
    }

    /// A snapshot must not keep the files of a suspended store open.
    @Test func suspensionEndsTheView() async throws {
        try await onDisk { path, runtime in
            let store = try await Basestore.open(path, runtime: runtime)
            let log = try await store.database(named: "log")
            try await log.append((0..<10).map { content($0) })
            let snapshot = try await log.snapshot()
            try await log.clear(3..<4)
            try await log.truncate(to: 8)
            let before = try await snapshot.blocks(at: 0..<10, .localOnly)
            #expect(before == (0..<10).map { content($0) })
            await store.suspend()
            try await store.resume()
            let kept = try await snapshot.block(at: 7, .localOnly)
            #expect(kept == content(7))
            await expectCode(.snapshotNotAvailable) { try await snapshot.block(at: 9, .localOnly) }
            await expectCode(.blockNotAvailable) { try await snapshot.block(at: 3, .localOnly) }
            await store.close()
            let again = try await Basestore.open(path, runtime: runtime)
            await again.close()
        }
    }
}
