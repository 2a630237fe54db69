import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

@Suite struct MerkleVectorTests {
    let file: JSONValue

    init() throws { file = try LogVectors.merkle.get() }

    @Test func flatTree() throws {
        for entry in try file["flatTree"].arrayValue {
            let index = try entry["index"].uintValue
            #expect(FlatTree.depth(index) == (try entry["depth"].uintValue))
            #expect(FlatTree.offset(index) == (try entry["offset"].uintValue))
            #expect(FlatTree.parent(index) == (try entry["parent"].uintValue))
            #expect(FlatTree.sibling(index) == (try entry["sibling"].uintValue))
            #expect(FlatTree.leafCount(index) == (try entry["countLeaves"].uintValue))
            #expect(FlatTree.leftSpan(index) == (try entry["spans"][0].uintValue))
            #expect(FlatTree.rightSpan(index) == (try entry["spans"][1].uintValue))
            #expect(FlatTree.leftChild(index) == (try entry["children"].optional { try $0[0].uintValue }))
            #expect(FlatTree.rightChild(index) == (try entry["children"].optional { try $0[1].uintValue }))
        }
        for entry in try file["fullRoots"].arrayValue {
            let roots = try entry["roots"].arrayValue.map { try $0.uintValue }
            #expect(Array(FlatTree.fullRoots(length: try entry["length"].uintValue)) == roots)
        }
    }

    @Test func logs() throws {
        for log in try file["logs"].arrayValue { try check(log) }
    }

    private func check(_ json: JSONValue) throws {
        let keyPair = KeyPair(seed: try json["signerSeed"].bytes32Value)
        let manifest = try Manifest(encoded: try json["manifest"].hexValue)
        let key = PublicKey(try json["key"].bytes32Value)
        #expect(manifest.belongs(to: key))
        let verifier = SignatureVerifier(key: key, manifest: manifest)
        #expect(verifier.isCompatible == (try json["compat"].boolValue))
        var log = TestLog(keyPairs: [keyPair], verifier: verifier)
        let blocks = try json["blocks"].arrayValue.map { try $0.hexValue }
        var states = try json["states"].arrayValue[...]
        if let first = states.first, try first["length"].uintValue == 0 { try check(states.removeFirst(), log) }
        for block in blocks {
            try log.append([block])
            guard let state = states.first, try state["length"].uintValue == log.tree.length else { continue }
            try check(states.removeFirst(), log)
        }
        #expect(states.isEmpty)
        if json["truncations"].isNull { try checkNodes(json["nodes"], log) }
        try checkOffsets(json, log)

        // All blocks at once give the same tree and the same nodes.
        var batch = MerkleTree()
        var created: [TreeNode] = []
        batch.append(blocks: blocks, collecting: &created)
        #expect(batch == log.tree)
        #expect(NodeTable(created).nodes == log.table.nodes)

        guard !json["truncations"].isNull else { return }
        for truncation in try json["truncations"].arrayValue {
            try log.truncate(to: try truncation["newLength"].uintValue)
            #expect(log.tree.fork == (try truncation["newFork"].uintValue))
        }
        var after = try json["afterTruncation"].arrayValue[...]
        try check(after.removeFirst(), log)
        for block in try json["blocksAfterTruncation"].arrayValue {
            try log.append([try block.hexValue])
            try check(after.removeFirst(), log)
        }
        #expect(after.isEmpty)
    }

    private func check(_ state: JSONValue, _ log: TestLog) throws {
        #expect(log.tree.fork == (try state["fork"].uintValue))
        #expect(log.tree.length == (try state["length"].uintValue))
        #expect(log.tree.byteLength == (try state["byteLength"].uintValue))
        #expect(log.tree.roots == (try state["roots"].arrayValue.map { try TreeNode(json: $0) }))
        #expect(log.tree.hash == (try state["treeHash"].bytes32Value))
        #expect(
            MerkleTree(fork: log.tree.fork, length: log.tree.length, roots: log.tree.roots) == log.tree)
        guard !state["signature"].isNull else { return }
        let signature = try state["signature"].hexValue
        #expect(log.verifier.signable(of: log.tree, bySigner: 0) == (try state["signable"].hexValue))
        #expect(log.signature == signature)
        #expect(log.verifier.isValid(SignedTree(tree: log.tree, signature: signature)))
        var otherFork = log.tree
        otherFork.fork += 1
        #expect(!log.verifier.isValid(SignedTree(tree: otherFork, signature: signature)))
    }

    private func checkNodes(_ json: JSONValue, _ log: TestLog) throws {
        let nodes = try json.arrayValue.map { try TreeNode(json: $0) }
        #expect(log.table.nodes == NodeTable(nodes).nodes)
    }

    private func checkOffsets(_ json: JSONValue, _ log: TestLog) throws {
        for entry in try json["seeks"].arrayValue {
            let expected = SeekResult.found(
                blockIndex: try entry["block"].uintValue, byteOffset: try entry["offset"].uintValue)
            let bytes = try entry["bytes"].uintValue
            #expect(try log.tree.seek(bytes: bytes, source: log.table) == expected)
        }
        var starts: [UInt64] = [0]
        for block in log.blocks { starts.append((starts.last ?? 0) + UInt64(block.count)) }
        for entry in try json["byteRanges"].arrayValue {
            let index = try entry["block"].uintValue
            let range = try log.tree.byteRange(ofBlock: index, source: log.table)
            #expect(UInt64(range.count) == (try entry["size"].uintValue))
            #expect(range == starts[Int(index)]..<starts[Int(index) + 1])
            // The recorded offset is absent where the recording implementation cannot compute it.
            if let offset = try entry["offset"].optional({ try $0.uintValue }) { #expect(range.lowerBound == offset) }
        }
    }

    @Test func multiSignatures() throws {
        let json = file["multisig"]
        let manifest = try Manifest(encoded: try json["manifest"].hexValue)
        let key = PublicKey(try json["key"].bytes32Value)
        #expect(manifest.key == key)
        let verifier = SignatureVerifier(key: key, manifest: manifest)
        let form = TreeSignable.current(context: key.bytes32)
        let length = try json["length"].uintValue
        let fork = try json["fork"].uintValue
        let treeHash = try json["treeHash"].bytes32Value
        let signable = form.bytes(treeHash: treeHash, length: length, fork: fork)
        #expect(signable == (try json["signable"].hexValue))
        for entry in try json["cases"].arrayValue {
            let signature = try entry["signature"].hexValue
            let note = try entry["note"].stringValue
            let isValid = verifier.isValid(signature, treeHash: treeHash, length: length, fork: fork)
            #expect(isValid == (try entry["valid"].boolValue), "\(note)")
        }
        for (position, seed) in try json["signerSeeds"].arrayValue.enumerated() {
            #expect(manifest.signers[position].publicKey == KeyPair(seed: try seed.bytes32Value).publicKey)
        }
    }
}
