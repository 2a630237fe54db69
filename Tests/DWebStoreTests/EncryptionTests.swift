import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import Testing

/// Encrypted logs of the reference, written and read here.
@Suite struct EncryptionVectorTests {
    @Test func storedBlocksAreTheRecordedOnes() throws {
        let recorded = try VectorFile.json("crypto.json")["encryptedCore"]
        let primaryKey = try recorded["primaryKey"].bytes32Value
        let name = try recorded["name"].stringValue
        let encryption = BlockEncryption.key(try recorded["encryptionKey"].bytes32Value)
        let key = try recorded["key"].bytes32Value
        let blockKey = try recorded["blockKey"].bytes32Value
        let plain = try recorded["plain"].arrayValue.map { try $0.hexValue }
        let stored = try recorded["stored"].arrayValue.map { try $0.hexValue }
        let storedByteCount = try recorded["byteLengthOfCore"].uintValue
        let byteCount = try recorded["byteLengthReported"].uintValue
        let treeHash = try recorded["treeHash"].bytes32Value
        let signature = try recorded["signature"].hexValue
        let world = SimulatedWorld(seed: 141)
        try world.run {
            var options = BasestoreOptions()
            options.primaryKey = primaryKey
            let store = try await Basestore.open("store", runtime: world.host(1), options: options)
            let log = try await store.database(named: name, encryption: encryption)
            #expect(log.key.bytes32 == key && log.isEncrypted)
            try await log.append(Array(plain.prefix(3)))
            for block in plain.dropFirst(3) { try await log.append(block) }
            #expect(log.byteLength == byteCount)
            let contents = try await log.blocks(at: 0..<log.length)
            #expect(contents == plain)
            let raw = try await store.database(named: name)
            let blocks = try await raw.blocks(at: 0..<raw.length)
            #expect(blocks == stored && raw.byteLength == storedByteCount && !raw.isEncrypted)
            let signed = await log.engine.signedTree
            #expect(signed.tree.hash == treeHash && signed.signature == signature)
            let byBlockKey = try await store.database(named: name, encryption: .blockKey(blockKey))
            let first = try await byBlockKey.block(at: 0)
            #expect(first == plain[0])
            await store.close()
        }
    }

    @Test func theRecordedSessionThroughAPeerWithoutTheKey() throws {
        let scenarios = try VectorFile.json("replication.json")["scenarios"].arrayValue
        let encrypted = scenarios.filter { (try? $0["encryptionKey"].bytes32Value) != nil }
        #expect(!encrypted.isEmpty)
        for scenario in encrypted {
            let primaryKey = try scenario["writerPrimaryKey"].bytes32Value
            let name = try scenario["cores"][0]["name"].stringValue
            let encryption = BlockEncryption.key(try scenario["encryptionKey"].bytes32Value)
            let blocks = try scenario["timeline"].arrayValue.filter { (try? $0["op"].stringValue) == "append" }
                .flatMap { try $0["blocks"].arrayValue.map { try $0.hexValue } }
            let result = scenario["result"][0]
            let byteLength = try result["byteLength"].uintValue
            let treeHash = try result["treeHash"].bytes32Value
            let hashes = try result["blockSha256"].arrayValue.map { try $0.stringValue }
            let found = try scenario["timeline"].arrayValue.filter { (try? $0["op"].stringValue) == "seek result" }
                .map {
                    (
                        bytes: try $0["bytes"].uintValue,
                        position: BytePosition(
                            blockIndex: try $0["block"].uintValue, byteOffset: try $0["offset"].uintValue)
                    )
                }
            #expect(!found.isEmpty && !blocks.isEmpty)
            let world = SimulatedWorld(seed: 142)
            try world.run {
                var options = BasestoreOptions()
                options.primaryKey = primaryKey
                let writer = try await Basestore.open("store", runtime: world.host(1), options: options)
                let source = try await writer.database(named: name, encryption: encryption)
                try await source.append(blocks)
                let middle = try await world.store(2)
                let blind = try await middle.database(key: source.key)
                try await connected(writer, middle) { try await blind.download(0..<source.length) }
                #expect(blind.byteLength == byteLength)
                let reader = try await world.store(3)
                let copy = try await reader.database(key: source.key, encryption: encryption)
                try await connected(reader, middle) {
                    #expect(await eventually(world.loop) { copy.peerCount == 1 })
                    // Locates bytes before the blocks are here, and reads them after that.
                    for (bytes, position) in found {
                        let answer = try await copy.seek(toByte: bytes)
                        #expect(answer == position)
                    }
                    try await copy.download(0..<UInt64(hashes.count))
                }
                let signed = await copy.engine.signedTree
                #expect(signed.tree.hash == treeHash && signed.tree.byteLength == byteLength)
                #expect(copy.byteLength == source.byteLength)
                for (index, hash) in hashes.enumerated() {
                    let content = try await copy.block(at: UInt64(index), .localOnly)
                    #expect(sha256(content) == hash)
                    let stored = try await blind.block(at: UInt64(index), .localOnly)
                    #expect(stored.count == content.count + 8 && sha256(stored) != hash)
                }
                for store in [writer, middle, reader] { await store.close() }
            }
        }
    }

