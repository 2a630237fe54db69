import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

/// Every key and record of the recorded stores, decoded and encoded again; spec 40 section 13.
@Suite struct StorageRecordVectorTests {
    private static func dumps() throws -> [(name: String, entries: [(key: [UInt8], value: [UInt8])])] {
        let index = try VectorFile.json("storage/index.json")
        return try index["fixtures"].arrayValue.map { fixture in
            let name = try fixture["name"].stringValue
            let dump = try VectorFile.json("storage/\(name).dump.json")
            return (
                name, try dump["entries"].arrayValue.map { (try $0["key"].hexValue, try $0["value"].hexValue) }
            )
        }
    }

    @Test func keysRoundTrip() throws {
        for dump in try StorageRecordVectorTests.dumps() {
            for entry in dump.entries {
                let kind = try RecordKind(key: entry.key)
                #expect(kind.key == entry.key, "\(dump.name) \(Hex.encode(entry.key))")
            }
        }
    }

    @Test func recordsRoundTrip() throws {
        var seen: Set<String> = []
        for dump in try StorageRecordVectorTests.dumps() {
            for entry in dump.entries {
                let again = try StorageRecordVectorTests.reencode(entry.key, entry.value, &seen)
                #expect(again == entry.value, "\(dump.name) \(Hex.encode(entry.key))")
            }
        }
        #expect(seen.isSuperset(of: ["storeHead", "core", "alias", "auth", "head", "hints", "node", "page"]))
    }

    private static func reencode(
        _ key: [UInt8], _ value: [UInt8], _ seen: inout Set<String>
    ) throws -> [UInt8] {
        switch try RecordKind(key: key) {
        case .storeHead:
            seen.insert("storeHead")
            return try StoreHead(decoding: value).encoded
        case .core(let discoveryKey):
            seen.insert("core")
            #expect(StoreRecordKeys.discoveryKey(ofCoreKey: key) == discoveryKey)
            return try CoreRecord(decoding: value).encoded
        case .alias:
            seen.insert("alias")
            #expect(value.count == 32)
            return value
        case .auth:
            seen.insert("auth")
            let record = try AuthRecord(decoding: value)
            #expect(PublicKey(record.key).discoveryKey.bytes32 == record.discoveryKey)
            if let stored = record.storedManifest {
                let manifest = try Manifest(stored: stored)
                #expect(manifest.storedEncoding == stored)
                #expect(manifest.belongs(to: PublicKey(record.key)))
            }
            if let pair = record.keyPair, let secret = pair.secretKey, let seed = Bytes32(secret.prefix(32)) {
                #expect(KeyPair(seed: seed).publicKey.bytes == pair.publicKey)
            }
            return record.encoded
        case .sessions: return try SessionsRecord(decoding: value).encoded
        case .group: return try GroupMembership(decoding: value).encoded
        case .head:
            seen.insert("head")
            return try HeadRecord(decoding: value).encoded
        case .dependency: return try DependencyRecord(decoding: value).encoded
        case .hints:
            seen.insert("hints")
            return try HintsRecord(decoding: value).encoded
        case .node(_, let index):
            seen.insert("node")
            var reader = ByteReader(value)
            let node = try TreeNode(from: &reader)
            #expect(node.index == index && reader.isAtEnd)
            var writer = ByteWriter()
            node.encode(into: &writer)
            return writer.bytes
        case .page:
            seen.insert("page")
            #expect(value.count == 4_096)
            return value
        case .block, .userData, .local, .mark, .groupTopic, .groupEntry: return value
        }
    }

