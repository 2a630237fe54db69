import DWebBase
import DWebCrypto
import DWebDatabase
import DWebSimulation
import DWebTestSupport
import DWebTree
import Testing

/// The recorded trees: the operations give the recorded blocks, and queries give the recorded answers.
@Suite struct TreeVectorTests {
    /// How a recorded tree writes keys or values.
    private enum Encoding: String, Sendable {
        case text = "utf-8"
        case binary
        case json

        func bytes(_ value: JSONValue) throws -> [UInt8] {
            if let hex = try value["hex"].optional({ try $0.hexValue }) { return hex }
            switch self {
            case .text: return Array(try value.stringValue.utf8)
            case .binary: return try value.hexValue
            case .json: return Array(jsonText(value).utf8)
            }
        }
    }

    private struct Recorded: Sendable {
        let bee: JSONValue
        let keys: Encoding
        let values: Encoding

        init(_ bee: JSONValue) throws {
            self.bee = bee
            keys = try #require(Encoding(rawValue: try bee["keyEncoding"].stringValue))
            values = try #require(Encoding(rawValue: try bee["valueEncoding"].stringValue))
        }

        func value(_ operation: JSONValue) throws -> [UInt8]? {
            operation["noValue"] == .bool(true) ? nil : try values.bytes(operation["value"])
        }

        func view(_ tree: DTree, _ path: JSONValue, version: JSONValue = .null) throws -> DTree {
            var view = try version.optional { tree.checkout(try $0.uintValue) } ?? tree
            for name in try path.optional({ try $0.arrayValue }) ?? [] { view = view.sub(try name.stringValue) }
            return view
        }

        func check(_ entry: DTree.Entry?, _ expected: JSONValue) throws {
            guard !expected.isNull else {
                #expect(entry == nil)
                return
            }
            let entry = try #require(entry)
            #expect(entry.sequence == (try expected["seq"].uintValue))
            #expect(entry.key == (try keys.bytes(expected["key"])))
            let value = try expected["value"].isNull ? nil : values.bytes(expected["value"])
            #expect(entry.value == value)
        }

        func range(_ options: JSONValue) throws -> KeyRange {
            func bound(_ name: String) throws -> [UInt8]? { try options[name].optional { try keys.bytes($0) } }
            return KeyRange(gt: try bound("gt"), gte: try bound("gte"), lt: try bound("lt"), lte: try bound("lte"))
        }
    }

    private static func bees() throws -> [Recorded] {
        try VectorFile.json("bee-drive.json")["bees"].arrayValue.map { try Recorded($0) }
    }

    @Test func operationsReproduceTheBlocks() throws {
        for recorded in try Self.bees() {
            var options = DTree.Options()
            if !recorded.bee["metadata"].isNull {
                options.metadata = TreeHeader.Metadata(
                    contentFeed: try recorded.bee["metadata"]["contentFeed"].optional { try $0.hexValue },
                    userData: try recorded.bee["metadata"]["userData"].optional { try $0.hexValue })
            }
            try withTree(seed: try recorded.bee["signerSeed"].bytes32Value, options: options) { tree, _ in
                #expect(tree.key.bytes32 == (try recorded.bee["key"].bytes32Value))
                for operation in try recorded.bee["ops"].arrayValue {
                    try await Self.apply(operation, to: tree, recorded)
                    #expect(tree.database.length == (try operation["lengthAfter"].uintValue))
                }
                let expected = try recorded.bee["blocks"].arrayValue.map { try $0.hexValue }
                let blocks = try await tree.allBlocks()
                #expect(blocks.count == expected.count)
                for (index, (block, expected)) in zip(blocks, expected).enumerated() {
                    #expect(Hex.encode(block) == Hex.encode(expected), "\(recorded.bee["name"]) block \(index)")
                }
                #expect(tree.version == (try recorded.bee["version"].uintValue))
                #expect(tree.database.length == (try recorded.bee["length"].uintValue))
                for query in try recorded.bee["queries"].arrayValue { try await Self.check(query, on: tree, recorded) }
            }
        }
    }

