import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebRocks
import DWebStore
import DWebTestSupport
import Foundation
import Testing

/// Stores on a real disk and a real clock.
@Suite struct DiskTests {
    @Test func stateSurvivesARestart() async throws {
        try await onDisk { path, runtime in
            let store = try await Basestore.open(path, runtime: runtime)
            let log = try await store.database(named: "log")
            try await log.append((0..<3_000).map { content($0) })
            try await log.append(content(3_000, byteCount: 100_000))
            let key = log.key
            await expectStoreCode(.locked) { try await Basestore.open(path, runtime: runtime) }
            await store.close()

            // What was written lies in table files now, and nothing of it is in memory.
            let again = try await Basestore.open(path, runtime: runtime)
            let reopened = try await again.database(key: key, createIfMissing: false)
            #expect(reopened.isWritable && reopened.length == 3_001 && reopened.contiguousLength == 3_001)
            let first = try await reopened.block(at: 0, .localOnly)
            let large = try await reopened.block(at: 3_000, .localOnly)
            #expect(first == content(0) && large == content(3_000, byteCount: 100_000))
            var read: [[UInt8]] = []
            for try await block in reopened.blocks(from: 2_900) { read.append(block) }
            #expect(read.count == 101 && read[0] == content(2_900))
            let position = try await reopened.seek(toByte: 12 * 1_500 + 5)
            #expect(position == BytePosition(blockIndex: 1_500, byteOffset: 5))

            let reader = try await Basestore.open(path + "-reader", runtime: runtime)
            defer { try? FileManager.default.removeItem(atPath: path + "-reader") }
            let copy = try await reader.database(key: key)
            try await connected(again, reader) {
                try await copy.download(0..<3_001)
                let last = try await copy.block(at: 3_000, .localOnly)
                #expect(last == content(3_000, byteCount: 100_000))
            }
            try await reopened.truncate(to: 100)
            #expect(reopened.length == 100 && reopened.fork == 1)
            await again.close()
            await reader.close()
        }
    }
}
