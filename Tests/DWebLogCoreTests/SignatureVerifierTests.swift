import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

@Suite struct SignatureVerifierTests {
    static let keyPairs = (1...3).map { KeyPair(seed: Bytes32(repeating: $0)) }
    static let signers = keyPairs.map { Manifest.Signer(publicKey: $0.publicKey) }

    func log(_ manifest: Manifest, blockCount: Int, salt: UInt8 = 0) throws -> TestLog {
        var log = TestLog(keyPair: SignatureVerifierTests.keyPairs[0], manifest: manifest)
        try log.append(testBlocks(blockCount, salt: salt))
        return log
    }

    /// The tree of spec 40 section 3: seed 32 times 01, blocks hello and world.
    @Test func specifiedSignatures() throws {
        let signer = SignatureVerifierTests.signers[0]
        let blocks = ["hello", "world"].map { Array($0.utf8) }
        func signature(_ verifier: SignatureVerifier) throws -> [UInt8] {
            var log = TestLog(keyPairs: SignatureVerifierTests.keyPairs, verifier: verifier)
            try log.append(blocks)
            #expect(verifier.isValid(log.signed))
            return try verifier.sign(log.tree, with: SignatureVerifierTests.keyPairs[0])
        }
        let current = Manifest(signer: signer.publicKey)
        let assembled = try signature(SignatureVerifier(key: current.key, manifest: current))
        #expect(assembled.count == 68)
        #expect(Array(assembled[..<2]) == [1, 0] && Array(assembled[66...]) == [0, 0])
        #expect(
            Hex.encode(assembled[2..<66])
                == "74712abd908a23442ac16b4e9d81d6b110213f0e7c8e067a29e6768038e58415"
                + "1f8bfa9f1c86f3711266c81d3c69f8e6ab439171249e38bf72d8255dad0a1d0f"
        )
        let compatible = try signature(SignatureVerifier(key: signer.publicKey, manifest: current))
        #expect(
            Hex.encode(compatible)
                == "59c4c9f9363fd835ee169c9fdfc555e3cc828b64d85fe9a128d70d8475dd7fee"
                + "91e948286c0e4e4aef602643b2c035b1730e1b165370989e55ecf3a643aa1301"
        )
        let zero = try Manifest(version: 0, signers: [signer])
        let legacy = try signature(SignatureVerifier(key: zero.key, manifest: zero))
        #expect(
            Hex.encode(legacy)
                == "325094bf75170937e7c97f3b495dd30fb879fd5a09f6c5ca8b64ac5922c0df07"
                + "25d75e016517b24d051df8d59ce6d35abf977cf78099f6b8a7ce1f4b22199f06"
        )
        // Each form refuses the other's.
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(blocks: blocks, collecting: &nodes)
        let currentVerifier = SignatureVerifier(key: current.key, manifest: current)
        #expect(!currentVerifier.isValid(SignedTree(tree: tree, signature: Array(assembled[2..<66]))))
        #expect(
            !SignatureVerifier(key: zero.key, manifest: zero).isValid(SignedTree(tree: tree, signature: assembled)))
        #expect(tree.signable(.current(context: .zero)).count == 112)
        #expect(tree.signable(.compat).count == 80)
        #expect(tree.signable(.legacy).count == 48)
    }

    @Test(arguments: [UInt64(0), 1]) func quorumAndPatches(version: UInt64) throws {
        let keyPairs = SignatureVerifierTests.keyPairs
        let manifest = try Manifest(
            version: version, allowPatch: true, quorum: 2, signers: SignatureVerifierTests.signers)
        let short = try log(manifest, blockCount: 5)
        let long = try log(manifest, blockCount: 7)
        let verifier = short.verifier
        let patch = try long.data(ProofRequest(upgrade: .init(start: 5, length: 2))).upgrade?.nodes ?? []
        #expect(patch.map(\.index) == [10, 12])
        let first = PartialSignature(signer: 0, signature: try verifier.sign(short.tree, with: keyPairs[0]))
        let second = PartialSignature(
            signer: 2, signature: try verifier.sign(long.tree, with: keyPairs[2]), patch: 2, nodes: patch)
        let good = verifier.assemble([first, second])
        #expect(verifier.isValid(SignedTree(tree: short.tree, signature: good)))
        #expect(!verifier.isValid(SignedTree(tree: long.tree, signature: good)))

        // The order of proofs does not matter, one alone or twice the same does not suffice, two bad ones neither.
        #expect(verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([second, first]))))
        for parts in [[], [first], [first, first], [second, second]] {
            #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble(parts))))
        }
        var stranger = second
        stranger.signer = 1
        #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, stranger]))))
        var outside = second
        outside.signer = 3
        #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, outside]))))
        // The first `quorum` proofs decide, even if a good one follows.
        let third = PartialSignature(signer: 1, signature: try verifier.sign(short.tree, with: keyPairs[1]))
        var bad = third
        bad.signature[0] ^= 1
        #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, bad, second]))))
        #expect(verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, second, bad]))))

        // Without allowPatch the same signatures are no proof of the shorter tree.
        let strict = try Manifest(version: version, quorum: 2, signers: SignatureVerifierTests.signers)
        let strictVerifier = SignatureVerifier(key: verifier.key, manifest: strict)
        #expect(!strictVerifier.isValid(SignedTree(tree: short.tree, signature: good)))

        // Missing or wrong patch nodes, lengths that no tree has, and every truncation are bad, never fatal.
        for nodes in [[], Array(patch.dropLast()), patch.map { TreeNode(index: $0.index, size: 1, hash: $0.hash) }] {
            var broken = second
            broken.nodes = nodes
            #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, broken]))))
        }
        if version > 0 {
            var far = second
            far.patch = ByteReader.integerLimit
            #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: verifier.assemble([first, far]))))
        }
        for end in good.indices {
            #expect(!verifier.isValid(SignedTree(tree: short.tree, signature: Array(good[..<end]))))
        }
    }

    @Test func assembledEncodings() {
        let signature = [UInt8](repeating: 7, count: 64)
        let nodes = [UInt64(4), 9].map { TreeNode(index: $0, size: 1, hash: Bytes32(repeating: UInt8($0))) }
        let parts = [
            PartialSignature(signer: 0, signature: signature),
            PartialSignature(signer: 2, signature: signature, patch: 3, nodes: nodes),
        ]
        // The examples of spec 40 section 5.
        var current = ByteWriter()
        current.writeBytes([2, 0])
        current.writeBytes(signature)
        current.writeBytes([0, 2])
        current.writeBytes(signature)
        current.writeBytes([3])
        nodes.encode(into: &current)
        #expect(MultiSignature.assemble(parts) == current.bytes)
        var legacy = ByteWriter()
        legacy.writeBytes([2, 0, 0])
        legacy.writeBytes(signature)
        legacy.writeBytes([1, 2])
        legacy.writeBytes(signature)
        legacy.writeBytes([6, 3, 2, 0, 1])
        nodes.encode(into: &legacy)
        #expect(MultiSignature.assembleLegacy(parts) == legacy.bytes)
        for (bytes, decoded) in [
            (current.bytes, try? MultiSignature(decoding: current.bytes)),
            (legacy.bytes, try? MultiSignature(decodingLegacy: legacy.bytes)),
        ] {
            #expect(decoded?.proofs.map(\.signer) == [0, 2])
            #expect(decoded?.proofs.map(\.patch) == [0, 3])
            #expect(decoded?.patchNodes == nodes)
            #expect(!bytes.isEmpty)
        }
        // A node that both parts need is written once.
        let shared = [parts[1], PartialSignature(signer: 1, signature: signature, patch: 3, nodes: nodes)]
        #expect(MultiSignature.assemble(shared).count == MultiSignature.assemble(parts).count)
        #expect(PartialSignature.commonLength(of: [5, 9, 7], quorum: 2) == 7)
        #expect(PartialSignature.commonLength(of: [5, 9, 7], quorum: 4) == 0)
    }

    @Test func aStaticLogIsItsPrologue() throws {
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(blocks: testBlocks(4), collecting: &nodes)
        let manifest = try Manifest(prologue: .init(hash: tree.hash, length: 4))
        let verifier = SignatureVerifier(key: manifest.key, manifest: manifest)
        #expect(verifier.isValid(SignedTree(tree: tree, signature: nil)))
        var longer = tree
        longer.append(block: [1], collecting: &nodes)
        #expect(!verifier.isValid(SignedTree(tree: longer, signature: nil)))
        var other = MerkleTree()
        other.append(blocks: testBlocks(3), collecting: &nodes)
        #expect(!verifier.isValid(SignedTree(tree: other, signature: nil)))
        other.append(block: [1], collecting: &nodes)
        #expect(!verifier.isValid(SignedTree(tree: other, signature: nil)))
        #expect(throws: SigningError.notASigner) {
            try verifier.sign(tree, with: SignatureVerifierTests.keyPairs[0])
        }
        // In version 0 such a manifest never verifies.
        let zero = try Manifest(version: 0, prologue: .init(hash: tree.hash, length: 4))
        #expect(!SignatureVerifier(key: zero.key, manifest: zero).isValid(SignedTree(tree: tree, signature: nil)))
        #expect(!SignatureVerifier(key: zero.key, manifest: zero).isValid(SignedTree(tree: tree, signature: [0, 0])))
    }
}
