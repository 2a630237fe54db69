import DWebDatabase
import DWebTestSupport
import DWebTree
import Testing

/// A tree recorded beside the shared vectors: keys of several scripts, an empty key and keys with zero bytes, in batches
/// that touch the same keys again and again.
@Suite struct TreeFixtureTests {
    @Test func batchesOfTextReproduceTheRecordedLog() throws {
        let recorded = try FixtureFile.json("bee-text-batches.json")
        try withTree { tree, _ in
            for group in try recorded["groups"].arrayValue { try await Self.apply(try group.arrayValue, to: tree) }
            let expected = try recorded["blocks"].arrayValue.map { try $0.hexValue }
            #expect(try await tree.allBlocks() == expected)
        }
    }

    @Test func scanGivesTheRecordedEntries() throws {
        let recorded = try FixtureFile.json("bee-text-batches.json")
        let expected = try recorded["entries"].arrayValue.map { entry in
            let parts = try entry.arrayValue
            return DTree.Entry(
                sequence: try parts[0].uintValue, key: bytes(try parts[1].stringValue),
                value: bytes(try parts[2].stringValue))
        }
        #expect(expected.isEmpty == false)
        try withTree { tree, _ in
            for block in try recorded["blocks"].arrayValue { try await tree.database.append(try block.hexValue) }
            #expect(try await tree.all() == expected)
        }
    }

    /// One operation alone, several as one batch.
    private static func apply(_ operations: [JSONValue], to tree: DTree) async throws {
        let batch = tree.batch()
        for operation in operations {
            let parts = try operation.arrayValue
            let key = bytes(try parts[0].stringValue)
            let value = try parts[1].optional { bytes(try $0.stringValue) }
            switch (value, operations.count) {
            case (let value?, 1): try await tree.put(key, value)
            case (nil, 1): try await tree.delete(key)
            case (let value?, _): try await batch.put(key, value)
            case (nil, _): try await batch.delete(key)
            }
        }
        if operations.count > 1 { try await batch.flush() } else { await batch.close() }
    }
}
