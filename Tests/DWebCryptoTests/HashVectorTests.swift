import DWebBase
import DWebCrypto
import DWebTestSupport
import Testing

@Suite struct HashVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("crypto.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func blake2bMatchesBothImplementations() throws {
        for item in try vectors["blake2b"].arrayValue {
            let input = try item["input"].hexValue
            let key = try item["key"].optional { try $0.hexValue } ?? []
            let byteCount = try item["outlen"].intValue
            let expected = try item["hash"].hexValue
            #expect(Blake2b.hash(input, byteCount: byteCount, key: key) == expected)
            var hasher = Blake2bHasher(byteCount: byteCount, key: key)
            hasher.update(input)
            #expect(hasher.finalize() == expected)
        }
    }

    @Test func leaves() throws {
        for item in try vectors["leaf"].arrayValue {
            let block = try item["block"].hexValue
            #expect(try MerkleHash.leaf(block) == item["hash"].bytes32Value)
            #expect(try MerkleHash.leaf([9] + block + [9], range: 1..<1 + block.count) == item["hash"].bytes32Value)
        }
    }

    @Test func parents() throws {
        for item in try vectors["parent"].arrayValue {
            var nodes = [item["left"], item["right"]]
            if try nodes[0]["index"].uintValue > nodes[1]["index"].uintValue { nodes.swapAt(0, 1) }
            let hash = MerkleHash.parent(
                byteCount: try nodes[0]["size"].uintValue + nodes[1]["size"].uintValue,
                left: try nodes[0]["hash"].bytes32Value, right: try nodes[1]["hash"].bytes32Value)
            #expect(try hash == item["hash"].bytes32Value)
        }
    }

    @Test func trees() throws {
        for item in try vectors["tree"].arrayValue {
            let roots = try item["roots"].arrayValue.map {
                (
                    hash: try $0["hash"].bytes32Value, index: try $0["index"].uintValue,
                    byteCount: try $0["size"].uintValue
                )
            }
            #expect(try MerkleHash.tree(roots) == item["hash"].bytes32Value)
        }
    }

    @Test func discoveryKeys() throws {
        for item in try vectors["discoveryKey"].arrayValue {
            let key = PublicKey(try item["key"].bytes32Value)
            #expect(try key.discoveryKey.bytes32 == item["discoveryKey"].bytes32Value)
        }
    }

    @Test func namespaces() throws {
        for item in try vectors["namespace"].arrayValue {
            let name = try item["name"].stringValue
            for (id, value) in zip(try item["ids"].arrayValue, try item["values"].arrayValue) {
                #expect(try Namespace.derive(name, UInt8(id.intValue)) == value.bytes32Value)
            }
        }
    }
}
