import DWebDatabase
import DWebTestSupport
import DWebTree
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
}