    private static func apply(_ operation: JSONValue, to tree: DTree, _ recorded: Recorded) async throws {
        let view = try recorded.view(tree, operation["sub"])
        switch try operation["op"].stringValue {
        case "put": try await view.put(try recorded.keys.bytes(operation["key"]), try recorded.value(operation))
        case "del": try await view.delete(try recorded.keys.bytes(operation["key"]))
        case "batch":
            let batch = view.batch()
            for item in try operation["items"].arrayValue {
                let key = try recorded.keys.bytes(item["key"])
                if try item["op"].stringValue == "put" {
                    try await batch.put(key, try recorded.value(item))
                } else {
                    try await batch.delete(key)
                }
            }
            try await batch.flush()
        case "cas":
            let key = try recorded.keys.bytes(operation["key"])
            let value = try #require(try recorded.value(operation))
            let block: UInt64?
            switch try operation["mode"].stringValue {
            case "put if different": block = try await view.put(key, value) { $0.value != value }
            case "del if equal": block = try await view.delete(key) { $0.value == value }
            case let mode: throw JSONMismatch(description: "unknown mode \(mode)")
            }
            #expect((block == nil ? 0 : 1) == (try operation["appended"].intValue))
        case let name: throw JSONMismatch(description: "unknown operation \(name)")
        }
    }

    private struct JSONMismatch: Error { let description: String }

    private static func check(_ query: JSONValue, on tree: DTree, _ recorded: Recorded) async throws {
        let options = query["options"]
        let limit = try options["limit"].optional { try $0.intValue }
        let isReversed = try options["reverse"].optional { try $0.boolValue } ?? false
        switch try query["query"].stringValue {
        case "get":
            let view = try recorded.view(tree, query["sub"], version: query["version"])
            try recorded.check(try await view.get(try recorded.keys.bytes(query["key"])), query["result"])
        case "peek":
            let entry = try await tree.first(in: try recorded.range(options), isReversed: isReversed)
            try recorded.check(entry, query["result"])
        case "range":
            let view = try recorded.view(tree, query["sub"], version: query["version"])
            let entries = try await view.all(in: try recorded.range(options), isReversed: isReversed, limit: limit)
            let expected = try query["result"].arrayValue
            #expect(entries.count == expected.count)
            for (entry, expected) in zip(entries, expected) { try recorded.check(entry, expected) }
        case "history":
            let range = HistoryRange(
                gt: try options["gt"].optional { Int64(try $0.intValue) },
                gte: try options["gte"].optional { Int64(try $0.intValue) },
                lt: try options["lt"].optional { Int64(try $0.intValue) },
                lte: try options["lte"].optional { Int64(try $0.intValue) })
            var changes: [DTree.Change] = []
            for try await change in tree.history(range, isReversed: isReversed, limit: limit) { changes.append(change) }
            let expected = try query["result"].arrayValue
            #expect(changes.count == expected.count)
            for (change, expected) in zip(changes, expected) {
                try recorded.check(change.entry, expected)
                #expect(change.isDeletion == (try expected["type"].stringValue == "del"))
            }
        case "diff":
            let view = tree.checkout(try query["version"].uintValue)
            var differences: [DTree.Difference] = []
            for try await difference in view.differences(
                from: try query["other"].uintValue, in: try recorded.range(options), limit: limit)
            {
                differences.append(difference)
            }
            let expected = try query["result"].arrayValue
            #expect(differences.count == expected.count)
            for (difference, expected) in zip(differences, expected) {
                try recorded.check(difference.left, expected["left"])
                try recorded.check(difference.right, expected["right"])
            }
        case let name: throw JSONMismatch(description: "unknown query \(name)")
        }
    }

