import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Statements of the checklists in spec 30 section I and spec 40 section 18 that need a log, its tree or its records.
@Suite struct ConformanceLogTests {
    private let helloWorld = ["hello", "world"].map { Array($0.utf8) }
    private let treeHash = "28ac717e6b6a3fe16b4363f16cf1a308edceccf4a05ec501bd05fdbe5b42215b"

    private func isLess(_ left: [UInt8], _ right: [UInt8]) -> Bool { left.lexicographicallyPrecedes(right) }

    /// Spec 40, item 1.
    @Test func growingCreatesThePatch() throws {
        let roots = (1...8).map { Array(FlatTree.fullRoots(length: $0)) }
        #expect(roots == [[0], [1], [1, 4], [3], [3, 8], [3, 9], [3, 9, 12], [7]])
        func node(_ index: UInt64) -> TreeNode { TreeNode(index: index, size: 1, hash: .zero) }
        var tree = try #require(MerkleTree(fork: 0, length: 3, roots: [node(1), node(4)]))
        var created: [TreeNode] = []
        for index in FlatTree.connection(from: 3, to: 8) { try tree.append(root: node(index), collecting: &created) }
        #expect(created.map(\.index) == [6, 5, 3, 11, 7])
        #expect(tree.length == 8 && tree.roots.map(\.index) == [7])
    }

