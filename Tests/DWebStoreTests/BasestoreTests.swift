import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import Testing

/// Names, keys and the life of a store.
@Suite struct BasestoreVectorTests {
    @Test func namedLogsHaveTheRecordedKeys() throws {
        let world = SimulatedWorld(seed: 41)
        let cases = try VectorFile.json("crypto.json")["corestore"].arrayValue
        #expect(!cases.isEmpty)
        for (number, recorded) in cases.enumerated() {
            let primaryKey = try recorded["primaryKey"].bytes32Value
            let entries = try recorded["entries"].arrayValue.map { entry in
                (
                    path: try entry["namespacePath"].arrayValue.map { try $0.stringValue },
                    name: try entry["name"].stringValue, namespace: try entry["namespace"].bytes32Value,
                    publicKey: try entry["publicKey"].hexValue, key: try entry["key"].hexValue,
                    discoveryKey: try entry["discoveryKey"].hexValue, id: try entry["id"].stringValue
                )
            }
            try world.run {
                var options = BasestoreOptions()
                options.primaryKey = primaryKey
                let store = try await Basestore.open("store\(number)", runtime: world.host(1), options: options)
                for entry in entries {
                    let view = entry.path.reduce(store) { $0.namespace($1) }
                    #expect(view.namespaceKey == entry.namespace)
                    #expect(view.createKeyPair(entry.name).publicKey.bytes == entry.publicKey)
                    let log = try await view.database(named: entry.name)
                    #expect(log.key.bytes == entry.key && log.discoveryKey.bytes == entry.discoveryKey)
                    #expect(log.key.text == entry.id && log.isWritable)
                }
                await store.close()
            }
        }
    }
}

@Suite struct BasestoreTests {
    @Test func namespacesKeepNamesApart() throws {
        let world = SimulatedWorld(seed: 42)
        let storage = MemoryStorage()
        try world.run {
            let store = try await world.store(1, storage: storage)
            let app = store.namespace("app")
            let nested = app.namespace("nested")
            let logs = [
                try await store.database(named: "log"), try await app.database(named: "log"),
                try await nested.database(named: "log"),
            ]
            #expect(Set(logs.map(\.key)).count == 3)
            for (number, log) in logs.enumerated() { try await log.append(content(number)) }
            let names = try await app.names()
            #expect(names.map(\.name) == ["log"] && names[0].discoveryKey == logs[1].discoveryKey)
            let keys = try await store.keys()
            #expect(Set(keys) == Set(logs.map(\.key)))
            await store.close()
            await expectStoreCode(.closed) { try await nested.database(named: "log") }

            let again = try await world.store(1, storage: storage)
            for (number, view) in [again, again.namespace("app"), again.namespace("app").namespace("nested")]
                .enumerated()
            {
                let log = try await view.database(named: "log")
                let block = try await log.block(at: 0, .localOnly)
                #expect(block == content(number))
            }
            await again.close()
        }
    }

    @Test func primaryKeys() throws {
        let world = SimulatedWorld(seed: 43)
        let storage = MemoryStorage()
        try world.run {
            let runtime = world.host(1, storage: storage)
            let store = try await Basestore.open("store", runtime: runtime)
            let generated = store.primaryKey
            await expectStoreCode(.locked) { try await Basestore.open("store", runtime: runtime) }
            await store.close()
            let again = try await Basestore.open("store", runtime: runtime)
            #expect(again.primaryKey == generated)
            await again.close()
            var options = BasestoreOptions()
            options.primaryKey = Bytes32(repeating: 7)
            await expectStoreCode(.conflict) { [options] in
                try await Basestore.open("store", runtime: runtime, options: options)
            }
            options.primaryKey = generated
            let third = try await Basestore.open("store", runtime: runtime, options: options)
            await third.close()
            options.storage.createIfMissing = false
            await expectStoreCode(.notFound) { [options] in
                try await Basestore.open("other", runtime: runtime, options: options)
            }
        }
    }

    @Test func newerStoresAreRefused() throws {
        let world = SimulatedWorld(seed: 44)
        let storage = MemoryStorage()
        try world.run {
            let raw = try await storage.open("store", options: StorageOptions())
            var batch = WriteBatch()
            batch.put([0], [3, 0, 0, 0, 0])
            try await raw.apply(batch, durability: .processCrash)
            await raw.close()
            await expectStoreCode(.unsupportedVersion) { try await world.store(1, storage: storage) }
        }
    }

    @Test func readersStayReaders() throws {
        let world = SimulatedWorld(seed: 45)
        try world.run {
            let store = try await world.store(1)
            let key = PublicKey(Bytes32(repeating: 5))
            await expectStoreCode(.notFound) { try await store.database(key: key, createIfMissing: false) }
            let log = try await store.database(key: key)
            #expect(!log.isWritable && log.key == key && log.discoveryKey == key.discoveryKey)
            let isStored = try await store.contains(key.discoveryKey)
            #expect(isStored)
            let again = try await store.database(key: key, createIfMissing: false)
            #expect(again.engine === log.engine)
            await store.close()
        }
    }

    @Test func logsByManifest() throws {
        let world = SimulatedWorld(seed: 47)
        try world.run {
            let store = try await world.store(1)
            let pairs = [store.createKeyPair("a"), store.createKeyPair("b")]
            let signers = pairs.map { Manifest.Signer(publicKey: $0.publicKey) }
            // Either of two may write.
            let either = try Manifest(quorum: 1, signers: signers)
            let log = try await store.database(manifest: either, signer: pairs[1])
            #expect(log.isWritable && log.key == either.key)
            try await log.append([content(0), content(1)])
            // Both must sign: nobody can append alone.
            let both = try Manifest(quorum: 2, signers: signers)
            let shared = try await store.database(manifest: both, signer: pairs[0])
            #expect(!shared.isWritable)
            await expectCode(.notWritable) { try await shared.append(content(0)) }
            let reader = try await world.store(2)
            let copy = try await reader.database(key: log.key)
            try await connected(store, reader) {
                let block = try await copy.block(at: 1)
                #expect(block == content(1))
            }
            await store.close()
            await reader.close()
        }
    }

    @Test func manyOpenAtOnce() throws {
        let world = SimulatedWorld(seed: 46)
        try world.run {
            let store = try await world.store(1)
            let engines = try await withThrowingTaskGroup(of: DDatabase.self) { group in
                for number in 0..<40 { group.addTask { try await store.database(named: "log\(number % 10)") } }
                var logs: [DDatabase] = []
                for try await log in group { logs.append(log) }
                return logs
            }
            #expect(Set(engines.map { ObjectIdentifier($0.engine) }).count == 10)
            let keys = try await store.keys()
            #expect(keys.count == 10)
            await store.close()
        }
    }
}

/// Expects `body` to fail with `code`.
func expectStoreCode<Result>(
    _ code: BasestoreError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Result
) async {
    do {
        _ = try await body()
        Issue.record("nothing failed", sourceLocation: sourceLocation)
    } catch let error as BasestoreError {
        #expect(error.code == code, sourceLocation: sourceLocation)
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
}
