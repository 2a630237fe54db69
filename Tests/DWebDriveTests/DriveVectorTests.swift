import DWebBase
import DWebCrypto
import DWebDatabase
import DWebDrive
import DWebLogCore
import DWebSimulation
import DWebStore
import DWebTestSupport
import DWebTree
import Testing

/// The recorded drives: the operations give the recorded blocks of both logs, and queries the recorded answers.
@Suite struct DriveVectorTests {
    @Test func operationsReproduceBothLogs() throws {
        for recorded in try VectorFile.json("bee-drive.json")["drives"].arrayValue {
            let world = SimulatedWorld(seed: 1)
            try world.run {
                let root = try await world.store(1, primaryKey: try recorded["primaryKey"].bytes32Value)
                let store = try recorded["namespace"].optional { root.namespace(try $0.stringValue) } ?? root
                let drive = try await DDrive.open(in: store)
                #expect(drive.key.bytes32 == (try recorded["key"].bytes32Value))
                #expect(drive.discoveryKey.bytes32 == (try recorded["discoveryKey"].bytes32Value))
                #expect(try await drive.contentDatabase().key.bytes32 == (try recorded["blobsKey"].bytes32Value))
                for operation in try recorded["ops"].arrayValue {
                    try await Self.apply(operation, to: drive)
                    #expect(drive.version == (try operation["version"].uintValue))
                }
                try await Self.check(drive, recorded)
            }
        }
    }

    private static func attributes(_ options: JSONValue) throws -> DDrive.Attributes {
        var attributes = DDrive.Attributes()
        attributes.isExecutable = options["executable"] == .bool(true)
        if !options["metadata"].isNull { attributes.metadata = try document(options["metadata"]) }
        return attributes
    }

