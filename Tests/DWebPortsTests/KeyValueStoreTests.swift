import DWebPorts
import DWebRocks
import Foundation
import Testing

/// One suite for every store: what memory does, the disk does.
@Suite struct KeyValueStoreTests {
    enum Kind: CaseIterable, Sendable { case memory, rocks }

    /// A provider and a path that no other test uses.
    private func makeProvider(_ kind: Kind) -> (any StorageProvider, String) {
        switch kind {
        case .memory: (MemoryStorage(), "store")
        case .rocks: (RocksStorage(), NSTemporaryDirectory() + "dweb-ports-\(UUID().uuidString)")
        }
    }

    private func withStore(_ kind: Kind, _ body: (any KeyValueStore) async throws -> Void) async throws {
        let (provider, path) = makeProvider(kind)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try await provider.open(path, options: StorageOptions())
        do { try await body(store) } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    @Test(arguments: Kind.allCases) func batchesApplyInOrderAndTogether(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            var batch = WriteBatch()
            batch.put([1], [10])
            batch.put([2], [20])
            batch.put([3], [])
            batch.delete([2])
            batch.put([2], [21])
            try await store.apply(batch, durability: .processCrash)
            #expect(try await store.read([[1], [2], [3], [4]]) == [[10], [21], [], nil])
            #expect(try store.readImmediately([2]) == .value([21]))
            #expect(try store.readImmediately([9]) == .absent)
        }
    }

    @Test(arguments: Kind.allCases) func rangesAreHalfOpenInBothDirections(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            var batch = WriteBatch()
            for index in UInt8(0)..<200 { batch.put([4, index], [index]) }
            try await store.apply(batch, durability: .processCrash)
            let up = try await store.entries(from: [4, 10], to: [4, 20], limit: 100, isReversed: false)
            #expect(up.map(\.key) == (10..<20).map { [4, $0] })
            let down = try await store.entries(from: [4, 10], to: [4, 20], limit: 3, isReversed: true)
            #expect(down.map(\.key) == [[4, 19], [4, 18], [4, 17]])
            #expect(try await store.entries(from: [5], to: [4], limit: 9, isReversed: false).isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func rangeDeletionLeavesTheRest(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            var batch = WriteBatch()
            for index in 0..<3_000 { batch.put([UInt8(index >> 8), UInt8(index & 255)], [7]) }
            batch.deleteRange([0, 100], [10, 0])
            try await store.apply(batch, durability: .processCrash)
            let left = try await store.entries(from: [], to: [255], limit: .max, isReversed: false)
            #expect(left.count == 100 + 3_000 - 2_560)
            #expect(left[99].key == [0, 99] && left[100].key == [10, 0])
        }
    }

    @Test(arguments: Kind.allCases) func snapshotsKeepTheirState(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            var batch = WriteBatch()
            batch.put([1], [1])
            try await store.apply(batch, durability: .processCrash)
            let snapshot = try store.snapshot()
            var change = WriteBatch()
            change.put([1], [2])
            change.put([2], [2])
            try await store.apply(change, durability: .powerFailure)
            #expect(try await snapshot.read([[1], [2]]) == [[1], nil])
            #expect(try snapshot.readImmediately([1]) == .value([1]))
            #expect(try await snapshot.entries(from: [], to: [9], limit: 9, isReversed: false).count == 1)
            #expect(try await store.read([[1]]) == [[2]])
            snapshot.close()
        }
    }

    @Test(arguments: Kind.allCases) func contentSurvivesReopeningAndTheLockHolds(_ kind: Kind) async throws {
        let (provider, path) = makeProvider(kind)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = try await provider.open(path, options: StorageOptions())
        var batch = WriteBatch()
        batch.put([1], Array(repeating: 5, count: 100_000))
        try await first.apply(batch, durability: .processCrash)
        await #expect { try await provider.open(path, options: StorageOptions()) } throws: { error in
            (error as? PortError)?.code == .locked
        }
        await first.close()
        await #expect { try await first.read([[1]]) } throws: { ($0 as? PortError)?.code == .closed }
        let second = try await provider.open(path, options: StorageOptions())
        #expect(try await second.read([[1]]) == [Array(repeating: 5, count: 100_000)])
        await second.close()
        await second.close()
    }

    @Test(arguments: Kind.allCases) func missingStoresAreNotCreatedUnasked(_ kind: Kind) async throws {
        let (provider, path) = makeProvider(kind)
        var options = StorageOptions()
        options.createIfMissing = false
        await #expect { try await provider.open(path, options: options) } throws: { error in
            (error as? PortError)?.code == .notFound
        }
    }

    @Test func aCopiedStoreIsRefusedUnlessAllowed() async throws {
        let path = NSTemporaryDirectory() + "dweb-ports-\(UUID().uuidString)"
        let copy = path + "-copy"
        defer {
            try? FileManager.default.removeItem(atPath: path)
            try? FileManager.default.removeItem(atPath: copy)
        }
        let store = try await RocksStorage().open(path, options: StorageOptions())
        await store.close()
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        await #expect(throws: PortError.self) { try await RocksStorage().open(copy, options: StorageOptions()) }
        var options = StorageOptions()
        options.allowsCopy = true
        let opened = try await RocksStorage().open(copy, options: options)
        await opened.close()
    }

    @Test func memoryAgreesWithADictionaryUnderRandomChanges() async throws {
        var random = SystemRandomNumberGenerator()
        try await withStore(.memory) { store in
            var model: [[UInt8]: [UInt8]] = [:]
            for _ in 0..<400 {
                var batch = WriteBatch()
                for _ in 0..<20 {
                    let key = [UInt8.random(in: 0..<8, using: &random), UInt8.random(in: 0..<255, using: &random)]
                    switch Int.random(in: 0..<10, using: &random) {
                    case 0..<7:
                        let value = [UInt8.random(in: 0...255, using: &random)]
                        batch.put(key, value)
                        model[key] = value
                    case 7..<9:
                        batch.delete(key)
                        model[key] = nil
                    default:
                        let end = [key[0], key[1] &+ 10]
                        batch.deleteRange(key, end)
                        model = model.filter {
                            $0.key.lexicographicallyPrecedes(key) || !$0.key.lexicographicallyPrecedes(end)
                                || !key.lexicographicallyPrecedes(end)
                        }
                    }
                }
                try await store.apply(batch, durability: .processCrash)
            }
            let all = try await store.entries(from: [], to: [255, 255], limit: .max, isReversed: false)
            #expect(all.map(\.key) == model.keys.sorted { $0.lexicographicallyPrecedes($1) })
            #expect(all.allSatisfy { model[$0.key] == $0.value })
        }
    }
}