    /// Spec 40, item 2, and spec 00, items 17 and 18.
    @Test func theWorkedTree() {
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        #expect(Hex.encode(tree.hash.bytes) == "bb30a42c1e62f0afda5f0a4e8a562f7a13a24cea00ee81917b86b89e801314aa")
        tree.append(blocks: helloWorld, collecting: &nodes)
        #expect(nodes.map(\.index) == [0, 2, 1] && nodes.map(\.size) == [5, 5, 10])
        #expect(
            nodes.map { Hex.encode($0.hash.bytes) } == [
                "f2391083cfaa8043205fed76cdff843902146ca92aebcd7a196814ec45d8c8f8",
                "993ec5ef8bbc7f1d174f00e650b8d51599124a9bf93885f33cec5b9060b75c1c",
                "56826d33f98cbe1757d804b3ad818a97b61d7ae83d505ba5ca4fb619646355f9",
            ])
        #expect(tree.byteLength == 10 && tree.length == 2)
        #expect(Hex.encode(tree.hash.bytes) == treeHash)
        #expect(TreeNode(parentOf: nodes[0], nodes[1]) == TreeNode(parentOf: nodes[1], nodes[0]))
        #expect(TreeNode(parentOf: nodes[1], nodes[0]) == nodes[2])
    }

    /// Spec 40, item 4: the table of section 4.2.
    @Test func workedManifests() throws {
        let signers = (UInt8(1)...3).map {
            Manifest.Signer(publicKey: KeyPair(seed: Bytes32(repeating: $0)).publicKey)
        }
        let hash = try #require(Hex.decode(treeHash).flatMap { Bytes32($0) })
        let signer = Hex.encode(Namespace.defaultSigner.bytes) + signers[0].publicKey.hex
        let linked = String(repeating: "07", count: 32)
        let rows: [(manifest: Manifest, encoding: String?, key: String)] = [
            (
                try Manifest(signers: [signers[0]]), "010000010100" + signer,
                "d8c3a0597903b28d751c6e0b7107775e388ec5a3cf669bdd1e7ec41b8b8f6e72"
            ),
            (
                try Manifest(version: 0, signers: [signers[0]]), "00000100" + signer,
                "a945135b724f9205a06c58bee34f342ac3c77ff0c09fa54ad6220c0eb3168fa8"
            ),
            (
                try Manifest(allowPatch: true, quorum: 2, signers: signers), nil,
                "e724201fcce1d822a5a63941f42c9ba89952de961497712eda0f74f2e08b3717"
            ),
            (
                try Manifest(prologue: .init(hash: hash, length: 2)), "0102000000" + treeHash + "02",
                "6325d70df7b80bd2e34becece1394944db78c6a4117361354c053228feb2ff39"
            ),
            (
                try Manifest(
                    version: 2, signers: [signers[0]], linked: [PublicKey(Bytes32(repeating: 7))],
                    userData: Array("ud".utf8)),
                "020c00010100" + signer + "01" + linked + "027564",
                "24bd717b714ea055a766d3215051739d4badaee95b6e0eff48779a22878796c5"
            ),
        ]
        for row in rows {
            #expect(row.manifest.key.hex == row.key)
            if let encoding = row.encoding { #expect(Hex.encode(row.manifest.encoded) == encoding) }
            #expect(try Manifest(encoded: row.manifest.encoded) == row.manifest)
        }
        #expect(rows[2].manifest.encoded.count == 200)
        #expect(Array(rows[2].manifest.encoded.prefix(5)) == [1, 1, 0, 2, 3])
    }

    /// Spec 30, item 25. A length that the proof was not made for leads to the same tree or to nothing.
    @Test func anUpgradeFitsTheLengthItWasMadeFor() throws {
        let log = try ProofTests.elevenBlocks()
        let upgrade = try log.data(ProofRequest(upgrade: .init(start: 3, length: 8)))
        #expect(upgrade.upgrade?.nodes.map(\.index) == [6, 11, 17, 20])
        func reader(_ length: Int) throws -> TestReader {
            var known = TestLog()
            try known.append(Array(testBlocks(11).prefix(length)))
            var reader = TestReader(key: log.verifier.key)
            reader.tree = known.tree
            reader.table = known.table
            reader.install(log.verifier.manifest)
            return reader
        }
        #expect(try reader(3).verify(upgrade).upgrade?.tree == log.tree)
        for length in [0, 1, 2] {
            #expect(throws: ProofError.self) { try reader(length).verify(upgrade) }
        }
        // Overtaken by another answer it leads to the same tree, where its nodes still fit, or to nothing.
        var fitting: [Int] = []
        for length in 4...10 {
            guard let proof = try? reader(length).verify(upgrade) else { continue }
            #expect(proof.upgrade?.tree == log.tree, "length \(length)")
            fitting.append(length)
        }
        #expect(fitting == [4, 8, 10], "where no node of the proof crosses the end")
        // Of another history it is worth nothing at any length.
        for length in 3...10 {
            var other = TestLog()
            try other.append(Array(testBlocks(11, salt: 1).prefix(length)))
            var reader = TestReader(key: log.verifier.key)
            reader.tree = other.tree
            reader.table = other.table
            reader.install(log.verifier.manifest)
            #expect(throws: ProofError.self, "length \(length)") { try reader.verify(upgrade) }
        }
    }

    /// Spec 40, item 15.
    @Test func theContiguousLengthFallsAndReturns() {
        let played = PlayedMachine(length: 4, contiguous: 4)
        played.machine.localBlocks(0..<1, stored: false, now: played.now)
        #expect(played.machine.contiguousLength == 0)
        played.machine.localBlocks(0..<1, stored: true, now: played.now)
        #expect(played.machine.contiguousLength == 4)
    }

    /// Spec 40, item 22, as far as the tree goes: the padding of encrypted blocks does not count.
    @Test func paddingIsNotCountedWhereItIsNotWanted() throws {
        let cipher = BlockCipher(mode: .blockKey, coreKey: PublicKey(.zero), encryptionKey: Bytes32(repeating: 3))
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(block: cipher.seal(Array("hello".utf8), index: 0, fork: 0), collecting: &nodes)
        #expect(tree.byteLength == 13)
        let padding = UInt64(BlockCipher.paddingByteCount)
        #expect(tree.byteLength - padding * tree.length == 5)
        let table = NodeTable(nodes)
        #expect(try tree.seek(bytes: 5, padding: padding, source: table) == .found(blockIndex: 1, byteOffset: 0))
        #expect(try tree.seek(bytes: 4, padding: padding, source: table) == .found(blockIndex: 0, byteOffset: 4))
        #expect(try tree.seek(bytes: 6, padding: padding, source: table) == .beyondEnd)
    }

    /// Spec 40, items 28, 29 and 31: what a deletion from block 2 on names, and what it leaves.
    @Test func deletionsNameExactlyTheirRecords() {
        let keys = DataKeys(dataPointer: 5)
        func isIn(_ key: [UInt8], _ span: KeySpan) -> Bool { !isLess(key, span.start) && isLess(key, span.end) }
        let blocks = keys.blocks(from: 2)
        let indices: [UInt64] = [2, 3, 251, 252, 65_535, 65_536, ByteReader.integerLimit]
        for index in indices { #expect(isIn(keys.block(index), blocks)) }
        for index: UInt64 in [0, 1] { #expect(!isIn(keys.block(index), blocks)) }
        let others =
            indices.map { keys.node($0) } + [
                keys.head, keys.hints, keys.dependency, keys.bitfieldPage(0), keys.userData("name"), keys.local([3]),
                DataKeys(dataPointer: 4).block(2), DataKeys(dataPointer: 6).block(2),
            ]
        for key in others { #expect(!isIn(key, blocks)) }

        let truncation = TreeTruncation(from: 5, to: 2)
        #expect(truncation.blocks == 2..<5 && truncation.nodes == 4..<10)
        #expect(truncation.crossingNodes == [3], "it spans blocks 0 to 3")
        let spans = [keys.blocks(truncation.blocks), keys.nodes(truncation.nodes)]
        for index: UInt64 in 2...4 { #expect(isIn(keys.block(index), spans[0])) }
        for index: UInt64 in 4...9 { #expect(isIn(keys.node(index), spans[1])) }
        for key in [keys.block(1), keys.block(5), keys.node(2), keys.node(10)] {
            #expect(!spans.contains { isIn(key, $0) })
        }
        // Item 39: user data and local records are outside, and go with the whole content only.
        for key in [keys.userData("name"), keys.local([1])] {
            #expect(!spans.contains { isIn(key, $0) } && isIn(key, keys.everything))
        }
        for pointer: UInt64 in [4, 6, 251, 252] {
            #expect(!isIn(DataKeys(dataPointer: pointer).userData("name"), keys.everything))
            #expect(!isIn(DataKeys(dataPointer: pointer).head, keys.everything))
        }
    }

    /// Spec 40, item 33, as far as the keys go.
    @Test func groupEntriesSortByTime() throws {
        let times: [UInt64] = [0, 1, 255, 256, 1_700_000_000_000, 1_700_000_000_001]
        let keys = times.map { StoreRecordKeys.groupEntry(group: 3, timestampMilliseconds: $0, core: 300 - $0 % 7) }
        for (earlier, later) in zip(keys, keys.dropFirst()) { #expect(isLess(earlier, later)) }
        for (time, key) in zip(times, keys) {
            let kind = RecordKind.groupEntry(group: 3, timestampMilliseconds: time, core: 300 - time % 7)
            #expect(try RecordKind(key: key) == kind)
        }
        let next = StoreRecordKeys.groupEntry(group: 4, timestampMilliseconds: 0, core: 0)
        #expect(keys.allSatisfy { isLess($0, next) })
    }
}