    @Test func blocksDecodeAndEncode() throws {
        for recorded in try Self.bees() {
            let blocks = try recorded.bee["blocks"].arrayValue.map { try $0.hexValue }
            let header = try TreeHeader(decoding: blocks[0])
            #expect(header.encoded == blocks[0])
            for (index, bytes) in blocks.enumerated().dropFirst() {
                let block = try TreeBlock(sequence: UInt64(index), decoding: bytes)
                let nodes = try block.nodes()
                #expect(nodes.allSatisfy { ($0?.keys.count ?? 0) <= TreeLimits.keyCount })
                _ = try block.isDeletion()
                // Every truncation is refused or, where it ends between two fields, reads as another valid block.
                for end in bytes.indices {
                    let part = Array(bytes[..<end])
                    do throws(TreeFault) {
                        let short = try TreeBlock(sequence: UInt64(index), decoding: part)
                        _ = try short.nodes()
                        #expect(!short.hasValue && block.hasValue && short.key == block.key)
                    } catch {
                        #expect(error == .malformed)
                    }
                }
            }
            for end in blocks[0].indices {
                guard let short = try? TreeHeader(decoding: Array(blocks[0][..<end])) else { continue }
                #expect(short.metadata == nil && header.metadata != nil)
            }
        }
    }

    // MARK: Vectors of the specification's text

    @Test func headers() throws {
        let cases: [(TreeHeader.Metadata?, String)] = [
            (nil, "0a086879706572626565"),
            (TreeHeader.Metadata(), "0a0868797065726265651200"),
            (
                TreeHeader.Metadata(contentFeed: [UInt8](repeating: 0xaa, count: 32)),
                "0a08687970657262656512220a20" + String(repeating: "aa", count: 32)
            ),
            (TreeHeader.Metadata(userData: bytes("hi")), "0a086879706572626565120412026869"),
        ]
        for (metadata, hex) in cases {
            let header = TreeHeader(metadata: metadata)
            #expect(Hex.encode(header.encoded) == hex)
            #expect(try TreeHeader(decoding: header.encoded) == header)
        }
    }

