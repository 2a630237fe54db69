import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Testing

/// Logs whose stored records were damaged behind their back.
@Suite struct AuditTests {
    private static let blockCount = 3_000

    /// Writes a log, lets `damage` change its records, and opens it again.
    private func damaged(
        _ world: SimulatedWorld, blockCount: Int = blockCount,
        _ damage: @Sendable (DataKeys, inout WriteBatch) -> Void
    ) async throws -> (Basestore, DDatabase) {
        let storage = MemoryStorage()
        let store = try await world.store(1, storage: storage)
        let log = try await store.database(named: "log")
        try await log.append((0..<blockCount).map { content($0) })
        let keys = log.engine.keys
        await store.close()
        let raw = try await storage.open("store", options: StorageOptions())
        var batch = WriteBatch()
        damage(keys, &batch)
        try await raw.apply(batch, durability: .processCrash)
        await raw.close()
        let again = try await world.store(1, storage: storage)
        return (again, try await again.database(named: "log"))
    }

    @Test func aSoundLog() throws {
        let world = SimulatedWorld(seed: 131)
        try world.run {
            let (store, log) = try await damaged(world) { _, _ in }
            let report = try await log.audit()
            #expect(report.isSound && report.blockCount == 3_000 && report.byteCount == 36_000)
            #expect(report.nodeCount == 5_993, "two per block, less one per root")
            #expect(report.unprovenBlockCount == 0)
            try await log.truncate(to: 2_047)
            try await log.append([content(1)])
            try await log.clear(5..<700)
            let cut = try await log.audit(repairing: true)
            #expect(cut.isSound && cut.blockCount == 2_048 - 695)
            await store.close()
        }
    }

    @Test func damagedBlocksAreGivenUpAndDownloadedAgain() throws {
        let world = SimulatedWorld(seed: 132)
        try world.run {
            let (store, log) = try await damaged(world) { keys, batch in
                batch.put(keys.block(7), content(8))
                batch.delete(keys.block(2_000))
                batch.put(keys.block(3_001), [1])
                batch.put(keys.node(6_010), [1])
            }
            let found = try await log.audit()
            #expect(
                found.faults == [
                    .damagedBlock(7), .missingBlock(2_000), .strayRecord(index: 3_001), .strayRecord(index: 6_010),
                ])
            let repaired = try await log.audit(repairing: true)
            #expect(repaired.faultCount == 4 && repaired.droppedBlockCount == 2)
            let after = try await log.audit()
            #expect(after.isSound && after.blockCount == 2_998 && log.contiguousLength == 7)
            let has = try await log.has(7)
            #expect(!has)
            // Another copy of the log has what is missing here.
            let other = try await world.store(1)
            let copy = try await other.database(named: "log")
            try await copy.append((0..<AuditTests.blockCount).map { content($0) })
            try await connected(store, other) {
                let block = try await log.block(at: 7)
                #expect(block == content(7))
                try await log.download(0..<3_000)
            }
            let whole = try await log.audit()
            #expect(whole.isSound && whole.blockCount == 3_000)
            await store.close()
            await other.close()
        }
    }

    @Test func damagedNodesAreComputedAnew() throws {
        let world = SimulatedWorld(seed: 133)
        try world.run {
            // A leaf, a node in the middle, one above a thousand blocks, and two that are missing.
            let broken: [UInt64] = [10, 127, 1_023]
            let (store, log) = try await damaged(world) { keys, batch in
                for index in broken {
                    batch.put(
                        keys.node(index), StoredNodeSample(index: index).bytes)
                }
                batch.delete(keys.node(2_001))
                batch.delete(keys.node(2_048))
            }
            let report = try await log.audit(repairing: true)
            #expect(report.faultCount >= 3 && report.droppedBlockCount == 0 && report.rebuiltNodeCount > 0)
            let after = try await log.audit()
            #expect(after.isSound && after.nodeCount == 5_993 && log.contiguousLength == 3_000, "\(report) \(after)")
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) { try await copy.download(0..<3_000) }
            await store.close()
            await reader.close()
        }
    }

    @Test func whatContradictsTheTreeIsDropped() throws {
        let world = SimulatedWorld(seed: 134)
        try world.run {
            let (store, log) = try await damaged(world) { keys, batch in
                // Node and block are both wrong: nothing tells what was there.
                batch.put(keys.node(127), StoredNodeSample(index: 127).bytes)
                batch.put(keys.block(40), [9])
            }
            let report = try await log.audit(repairing: true)
            #expect(report.droppedBlockCount >= 64)
            let after = try await log.audit()
            #expect(after.isSound && after.blockCount == 3_000 - report.droppedBlockCount)
            await store.close()
        }
    }

    @Test func unmarkedBlocksCountAgain() throws {
        let world = SimulatedWorld(seed: 135)
        try world.run {
            let (store, log) = try await damaged(world, blockCount: 100) { keys, batch in
                batch.put(keys.bitfieldPage(0), [UInt8](repeating: 0, count: 4_096))
                batch.put(keys.hints, HintsRecord().encoded)
            }
            #expect(log.contiguousLength == 0)
            let report = try await log.audit(repairing: true)
            #expect(report.faults == (0..<100).map { .unmarkedBlock($0) })
            let has = try await log.has(0..<100)
            #expect(has && log.contiguousLength == 100)
            await store.close()
        }
    }

    /// The head vouches for the roots: where they are lost they follow from the blocks.
    @Test func lostRootsAreComputedFromBlocks() throws {
        let world = SimulatedWorld(seed: 136)
        try world.run {
            let (store, log) = try await damaged(world) { keys, batch in
                for root in FlatTree.fullRoots(length: 3_000) { batch.delete(keys.node(root)) }
            }
            #expect(log.length == 3_000)
            let report = try await log.audit()
            #expect(report.isSound && report.blockCount == 3_000)
            await store.close()
        }
    }
}

/// A tree node that is none.
private struct StoredNodeSample {
    let index: UInt64

    var bytes: [UInt8] {
        var writer = ByteWriter()
        TreeNode(index: index, size: 5, hash: Bytes32(repeating: 3)).encode(into: &writer)
        return writer.bytes
    }
}
