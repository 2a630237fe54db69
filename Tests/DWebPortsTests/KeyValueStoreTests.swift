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

    @Test(arguments: Kind.allCases) func thousandsOfReadsAtOnceKeepTheirOrder(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            func key(_ index: Int) -> [UInt8] { [1, UInt8(index >> 8), UInt8(index & 255)] }
            var batch = WriteBatch()
            for index in 0..<3_000 where index % 3 > 0 { batch.put(key(index), key(index)) }
            try await store.apply(batch, durability: .processCrash)
            for order in [Array(0..<3_000), (0..<3_000).map { $0 &* 7 % 3_000 }] {
                #expect(try await store.read(order.map(key)) == order.map { $0 % 3 > 0 ? key($0) : nil })
            }
        }
    }

    @Test(arguments: Kind.allCases) func manyReadsAtOnceKeepTheirOrder(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            // Some large enough for files of their own, some empty, some absent.
            func value(_ index: Int) -> [UInt8]? {
                let count = index % 7 == 0 ? 10_000 : index % 4
                return index % 5 == 0 ? nil : [UInt8](repeating: UInt8(index % 251), count: count)
            }
            func key(_ index: Int) -> [UInt8] { [1, UInt8(index >> 8), UInt8(index & 255)] }
            var batch = WriteBatch()
            for index in 0..<500 { if let value = value(index) { batch.put(key(index), value) } }
            try await store.apply(batch, durability: .processCrash)
            let order = Array(0..<500) + [7, 7, 3] + Array((0..<40).reversed())
            #expect(try await store.read(order.map(key)) == order.map(value))
            let nothing = try await store.read([])
            #expect(nothing.isEmpty)
            for index in 0..<100 {
                let expected = value(index).map { ImmediateRead.value($0) } ?? .absent
                let read = try store.readImmediately(key(index))
                #expect(read == expected || read == .wouldWait)
            }
        }
    }

    /// Entries of all kinds: small, large enough for files of their own, empty and absent.
    private static func boundedValue(_ index: Int) -> [UInt8]? {
        switch index % 50 {
        case 1: nil
        case 2: []
        case 3: [UInt8](repeating: UInt8(index % 251), count: 6_000)
        default: [UInt8](repeating: UInt8(index % 251), count: index % 90)
        }
    }

    private static func boundedKey(_ index: Int) -> [UInt8] { [1, UInt8(index >> 8), UInt8(index & 255)] }

    @Test(arguments: Kind.allCases, [1, 3, 40, 500]) func boundedReadsGiveWhatTheOthersGive(
        _ kind: Kind, step: Int
    ) async throws {
        try await withStore(kind) { store in
            let count = 20_000
            var batch = WriteBatch()
            for index in 0..<count {
                if let value = Self.boundedValue(index) { batch.put(Self.boundedKey(index), value) }
            }
            try await store.apply(batch, durability: .processCrash)
            // Ascending, descending, in no order, with twins, and with gaps that grow from none to as large as they come.
            let rising = (0..<400).map { $0 < 200 ? $0 : 200 + ($0 - 200) * step }.filter { $0 < count }
            let ascending = Array(stride(from: 0, to: count, by: step))
            for order in [
                ascending, ascending.reversed(), rising, (0..<2_000).map { $0 &* 7_919 % count } + [5, 5, 6],
            ] {
                let values = try await store.read(order.map(Self.boundedKey), byteLimit: .max)
                #expect(values == order.map(Self.boundedValue))
            }
            let nothing = try await store.read([], byteLimit: 1)
            #expect(nothing.isEmpty)
            let one = try await store.read([Self.boundedKey(5), Self.boundedKey(6)], byteLimit: 0)
            #expect(one == [Self.boundedValue(5)])
        }
    }

    /// 2,000 keys are read in two halves, and end at the limit in a walk; 200 are looked up.
    @Test(arguments: Kind.allCases, [200, 2_000]) func boundedReadsEndAtTheirLimit(
        _ kind: Kind, count: Int
    ) async throws {
        try await withStore(kind) { store in
            // Small ones first, so that nothing tells how large the others are.
            func value(_ index: Int) -> [UInt8] { [UInt8](repeating: 7, count: index < count / 4 ? 20 : 100_000) }
            for start in stride(from: 0, to: count, by: 100) {
                var batch = WriteBatch()
                for index in start..<start + 100 { batch.put(Self.boundedKey(index), value(index)) }
                try await store.apply(batch, durability: .processCrash)
            }
            let keys = (0..<count).map(Self.boundedKey)
            let limit = 1_000_000
            var readCount = 0
            while readCount < count {
                let values = try await store.read(Array(keys[readCount...]), byteLimit: limit)
                #expect(values == (readCount..<readCount + values.count).map(value))
                // Two halves, each with the value that reaches the limit.
                #expect(values.reduce(0) { $0 + ($1?.count ?? 0) } < 2 * (limit + 100_000))
                try #require(!values.isEmpty)
                readCount += values.count
                if readCount > count / 2 { break }
            }
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

    @Test(arguments: Kind.allCases) func aRangeIsCutWhereItsBytesReachTheLimit(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            var batch = WriteBatch()
            for index in UInt8(0)..<20 { batch.put([4, index], [UInt8](repeating: index, count: 100)) }
            try await store.apply(batch, durability: .processCrash)
            // What was just written is in memory, wherever the store is.
            let some = try #require(
                try store.entriesImmediately(from: [4, 10], to: [4, 20], limit: 100, byteLimit: 250))
            #expect(some.map(\.key) == [[4, 10], [4, 11], [4, 12]])
            let few = try store.entriesImmediately(from: [4, 10], to: [4, 20], limit: 2, byteLimit: 250)
            #expect(few?.map(\.key) == [[4, 10], [4, 11]])
            let all = try store.entriesImmediately(from: [4, 10], to: [4, 20], limit: 100, byteLimit: .max)
            #expect(all?.count == 10 && all?.last?.value == [UInt8](repeating: 19, count: 100))
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
            guard let error = error as? PortError, error.code == .locked else { return false }
            // On disk another process may have it: the error says which.
            return kind == .memory || error.detail.contains("process \(ProcessInfo.processInfo.processIdentifier)")
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

    /// The reference refuses a store whose marker was touched, so nothing here ever does that.
    @Test func theMarkerIsWrittenOnceAndNeverTouched() async throws {
        let path = NSTemporaryDirectory() + "dweb-ports-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        func marker() throws -> (text: String, modified: Date?, changed: Int) {
            var status = stat()
            stat(path + "/CORESTORE", &status)
            let attributes = try FileManager.default.attributesOfItem(atPath: path + "/CORESTORE")
            return (
                try String(contentsOfFile: path + "/CORESTORE", encoding: .utf8),
                attributes[.modificationDate] as? Date, Int(status.st_ino)
            )
        }
        let storage = RocksStorage()
        let store = try await storage.open(path, options: StorageOptions())
        let first = try marker()
        #expect(first.text.hasPrefix("device/platform=") && first.text.contains("device/inode=\(first.changed)\n"))
        var batch = WriteBatch()
        batch.put([1], [2])
        try await store.apply(batch, durability: .powerFailure)
        await store.close()
        for isReadOnly in [false, true, false] {
            var options = StorageOptions()
            options.isReadOnly = isReadOnly
            let again = try await storage.open(path, options: options)
            await again.close()
            #expect(try marker() == first)
        }
        // Touched long after it was written, as by a tool that restores files: refused.
        let later = Date().addingTimeInterval(60)
        try FileManager.default.setAttributes([.modificationDate: later], ofItemAtPath: path + "/CORESTORE")
        await #expect(throws: PortError.self) { try await storage.open(path, options: StorageOptions()) }
        var options = StorageOptions()
        options.allowsCopy = true
        let copy = try await storage.open(path, options: options)
        await copy.close()
    }

    /// Values from 4,096 bytes on, among them every page of a bitfield, live in blob files once they are flushed.
    @Test func largeValuesGoToBlobFiles() async throws {
        let path = NSTemporaryDirectory() + "dweb-ports-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let storage = RocksStorage()
        let page = (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var store = try await storage.open(path, options: StorageOptions())
        var batch = WriteBatch()
        for index in UInt8(0)..<8 { batch.put([4, 0, 5, index, 0], page.map { $0 &+ index }) }
        batch.put([4, 0, 3, 0], Array(page.dropLast()))
        try await store.apply(batch, durability: .processCrash)
        await store.close()
        // A first flush moves the log of writes to tables, and the large values out of them.
        store = try await storage.open(path, options: StorageOptions())
        try await store.compact(from: [0], to: [7])
        let files = try FileManager.default.contentsOfDirectory(atPath: path + "/db")
        let blobs = try files.filter { $0.hasSuffix(".blob") }.reduce(0) { total, name in
            let size = try FileManager.default.attributesOfItem(atPath: path + "/db/" + name)[.size] as? Int
            return total + (size ?? 0)
        }
        let tables = try files.filter { $0.hasSuffix(".sst") }.reduce(0) { total, name in
            let size = try FileManager.default.attributesOfItem(atPath: path + "/db/" + name)[.size] as? Int
            return total + (size ?? 0)
        }
        #expect(blobs > 8 * 4_096 && tables < 8_192, "\(blobs) and \(tables) bytes")
        let read = try await store.read((0..<8).map { [4, 0, 5, $0, 0] })
        #expect(read == (0..<8).map { index in page.map { $0 &+ index } })
        await store.close()
    }

    /// What the engine says that it does is what the reference's engine can read; spec 40 section 16.2.
    @Test func filesHaveTheListedOptions() async throws {
        let path = NSTemporaryDirectory() + "dweb-ports-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try await RocksStorage().open(path, options: StorageOptions())
        await store.close()
        let names = try FileManager.default.contentsOfDirectory(atPath: path + "/db").filter {
            $0.hasPrefix("OPTIONS-")
        }
        let newest = try #require(names.max())
        let text = try String(contentsOfFile: path + "/db/" + newest, encoding: .utf8)
        let family = try #require(text.firstRange(of: #"[CFOptions "corestore"]"#))
        let options = Set(
            text[family.upperBound...].split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
        for option in [
            "compression=kNoCompression", "blob_compression_type=kNoCompression", "min_blob_size=4096",
            "enable_blob_files=true", "enable_blob_garbage_collection=true", "blob_file_size=268435456",
            "comparator=leveldb.BytewiseComparator", "merge_operator=nullptr", "prefix_extractor=nullptr",
            "compaction_style=kCompactionStyleLevel", "num_levels=7", "block_size=8192", "format_version=5",
            "checksum=kXXH3", "whole_key_filtering=true",
            // Every table says which of its kinds of index it has, so that readers need not be told; docs/storage.md.
            "index_type=kTwoLevelIndexSearch", "partition_filters=true",
        ] {
            #expect(options.contains(option), "\(option) among \(options.sorted())")
        }
    }

    /// Whether scans and reads of `store` give exactly `model`.
    private func expect(_ store: any KeyValueStore, holds model: [[UInt8]: [UInt8]]) async throws {
        let all = try await store.entries(from: [], to: [255, 255], limit: .max, isReversed: false)
        #expect(all.map(\.key) == model.keys.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(all.allSatisfy { model[$0.key] == $0.value })
        let keys = Array(model.keys)
        #expect(try await store.read(keys) == keys.map { model[$0] })
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
            try await expect(store, holds: model)
        }
    }

    /// What batches of appends look like: runs in several regions, forwards and backwards, over keys that share many
    /// bytes and end before, at and behind a word.
    @Test func memoryAgreesWithADictionaryUnderRuns() async throws {
        var random = SystemRandomNumberGenerator()
        try await withStore(.memory) { store in
            var model: [[UInt8]: [UInt8]] = [:]
            for round in 0..<200 {
                var batch = WriteBatch()
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let prefix = [UInt8](repeating: 200, count: Int.random(in: 4..<14, using: &random))
                    let start = Int.random(in: 0..<60_000, using: &random)
                    let step = [-1, 1, 1, 2].randomElement(using: &random)!
                    for offset in 0..<Int.random(in: 1...600, using: &random) {
                        let number = (start + offset * step) & 0xffff
                        let key = prefix + [UInt8(number >> 8), UInt8(number & 255)]
                        if round % 5 == 4 {
                            batch.delete(key)
                            model[key] = nil
                        } else {
                            batch.put(key, [UInt8(round), UInt8(offset & 255)])
                            model[key] = [UInt8(round), UInt8(offset & 255)]
                        }
                    }
                }
                try await store.apply(batch, durability: .processCrash)
            }
            try await expect(store, holds: model)
        }
    }
}
