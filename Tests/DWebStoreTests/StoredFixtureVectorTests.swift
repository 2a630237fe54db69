import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebRocks
import DWebSimulation
import DWebStore
import DWebTestSupport
import Foundation
import Testing

/// Stores that the reference wrote, opened and read here.
@Suite struct StoredFixtureVectorTests {
    @Test func storesFromTheirRecords() throws {
        for fixture in try VectorFile.json("storage/index.json")["fixtures"].arrayValue {
            let name = try fixture["name"].stringValue
            let entries = try VectorFile.json("storage/\(name).dump.json")["entries"].arrayValue.map {
                KeyValueEntry(key: try $0["key"].hexValue, value: try $0["value"].hexValue)
            }
            let expected = try VectorFile.json("storage/\(name).expected.json")
            let storage = MemoryStorage()
            let world = SimulatedWorld(seed: 71)
            try world.run {
                let raw = try await storage.open("store", options: StorageOptions())
                var batch = WriteBatch()
                for entry in entries { batch.put(entry.key, entry.value) }
                try await raw.apply(batch, durability: .processCrash)
                await raw.close()
                let store = try await Basestore.open("store", runtime: world.host(1, storage: storage))
                try await check(store, expected, entries)
                await store.close()
            }
        }
    }

    @Test func storesFromTheirFiles() async throws {
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: RocksStorage())
        var openedCount = 0
        for fixture in try VectorFile.json("storage/index.json")["fixtures"].arrayValue {
            let name = try fixture["name"].stringValue
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let tar = Process()
            tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            tar.arguments = [
                "tar", "xzf", VectorFile.folder.appendingPathComponent("storage/\(name).tar.gz").path, "-C",
                directory.path,
            ]
            try tar.run()
            tar.waitUntilExit()
            #expect(tar.terminationStatus == 0)
            let path = try #require(try storePath(below: directory))
            let entries = try VectorFile.json("storage/\(name).dump.json")["entries"].arrayValue.map {
                KeyValueEntry(key: try $0["key"].hexValue, value: try $0["value"].hexValue)
            }
            let expected = try VectorFile.json("storage/\(name).expected.json")
            var options = BasestoreOptions()
            options.storage.allowsCopy = true
            let store: Basestore
            do throws(BasestoreError) {
                store = try await Basestore.open(path, runtime: runtime, options: options)
            } catch {
                // Compacted tables have a format that engines before RocksDB 8.6 cannot read.
                #expect(error.code == .unsupportedVersion, "\(name): \(error)")
                continue
            }
            try await check(store, expected, entries)
            await store.close()
            openedCount += 1
        }
        #expect(openedCount > 0)
        await loop.shutdown()
    }

    private func storePath(below directory: URL) throws -> String? {
        let marker = FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil)?.first {
            ($0 as? URL)?.lastPathComponent == "CORESTORE"
        }
        return (marker as? URL)?.deletingLastPathComponent().path
    }

    private func check(_ store: Basestore, _ expected: JSONValue, _ entries: [KeyValueEntry]) async throws {
        let primaryKey = try expected["primaryKey"].bytes32Value
        #expect(store.primaryKey == primaryKey)
        var stored: [[UInt8]: [UInt8]] = [:]
        for entry in entries { stored[entry.key] = entry.value }
        for core in try expected["cores"].arrayValue {
            let label = try core["label"].stringValue
            let log = try await store.database(
                key: PublicKey(try core["key"].bytes32Value), createIfMissing: false)
            let length = try core["length"].uintValue
            let fork = try core["fork"].uintValue
            let byteLength = try core["storedByteLength"].uintValue
            let contiguous = try core["contiguousLength"].uintValue
            #expect(log.length == length && log.fork == fork && log.byteLength == byteLength, "\(label)")
            #expect(log.contiguousLength == contiguous, "\(label)")
            var has: Set<UInt64> = []
            for range in try core["hasRanges"].arrayValue {
                for index in try range[0].uintValue..<range[1].uintValue { has.insert(index) }
            }
            for index in 0..<length {
                let isStored = try await log.has(index)
                #expect(isStored == has.contains(index), "\(label) \(index)")
            }
            let values = Set(stored.values)
            for block in try core["blocks"].arrayValue {
                let bytes = try await log.block(at: try block[0].uintValue, .localOnly)
                let byteCount = try block[1].intValue
                #expect(bytes.count == byteCount && values.contains(bytes), "\(label)")
            }
            for (name, value) in try core["userData"].objectValue {
                let kept = try await log.userData(name)
                let expectedValue = try value.hexValue
                #expect(kept == expectedValue)
            }
        }
        for alias in try expected["aliases"].arrayValue {
            guard try alias["namespace"].bytes32Value == .zero else { continue }
            let log = try await store.database(named: try alias["name"].stringValue)
            #expect(log.isWritable)
            let index = try await log.append([1, 2, 3])
            let block = try await log.block(at: index, .localOnly)
            #expect(block == [1, 2, 3])
        }
    }
}