    private static func document(_ value: JSONValue) throws -> JSONDocument {
        switch value {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .number(let value): .number(try #require(JSONDocument.Number(value)))
        case .string(let text): .string(text)
        case .array(let elements): .array(try elements.map(document))
        // The recorded members happen to be in alphabetical order.
        case .object(let members):
            .object(try members.keys.sorted().map { .init($0, try document(members[$0] ?? .null)) })
        }
    }

    private static func apply(_ operation: JSONValue, to drive: DDrive) async throws {
        let path = try operation["path"].optional { try $0.stringValue } ?? ""
        switch try operation["op"].stringValue {
        case "put":
            try await drive.write(
                try content(operation["content"]), to: path, try attributes(operation["options"]))
        case "write stream":
            let bytes = try content(operation["content"])
            let writer = try drive.writer(to: path, blocking: .perPiece)
            let size = try operation["chunkSize"].intValue
            for start in stride(from: 0, to: bytes.count, by: size) {
                try await writer.write(Array(bytes[start..<min(bytes.count, start + size)]))
            }
            try await writer.finish()
        case "symlink": try await drive.link(path, to: try operation["target"].stringValue)
        case "del": try await drive.remove(path)
        case "clear": try await drive.clear(path)
        case "batch":
            let batch = drive.batch()
            for item in try operation["items"].arrayValue {
                let path = try item["path"].stringValue
                switch try item["op"].stringValue {
                case "put":
                    try await batch.write(try content(item["content"]), to: path, try attributes(item["options"]))
                case "symlink": try await batch.link(path, to: try item["target"].stringValue)
                case "del": try await batch.remove(path)
                case let name: Issue.record("unknown operation \(name)")
                }
            }
            try await batch.flush()
        case let name: Issue.record("unknown operation \(name)")
        }
    }

    private static func check(_ drive: DDrive, _ recorded: JSONValue) async throws {
        let paths = try recorded["dbBlocks"].arrayValue
        #expect(drive.database.length == UInt64(paths.count))
        for (index, expected) in paths.enumerated() {
            let block = try await drive.database.block(at: UInt64(index), .localOnly)
            let hex = try expected.stringValue
            #expect(Hex.encode(block) == hex, "\(recorded["name"]) block \(index)")
        }
        let log = try await drive.contentDatabase()
        #expect(log.length == (try recorded["blobsLength"].uintValue))
        #expect(log.byteLength == (try recorded["blobsByteLength"].uintValue))
        for (index, expected) in try recorded["blobsBlocks"].arrayValue.enumerated() {
            let isStored = try await log.has(UInt64(index))
            #expect(isStored == !expected.isNull)
            guard isStored else { continue }
            let block = try await log.block(at: UInt64(index), .localOnly)
            #expect(block.count == (try expected["size"].intValue))
            if let hex = try expected["hex"].optional({ try $0.stringValue }) { #expect(Hex.encode(block) == hex) }
            if let hash = try expected["sha256"].optional({ try $0.stringValue }) { #expect(sha256(block) == hash) }
        }
        let entries = try recorded["entries"].arrayValue
        #expect(try await drive.paths() == (try entries.map { try $0["path"].stringValue }))
        for expected in entries {
            let path = try expected["path"].stringValue
            let entry = try #require(try await drive.entry(at: path))
            #expect(entry.sequence == (try expected["seq"].uintValue))
            #expect(entry.isExecutable == (try expected["executable"].boolValue))
            #expect(entry.linkTarget == (try expected["linkname"].optional { try $0.stringValue }))
            #expect(entry.metadata == (try expected["metadata"].optional { try document($0) }))
            if let blob = expected["blob"].optional({ $0 }) {
                #expect(
                    entry.blob
                        == BlobID(
                            blockOffset: try blob["blockOffset"].uintValue,
                            byteOffset: try blob["byteOffset"].uintValue,
                            blockLength: try blob["blockLength"].uintValue, byteLength: try blob["byteLength"].uintValue
                        ))
            } else {
                #expect(entry.blob == nil)
            }
            if let hash = try expected["sha256"].optional({ try $0.stringValue }) {
                #expect(sha256(try #require(try await drive.read(path))) == hash)
                #expect(sha256(try await drive.streamed(path)) == hash)
            }
        }
        for (folder, names) in try recorded["readdir"].objectValue {
            #expect(try await drive.names(in: folder).map(\.name) == (try names.arrayValue.map { try $0.stringValue }))
        }
        #expect(
            try await drive.names().map(\.firstPath)
                == (try recorded["listNonRecursive"].arrayValue.map { try $0.stringValue }))
        var differences: [[String?]] = []
        for try await difference in drive.differences(from: try recorded["diffFromVersion"].uintValue) {
            differences.append([difference.left?.path, difference.right?.path])
        }
        #expect(
            differences
                == (try recorded["diff"].arrayValue.map { step in
                    [
                        try step["left"].optional { try $0.stringValue },
                        try step["right"].optional { try $0.stringValue },
                    ]
                }))
        let checkout = drive.checkout(try recorded["checkout"]["version"].uintValue)
        #expect(
            try await checkout.paths() == (try recorded["checkout"]["paths"].arrayValue.map { try $0.stringValue }))
        for read in try recorded["byteReads"].arrayValue {
            let start = try read["start"].uintValue
            let range = start..<start + (try read["length"].uintValue)
            let path = try read["path"].stringValue
            #expect(sha256(try #require(try await drive.read(path, range: range))) == (try read["sha256"].stringValue))
            #expect(sha256(try await drive.streamed(path, range: range)) == (try read["sha256"].stringValue))
        }
    }

    // MARK: Vectors of the specification's text

    @Test func contentKeysFollowFromManifests() throws {
        func signer(_ key: UInt8, _ namespace: UInt8) -> Manifest.Signer {
            Manifest.Signer(publicKey: PublicKey(Bytes32(repeating: key)), namespace: Bytes32(repeating: namespace))
        }
        let cases: [(Manifest, String, String)] = [
            (
                try Manifest(signers: [.init(publicKey: PublicKey(Bytes32(repeating: 7)))]),
                "1e2eaa8bdea784f55baf7c2c4c84995d40463f2d8e1977d3737d6c2bc073b1f9",
                "e3a87a7748fe1316048f544dedb88d872d1c03e43ce1b7dee2c96950ed709500"
            ),
            (
                try Manifest(
                    version: 1, allowPatch: true, quorum: 2,
                    signers: [signer(1, 0x11), signer(2, 0x22), signer(3, 0x33)]),
                "586dcd6afad97b45c9fecacf5fba955221db2374eaf8320bec4c6b40addfa80a",
                "1c7e78f9077cc22557dd14d8f3f49356bfffeb7dea11b84cd0eabe7898f00ee2"
            ),
            (
                try Manifest(
                    version: 2, signers: [.init(publicKey: PublicKey(Bytes32(repeating: 7)))], userData: bytes("hi")),
                "884a1ecda086570724b3627233b6bf1427811094a7e90c6115c864979316812d",
                "2f6da0af7ea71c4e4b3b2560309e1297d26339e9fdc50a98edf28be2fd2b234c"
            ),
        ]
        for (manifest, driveKey, contentKey) in cases {
            #expect(manifest.key.hex == driveKey)
            #expect(BlobsManifest.derive(from: manifest, driveKey: manifest.key)?.key.hex == contentKey)
        }
        let compatible = try Manifest(version: 0, signers: [.init(publicKey: PublicKey(Bytes32(repeating: 7)))])
        #expect(BlobsManifest.derive(from: compatible, driveKey: compatible.key) == nil)
    }

    @Test func pathsAreNormalised() throws {
        let cases = ["a\\b": "/a/b", "a//b/./c/../d/": "/a/b/d", "foo:bar": "/foo:bar", "/x": "/x", "/": "/", ".": "/"]
        for (text, expected) in cases { #expect(try DrivePath(text).text == expected) }
        for text in ["../x", "/a/../../b", "a\0b"] { #expect(throws: DriveFault.invalidPath) { try DrivePath(text) } }
        for text in ["a", "", "/", "/a/", "//a", "/./a", "/a/..", "/a\\b", "/a\0"] {
            #expect(throws: DriveFault.invalidPath) { try DrivePath(stored: bytes(text)) }
        }
        #expect(throws: DriveFault.invalidPath) { try DrivePath(stored: [0x2f, 0xff]) }
    }

    @Test func entriesEncodeAsRecorded() throws {
        var record = EntryRecord()
        record.blob = BlobID(blockOffset: 1, byteOffset: 11, blockLength: 1, byteLength: 10)
        record.isExecutable = true
        record.metadata = .object([.init("mtime", .integer(1))])
        let text =
            #"{"executable":true,"linkname":null,"blob":{"blockOffset":1,"byteOffset":11,"blockLength":1,"#
            + #""byteLength":10},"metadata":{"mtime":1}}"#
        #expect(String(decoding: record.encoded, as: UTF8.self) == text)
        #expect(try EntryRecord(decoding: record.encoded) == record)
        let unknown = #"{"x":[1,{"y":"z\/"}],"linkname":"/a","later":1.50}"#
        let read = try EntryRecord(decoding: bytes(unknown))
        #expect(read.linkTarget == "/a" && read.unknown.count == 2)
        #expect(
            String(decoding: read.encoded, as: UTF8.self)
                == #"{"executable":false,"linkname":"/a","blob":null,"metadata":null,"x":[1,{"y":"z/"}],"later":1.50}"#)
    }

    @Test func blockMapsAndMappedBlobs() throws {
        let map = BlobMap(pieces: [.init(block: 2, byteCount: 3), .init(block: 3, byteCount: 300)])
        #expect(map.encoded.map(Hex.encode) == ["0002020303fd2c01"])
        #expect(try BlobMap(decoding: map.encoded, length: 4) == map)
        #expect(throws: DriveFault.malformedMap) { try BlobMap(decoding: map.encoded, length: 3) }
        let bytes = map.encoded[0]
        for end in bytes.indices {
            #expect(throws: DriveFault.malformedMap) { try BlobMap(decoding: [Array(bytes[..<end])], length: 4) }
        }
        #expect(throws: DriveFault.malformedMap) { try BlobMap(decoding: [bytes + [0]], length: 4) }
        #expect(throws: DriveFault.unsupportedMap(1)) { try BlobMap(decoding: [[1] + bytes.dropFirst()], length: 4) }
        try withDrive { drive in
            let log = try await drive.contentDatabase()
            for block in ["aaaa", "bbbb", "cccc"] { try await log.append(Array(block.utf8)) }
            try await log.append(Hex.decode("0003000401040204") ?? [])
            try await log.append(Array("dd".utf8))
            try await log.append(Hex.decode("00040004040202040004") ?? [])
            let record =
                #"{"executable":false,"linkname":null,"blob":{"blockOffset":5,"byteOffset":22,"blockLength":1,"#
                + #""byteLength":10,"blockMap":true},"metadata":null}"#
            try await drive.tree.sub("files").put("/mapped", record)
            #expect(try await drive.read("/mapped").map { String(decoding: $0, as: UTF8.self) } == "aaaaddccccaaaa")
            #expect(try await drive.read("/mapped", range: 3..<7).map { String(decoding: $0, as: UTF8.self) } == "addc")
            let entry = try #require(try await drive.entry(at: "/mapped"))
            #expect(try await drive.byteCount(of: entry) == 14)
            #expect(entry.record.encoded == Array(record.utf8))
            #expect(try await drive.isStored("/mapped"))
        }
    }
}
