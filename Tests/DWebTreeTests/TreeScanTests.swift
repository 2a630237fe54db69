import DWebBase
import DWebCrypto
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import DWebTree
import Synchronization
import Testing

/// Scans of trees that are larger than what memory keeps of them.
@Suite struct TreeScanTests {
    private static let keyCount = 9_000

    private func key(_ index: Int) -> [UInt8] {
        // In an order that jumps about: neighbours in the tree lie far apart in the log.
        bytes("key-\(100_000 + index &* 7_919 % TreeScanTests.keyCount)")
    }

    /// About 700 bytes; some values are absent, some empty, some so large that memory does not keep them.
    private func value(_ index: Int) -> [UInt8]? {
        switch index % 500 {
        case 1: nil
        case 2: []
        case 3: [UInt8](repeating: UInt8(index & 255), count: 20_000)
        default: [UInt8](repeating: UInt8(index & 255), count: 600 + index % 200)
        }
    }

    @Test func everyEntryComesOnceAndInOrder() throws {
        try withTree { tree, runtime in
            let count = TreeScanTests.keyCount
            for start in stride(from: 0, to: count, by: 500) {
                let batch = tree.batch()
                for index in start..<start + 500 { try await batch.put(key(index), value(index)) }
                try await batch.flush()
            }
            let expected = (0..<count).map { (key($0), value($0)) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
            for isReversed in [false, true] {
                // A tree that has nothing in memory yet.
                let reader = DTree(tree.database, runtime: runtime)
                var entries = try await reader.all(isReversed: isReversed)
                if isReversed { entries.reverse() }
                #expect(entries.map(\.key) == expected.map(\.0))
                #expect(entries.map(\.value) == expected.map(\.1))
            }
        }
    }

    @Test func twoScansAtOnceDoNotDisturbEachOther() throws {
        try withTree { tree, runtime in
            let batch = tree.batch()
            for index in 0..<3_000 { try await batch.put(bytes("\(10_000 + index * 7 % 3_000)"), value(index)) }
            try await batch.flush()
            let reader = DTree(tree.database, runtime: runtime)
            var up = reader.entries().makeAsyncIterator()
            var down = reader.entries(isReversed: true).makeAsyncIterator()
            for index in 0..<3_000 {
                #expect(try await up.next()?.key == bytes("\(10_000 + index)"))
                #expect(try await down.next()?.key == bytes("\(12_999 - index)"))
            }
            #expect(try await up.next() == nil)
            #expect(try await down.next() == nil)
        }
    }

    @Test func entriesThatTurnLargeAreNotReadTogether() throws {
        let world = SimulatedWorld(seed: 4)
        try world.run {
            let storage = MeasuringStorage()
            let runtime = world.host(storage: storage)
            let log = try await writableLog(seed: Bytes32(repeating: 9), runtime: runtime)
            let tree = DTree(log, runtime: runtime)
            // Enough small ones that thousands are read ahead when the large ones come.
            let (smallCount, largeCount, largeByteCount) = (8_000, 60, 256 << 10)
            let batch = tree.batch()
            for index in 0..<smallCount { try await batch.put(bytes("a\(10_000 + index)"), bytes("\(index)")) }
            try await batch.flush()
            for index in 0..<largeCount {
                let value = [UInt8](repeating: UInt8(index), count: largeByteCount)
                try await tree.put(bytes("b\(10_000 + index * 7 % largeCount)"), value)
            }
            let reader = DTree(log, runtime: runtime)
            storage.forget()
            var count = 0
            for try await entry in reader.entries(.localOnly) {
                if count >= smallCount { #expect(entry.value?.count == largeByteCount) }
                count += 1
            }
            #expect(count == smallCount + largeCount)
            // The limit, and the value that reaches it with some bytes of its block.
            #expect(storage.mostAtOnce < TreeLimits.readByteLimit + largeByteCount + 10_000)
            #expect(storage.total <= 4 * largeCount * largeByteCount)
            for try await difference in reader.differences(from: 1, .localOnly) {
                count -= difference.left == nil ? 0 : 1
            }
            for try await _ in reader.history(HistoryRange(), isReversed: false, limit: nil, isLive: false, .localOnly)
            { count += 1 }
            #expect(count == smallCount + largeCount)
            #expect(storage.mostAtOnce <= TreeLimits.readByteLimit + 16 * largeByteCount)
        }
    }

    @Test func scansGoOnWhereOnlyPartOfALogIsStored() throws {
        try withReader(
            seed: 5,
            filledBy: { writer in
                let batch = writer.batch()
                for index in 0..<600 { try await batch.put(key(index), value(index)) }
                try await batch.flush()
                for index in 600..<900 { try await writer.put(key(index), value(index)) }
            }
        ) { writer, reader in
            let log = writer.database
            let remote = reader.database
            // Every other block is stored, nodes and keys alike.
            for block in stride(from: 0, to: log.length, by: 2) { _ = try await remote.block(at: block) }
            let expected = (0..<900).map { (key($0), value($0)) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
            let entries = try await reader.all()
            #expect(entries.map(\.key) == expected.map(\.0))
            #expect(entries.map(\.value) == expected.map(\.1))
        }
    }
}

/// Stores in memory that note how many bytes each read of theirs gave.
private final class MeasuringStorage: StorageProvider {
    private let memory = MemoryStorage()
    private let counts = Mutex((mostAtOnce: 0, total: 0))

    var mostAtOnce: Int { counts.withLock { $0.mostAtOnce } }
    var total: Int { counts.withLock { $0.total } }

    func forget() { counts.withLock { $0 = (0, 0) } }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        // Every read goes to the medium, so that all are noted.
        WatchedStore(try await memory.open(path, options: options)) {
            $0.isSlow = true
            $0.read = note
            $0.scan = { entries in self.note(entries.map(\.value)) }
        }
    }

    private func note(_ values: [[UInt8]?]) {
        let byteCount = values.reduce(0) { $0 + ($1?.count ?? 0) }
        counts.withLock { $0 = (max($0.mostAtOnce, byteCount), $0.total + byteCount) }
    }
}