    @Test func workedSequence() throws {
        try withTree { tree, _ in
            for (index, letter) in "abcdefghi".enumerated() { try await tree.put(String(letter), "\(index + 1)") }
            try await tree.put("j", "10")
            try await tree.put("e", "55")
            try await tree.put("a", "11")
            try await tree.delete("c")
            #expect(try await tree.delete("nope") == nil)
            try await tree.delete("a")
            try await tree.put(bytes("novalue"), nil)
            try await tree.put("empty", "")
            let blocks = try await tree.allBlocks().map(Hex.encode)
            #expect(blocks[9] == "0a1b0a090a01051204090109020a060a04010203040a060a04060708091201691a0139")
            #expect(blocks[11] == "0a0b0a090a010b120409010a011201651a023535")
            #expect(blocks[13] == "0a1b0a090a010612040d010d020a060a040c02040b0a060a040708090a120163")
            #expect(blocks[14] == "0a0c0a0a0a0802040b060708090a120161")
            #expect(
                blocks[15] == "0a1b0a090a010712040f010f020a060a0402040b060a060a0408090a0f12076e6f76616c7565")
            #expect(blocks[16] == "0a140a090a0107120410010f020a070a0502040b10061205656d7074791a00")
            #expect(try await tree.get("novalue")?.value == nil)
            #expect(try await tree.get("novalue") != nil)
            #expect(try await tree.get("empty")?.value == [])
        }
    }

    @Test func largeGoldenRun() throws {
        try withTree { tree, _ in
            for index in 0..<200 { try await tree.put(Self.key(index), "v\(index)") }
            for index in stride(from: 0, through: 198, by: 3) { try await tree.delete(Self.key(index)) }
            let blocks = try await tree.allBlocks()
            #expect(blocks.count == 268)
            #expect(blocks.reduce(0) { $0 + $1.count } == 20_378)
            #expect(
                Hex.encode(blocks[81])
                    == "0a2f0a0c0a021932120631014a0151010a150a05373c41464b120c3b02400245024a034f0251020a080a064c4d"
                    + "4e4f505112056b303038301a03763830"
            )
            #expect(
                Hex.encode(blocks[267])
                    == "0a510a140a04396b9e01120ce70101f801018a02018b02010a1b0a08a701ae01b601c201120f83020283020388"
                    + "02028b02028b02030a100a0eb701b901ba01bc01bd01bf01c0010a0a0a08c301c501c601c80112056b30313938"
            )
            let entries = try await tree.all()
            #expect(entries.count == 133)
            #expect(entries.map(\.key) == (0..<200).filter { !$0.isMultiple(of: 3) }.map { bytes(Self.key($0)) })
            #expect(
                sha256(blocks.flatMap { $0 }) == "1f8a13ad97315dd56353c46b53a66f8c8d808e37b6d143f886fda42e43e95a37")
        }
    }

    @Test func batchVectors() throws {
        try withTree { tree, _ in
            var batch = tree.batch()
            for (key, value) in [("a", "A"), ("b", "B"), ("c", "C")] { try await batch.put(key, value) }
            #expect(try await batch.flush() == 1..<4)
            batch = tree.batch()
            try await batch.put("d", "D")
            try await batch.delete("a")
            try await batch.put("d", "DD")
            try await batch.flush()
            #expect(
                try await tree.allBlocks().dropFirst().map(Hex.encode) == [
                    "0a001201611a0141", "0a001201621a0142", "0a070a050a030102031201631a0143",
                    "0a001201641a0144", "0a00120161", "0a070a050a030203061201641a024444",
                ])
        }
        try withTree { tree, _ in
            let batch = tree.batch()
            for letter in "abcdefghijkl" { try await batch.put(String(letter), String(letter)) }
            try await batch.flush()
            let blocks = try await tree.allBlocks().map(Hex.encode)
            #expect(blocks[9] == "0a080a060a04010203041201691a0169")
            #expect(blocks[12] == "0a160a090a0105120409000c010a090a07060708090a0b0c12016c1a016c")
            #expect(blocks[8] == "0a001201681a0168")
            // A version inside the batch is no version where that can be told.
            await #expect(throws: DTreeError.self) { try await tree.checkout(9).get("a") }
        }
        try withTree { tree, _ in
            let batch = tree.batch()
            for index in 0..<30 {
                let number = (index * 7) % 30
                try await batch.put(number < 10 ? "0\(number)" : "\(number)", "x")
            }
            try await batch.flush()
            let blocks = try await tree.allBlocks()
            #expect(
                Hex.encode(blocks[30])
                    == "0a1c0a0f0a0313031112081b001c001d001e010a090a071e0d1a09160512120232331a0178")
            #expect(
                sha256(blocks.flatMap { $0 }) == "71e6ce7b120860dfc2f4b9c67fc0d09365703ef23e41b4b9a8f4f18531010bac")
        }
    }

    @Test func mixedGoldenRun() throws {
        try withTree { tree, _ in
            var state: UInt32 = 1
            func random() -> Int {
                state = state &* 1_664_525 &+ 1_013_904_223
                return Int(state >> 8)
            }
            var batch: TreeBatch?
            for index in 0..<3_000 {
                let choice = random() % 10
                let key = bytes("k\(random() % 300)")
                if batch == nil, random() % 20 == 0 { batch = tree.batch() }
                if choice < 6 {
                    if let batch {
                        try await batch.put(key, bytes("v\(index)"))
                    } else {
                        try await tree.put(key, bytes("v\(index)"))
                    }
                } else {
                    if let batch { try await batch.delete(key) } else { try await tree.delete(key) }
                }
                if let open = batch, random() % 8 == 0 {
                    try await open.flush()
                    batch = nil
                }
            }
            try await batch?.flush()
            let blocks = try await tree.allBlocks()
            #expect(blocks.count == 2_436)
            #expect(blocks.reduce(0) { $0 + $1.count } == 186_981)
            #expect(
                sha256(blocks.flatMap { $0 }) == "47cc255e2f4adfd3d5b187fbdf28ab9a072705474b9718229a5cdafb09c4a8fc")
        }
    }

    @Test func subTrees() throws {
        try withTree { tree, _ in
            try await tree.sub("users").put("bob", "1")
            #expect(Hex.encode(try await tree.allBlocks()[1]) == "0a050a030a01011209757365727300626f621a0131")
            try await tree.sub("users").sub("x").put("y", "2")
            #expect(try await tree.get([0x75, 0x73, 0x65, 0x72, 0x73, 0, 0x78, 0, 0x79]) != nil)
            try await tree.sub(bytes("z"), separator: bytes("!")).put("k", "3")
            #expect(try await tree.get([0x7a, 0x21, 0x6b])?.value == bytes("3"))
            try await tree.put("users2", "4")
            #expect(try await tree.sub("users").all().map(\.key) == [bytes("bob"), [0x78, 0, 0x79]])
            let version = tree.version
            try await tree.sub("users").put("late", "5")
            #expect(try await tree.checkout(version).sub("users").all().count == 2)
            #expect(try await tree.sub("users").checkout(version).all().count == 2)
            let range = KeyRange.all.prefixed(bytes("files") + [0])
            #expect(range == KeyRange(gte: bytes("files") + [0], lt: bytes("files") + [1]))
        }
    }

    @Test func hints() throws {
        let scan = TreeHint.Scan(
            version: 10, range: KeyRange(gte: bytes("a"), lt: bytes("z")), limit: 0, isReversed: false,
            checkpoint: [9, 0, 1, 4, 1, 0])
        let cases: [(TreeHint, String)] = [
            (TreeHint(get: TreeHint.Get(version: 300, key: bytes("hello"))), "120a08ac02120568656c6c6f"),
            (TreeHint(cache: TreeHint.Cache(start: 3, end: 10, blocks: [3, 7, 9])), "0a090803100a1a03030709"),
            (TreeHint(scan: scan), "1a14080a1201612a017a300038004206090001040100"),
            (
                TreeHint(
                    scan: TreeHint.Scan(version: 10, range: .all, limit: 5, isReversed: true, checkpoint: [])),
                "1a06080a30053801"
            ),
        ]
        for (hint, hex) in cases {
            #expect(Hex.encode(hint.encoded) == hex)
            #expect(try TreeHint(decoding: hint.encoded) == hint)
            for end in 0..<hint.encoded.count { _ = try? TreeHint(decoding: Array(hint.encoded[..<end])) }
            // Unknown fields are skipped.
            #expect(try TreeHint(decoding: hint.encoded + [0x50, 0x01]) == hint)
        }
    }

    @Test func hintsAreAnsweredFromWhatIsHere() throws {
        try withTree { tree, _ in
            for index in 0..<200 { try await tree.put(Self.key(index), "v\(index)") }
            let question = TreeHint(get: TreeHint.Get(version: 201, key: bytes("k0100")))
            let answers = await tree.answers(to: question.encoded)
            #expect(answers.map(Hex.encode) == ["0a16086410c9011a0fc8016496017d9501736e696d676665"])
            let beyond = TreeHint(get: TreeHint.Get(version: 202, key: bytes("k0100")))
            #expect(await tree.answers(to: beyond.encoded).isEmpty)
            let scan = TreeHint.Scan(version: 201, range: .all, limit: 0, isReversed: false, checkpoint: [])
            let all = try await tree.answers(to: TreeHint(scan: scan).encoded).map { try TreeHint(decoding: $0) }
            #expect(Set(all.flatMap { $0.cache?.blocks ?? [] }) == Set(1...200))
            #expect(all.allSatisfy { ($0.cache?.blocks.count ?? 0) <= 128 })
        }
    }

    private static func key(_ index: Int) -> String {
        let digits = "\(index)"
        return "k" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