    @Test func storedFixture() throws {
        var count = 0
        for fixture in try VectorFile.json("storage/index.json")["fixtures"].arrayValue {
            let name = try fixture["name"].stringValue
            let expected = try VectorFile.json("storage/\(name).expected.json")
            let entries = try VectorFile.json("storage/\(name).dump.json")["entries"].arrayValue.map {
                KeyValueEntry(key: try $0["key"].hexValue, value: try $0["value"].hexValue)
            }
            for core in try expected["cores"].arrayValue {
                guard let secret = try? core["encryptionKey"].bytes32Value else { continue }
                let key = PublicKey(try core["key"].bytes32Value)
                let hashes = try core["plainSha256"].arrayValue.map { try $0.stringValue }
                count += 1
                let world = SimulatedWorld(seed: 143)
                try world.run {
                    let storage = MemoryStorage()
                    let raw = try await storage.open("store", options: StorageOptions())
                    var batch = WriteBatch()
                    for entry in entries { batch.put(entry.key, entry.value) }
                    try await raw.apply(batch, durability: .processCrash)
                    await raw.close()
                    let store = try await Basestore.open("store", runtime: world.host(1, storage: storage))
                    let log = try await store.database(
                        key: key, createIfMissing: false, encryption: .key(secret))
                    for (index, hash) in hashes.enumerated() {
                        let content = try await log.block(at: UInt64(index), .localOnly)
                        #expect(sha256(content) == hash)
                    }
                    await store.close()
                }
            }
        }
        #expect(count > 0)
    }
}

/// What encryption means for the rest of a log.
@Suite struct EncryptionTests {
    @Test func bytesCountWithoutPadding() throws {
        let world = SimulatedWorld(seed: 144)
        try world.run {
            let store = try await world.store(1)
            let secret = store.createEncryptionKey("log")
            #expect(secret != store.createEncryptionKey("other"))
            #expect(secret != store.namespace("a").createEncryptionKey("log"))
            let log = try await store.database(named: "log", encryption: .key(secret))
            #expect(log.byteLength == 0)
            try await log.append(Array("hello".utf8))
            // Spec 40 section 18, number 22.
            #expect(log.byteLength == 5 && log.engine.published.head.byteLength == 13)
            let end = try await log.seek(toByte: 5)
            #expect(end == BytePosition(blockIndex: 1, byteOffset: 0))
            try await log.append([[], Array("world".utf8), [], [1]])
            #expect(log.byteLength == 11)
            for (bytes, block, offset) in [(0, 0, 0), (4, 0, 4), (6, 2, 1), (9, 2, 4)] as [(UInt64, UInt64, UInt64)] {
                let position = try await log.seek(toByte: bytes)
                #expect(position == BytePosition(blockIndex: block, byteOffset: offset), "\(bytes)")
            }
            await expectCode(.outOfBounds) { try await log.seek(toByte: 12) }
            let snapshot = try await log.snapshot()
            let session = try await log.session()
            try await session.truncate(to: 1)
            try await session.append(Array("again".utf8))
            #expect(snapshot.byteLength == 11 && session.byteLength == 10 && snapshot.isEncrypted)
            let again = try await session.block(at: 1)
            #expect(again == Array("again".utf8))
            var read: [[UInt8]] = []
            for try await block in log.blocks() { read.append(block) }
            #expect(read == [Array("hello".utf8), Array("again".utf8)])
            let most = (15 << 20) - 8
            await expectCode(.blockTooLarge) { try await log.append([UInt8](repeating: 0, count: most + 1)) }
            await store.close()
        }
    }

    @Test func theSameBytesLookDifferentInEveryBlockAndFork() throws {
        let world = SimulatedWorld(seed: 145)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log", encryption: .key(Bytes32(repeating: 5)))
            let raw = try await store.database(named: "log")
            var seen: Set<[UInt8]> = []
            for fork in 0..<3 {
                try await log.append([[UInt8]](repeating: content(1), count: 4))
                for index in 0..<UInt64(4) { seen.insert(try await raw.block(at: index)) }
                #expect(seen.count == 4 * (fork + 1))
                try await log.truncate(to: 0)
            }
            await store.close()
        }
    }

    @Test func anotherKeyGivesOtherBytesAndShortBlocksAreRefused() throws {
        let world = SimulatedWorld(seed: 146)
        try world.run {
            let store = try await world.store(1)
            let raw = try await store.database(named: "log")
            try await raw.append([[1, 2, 3], content(7)])
            let log = try await raw.session(encryption: .key(Bytes32(repeating: 5)))
            await expectCode(.undecipherable) { try await log.block(at: 0) }
            await expectCode(.undecipherable) { try await log.blocks(at: 0..<2) }
            let index = try await log.append(content(8))
            let other = try await raw.session(encryption: .key(Bytes32(repeating: 6)))
            let wrong = try await other.block(at: index)
            let right = try await log.block(at: index)
            #expect(wrong != content(8) && right == content(8))
            await store.close()
        }
    }

    @Test func aLogOfAnUnknownSignerIsDecipheredOnceItIsKnown() throws {
        let world = SimulatedWorld(seed: 147)
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            let source = try await writer.database(named: "log", encryption: .key(Bytes32(repeating: 5)))
            try await source.append((0..<10).map { content($0) })
            let copy = try await reader.database(key: source.key, encryption: .key(Bytes32(repeating: 5)))
            #expect(copy.byteLength == 0 && copy.engine.published.isCompatible == nil)
            try await connected(writer, reader) {
                let block = try await copy.block(at: 3)
                #expect(block == content(3) && copy.byteLength == 120)
                var read: [[UInt8]] = []
                for try await block in copy.blocks(from: 0) { read.append(block) }
                #expect(read == (0..<10).map { content($0) })
            }
            await writer.close()
            await reader.close()
        }
    }
}