    @Test func expectedStateIsRead() throws {
        let index = try VectorFile.json("storage/index.json")
        for fixture in try index["fixtures"].arrayValue {
            let name = try fixture["name"].stringValue
            let expected = try VectorFile.json("storage/\(name).expected.json")
            var records: [[UInt8]: [UInt8]] = [:]
            for entry in try VectorFile.json("storage/\(name).dump.json")["entries"].arrayValue {
                records[try entry["key"].hexValue] = try entry["value"].hexValue
            }
            let head = try StoreHead(decoding: try #require(records[StoreRecordKeys.head]))
            let primaryKey = try expected["primaryKey"].bytes32Value
            #expect(head.primaryKey == primaryKey)
            for core in try expected["cores"].arrayValue {
                let discoveryKey = DiscoveryKey(try core["discoveryKey"].bytes32Value)
                let record = try CoreRecord(decoding: try #require(records[StoreRecordKeys.core(discoveryKey)]))
                let auth = try AuthRecord(
                    decoding: try #require(records[StoreRecordKeys.auth(core: record.corePointer)]))
                let key = try core["key"].bytes32Value
                #expect(auth.key == key)
                let keys = DataKeys(dataPointer: record.dataPointer)
                let length = try core["length"].uintValue
                guard length > 0 else {
                    #expect(records[keys.head] == nil)
                    continue
                }
                let state = try HeadRecord(decoding: try #require(records[keys.head]))
                let treeHash = try core["treeHash"].bytes32Value
                let fork = try core["fork"].uintValue
                let signature = try core["signature"].hexValue
                #expect(state.length == length && state.fork == fork)
                #expect(state.treeHash == treeHash && state.signature == signature)
                for block in try core["blocks"].arrayValue {
                    let value = try #require(records[keys.block(try block[0].uintValue)])
                    let byteCount = try block[1].intValue
                    #expect(value.count == byteCount)
                }
            }
        }
    }
}

/// Record codecs and keys that no recorded store contains.
@Suite struct StorageRecordTests {
    private let root = Bytes32.zero

    @Test func workedDump() throws {
        // Spec 40 section 13.3.
        let discoveryKey = try #require(
            DiscoveryKey(Hex.decode("8bdd013debedd1c3f3309e5c6bb629c53bb27060565a163cd9dda72a671275a7")!))
        var head = StoreHead()
        head.nextCore = 1
        head.nextData = 1
        head.primaryKey = Bytes32(repeating: 1)
        head.defaultDiscoveryKey = discoveryKey.bytes32
        let one = String(repeating: "01", count: 32)
        #expect(Hex.encode(head.encoded) == "0201010003\(one)\(discoveryKey.hex)")
        #expect(Hex.encode(StoreRecordKeys.core(discoveryKey)) == "01" + discoveryKey.hex)
        let alias = LogAlias(name: "first", namespace: root)
        let core = CoreRecord(corePointer: 0, dataPointer: 0, alias: alias)
        let zero = String(repeating: "00", count: 32)
        #expect(Hex.encode(core.encoded) == "02000001056669727374\(zero)")
        #expect(Hex.encode(StoreRecordKeys.alias(alias)) == "02\(zero)0066697273740001")
        let keys = DataKeys(dataPointer: 0)
        #expect(Hex.encode(StoreRecordKeys.auth(core: 0)) == "030000")
        #expect(Hex.encode(keys.head) == "040000")
        #expect(Hex.encode(keys.hints) == "040002")
        #expect(Hex.encode(keys.block(1)) == "04000301")
        #expect(Hex.encode(keys.node(2)) == "04000402")
        #expect(Hex.encode(keys.bitfieldPage(0)) == "0400050000")
        #expect(Hex.encode(keys.userData("hello")) == "04000600" + "68656c6c6f" + "0001")
        var hints = HintsRecord()
        hints.contiguousLength = 2
        #expect(hints.encoded == [1, 2])
    }

    @Test func oldStoreHeads() throws {
        let ddk = [UInt8](repeating: 7, count: 32)
        let old = try StoreHead(decoding: [1, 5, 1, 1] + ddk)
        #expect(old.nextCore == 1 && old.nextData == 1 && old.nextGroup == 0 && old.primaryKey == nil)
        #expect(old.defaultDiscoveryKey == Bytes32(repeating: 7))
        #expect(old.encoded == [2, 1, 1, 0, 2] + ddk)
        #expect(throws: CodecError.unknownVersion(3)) { try StoreHead(decoding: [3, 0, 0, 0, 0]) }
        #expect(throws: CodecError.unknownVersion(3)) { try CoreRecord(decoding: [3, 0, 0, 0]) }
        #expect(try CoreRecord(decoding: [1, 0, 0, 0]).version == 1)
    }

    @Test func headWithoutFlags() throws {
        let hash = [UInt8](repeating: 9, count: 32)
        let head = try HeadRecord(decoding: [3, 2] + hash + [0])
        #expect(head.fork == 3 && head.length == 2 && head.signature == nil && head.timestampMilliseconds == nil)
        #expect(HintsRecord().encoded == [0])
    }

    @Test func sessionsAndDependencies() throws {
        // Spec 40 section 13.3: the named session "draft1".
        let sessions = try SessionsRecord(decoding: Hex.decode("010664726166743102")!)
        #expect(sessions.sessions == [.init(name: "draft1", dataPointer: 2)])
        #expect(Hex.encode(sessions.encoded) == "010664726166743102")
        #expect(try DependencyRecord(decoding: [1, 3]) == DependencyRecord(dataPointer: 1, length: 3))
        #expect(DependencyRecord(dataPointer: 1, length: 3).encoded == [1, 3])
        let group = GroupMembership(topic: Bytes32(repeating: 4), groupPointer: 6)
        #expect(try GroupMembership(decoding: group.encoded) == group)
        #expect(GroupMembership(topic: nil, groupPointer: 0).encoded == [0])
    }

    @Test func truncatedRecordsAreRefused() throws {
        var auth = AuthRecord(key: Bytes32(repeating: 1), discoveryKey: Bytes32(repeating: 2))
        auth.storedManifest = [1, 2, 3]
        auth.keyPair = .init(publicKey: [4, 5], secretKey: [6])
        auth.encryptionKey = [7, 8]
        #expect(try AuthRecord(decoding: auth.encoded) == auth)
        let head = HeadRecord(
            fork: 1, length: 300, treeHash: root, signature: [1, 2, 3], timestampMilliseconds: 1_700_000_000_000)
        #expect(try HeadRecord(decoding: head.encoded) == head)
        let core = CoreRecord(
            corePointer: 1, dataPointer: 2, alias: LogAlias(name: "a\0b", namespace: Bytes32(repeating: 3)))
        #expect(try CoreRecord(decoding: core.encoded) == core)
        for count in auth.encoded.indices {
            #expect(throws: CodecError.self) { try AuthRecord(decoding: Array(auth.encoded[..<count])) }
        }
        // Ending before the flags byte is the older layout; everything else short is refused.
        let oldEnd = head.encoded.count - 9
        for count in head.encoded.indices where count != oldEnd {
            #expect(throws: CodecError.self) { try HeadRecord(decoding: Array(head.encoded[..<count])) }
        }
        for count in core.encoded.indices {
            #expect(throws: CodecError.self) { try CoreRecord(decoding: Array(core.encoded[..<count])) }
        }
        for count in 0..<3 { #expect(throws: CodecError.self) { try RecordKind(key: Array([4, 0, 3].prefix(count))) } }
    }

    @Test func keysSortLikeTheirIndices() throws {
        let keys = DataKeys(dataPointer: 300)
        let indices: [UInt64] = [0, 1, 251, 252, 65_535, 65_536, 1 << 32, ByteReader.integerLimit]
        let built = indices.map { keys.block($0) }
        for (left, right) in zip(built, built.dropFirst()) { #expect(left.lexicographicallyPrecedes(right)) }
        for (index, key) in zip(indices, built) { #expect(try keys.blockIndex(ofKey: key) == index) }
        let span = keys.blocks(from: 0)
        #expect(
            built.allSatisfy { !$0.lexicographicallyPrecedes(span.start) && $0.lexicographicallyPrecedes(span.end) })
        #expect(built.allSatisfy { $0.lexicographicallyPrecedes(keys.everything.end) })
        let name = "a\0\u{e9}"
        #expect(try keys.userDataName(ofKey: keys.userData(name)) == name)
        #expect(try keys.page(ofKey: keys.bitfieldPage(70_000)) == 70_000)
        let alias = LogAlias(name: "a\0b", namespace: root)
        #expect(try StoreRecordKeys.alias(ofKey: StoreRecordKeys.alias(alias)) == alias)
        #expect(StoreRecordKeys.aliases(in: root).start.lexicographicallyPrecedes(StoreRecordKeys.alias(alias)))
        #expect(StoreRecordKeys.alias(alias).lexicographicallyPrecedes(StoreRecordKeys.aliases(in: root).end))
        let entry = RecordKind.groupEntry(group: 5, timestampMilliseconds: 1_700_000_000_000, core: 9)
        #expect(try RecordKind(key: entry.key) == entry)
        #expect(try RecordKind(key: StoreRecordKeys.groupTopic(root)) == .groupTopic(root))
        #expect(try RecordKind(key: keys.local([1, 2])) == .local(data: 300, key: [1, 2]))
    }
}
