import DWebBase
import DWebCrypto
import DWebLogCore

/// A log of eleven blocks with everything that a peer may be told about it.
enum SampleLog {
    static let keyPair = KeyPair(seed: Bytes32(repeating: 1))
    static let manifest = Manifest(signer: keyPair.publicKey)
    static let rules = SignatureVerifier(key: manifest.key, manifest: manifest)
    static let blocks: [[UInt8]] = (0..<11).map { [UInt8](repeating: UInt8($0), count: 10 + $0) }
    private static let grown = grow(blocks)
    static let tree = grown.tree
    static let table = grown.table
    static let signed = sign(tree)
    static let otherTree = grow([[1], [2], [3]]).tree
    /// What the reader has: the first three blocks' length, and blocks 0 and 2.
    static let reader: (tree: MerkleTree, table: NodeTable) = {
        let tree = grow(Array(blocks[..<3]))
        return tree
    }()

    private static func grow(_ blocks: [[UInt8]]) -> (tree: MerkleTree, table: NodeTable) {
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(blocks: blocks, collecting: &nodes)
        return (tree, NodeTable(nodes))
    }

    private static func sign(_ tree: MerkleTree) -> SignedTree {
        SignedTree(tree: tree, signature: try? rules.sign(tree, with: keyPair))
    }

    /// Three histories of the same key: the log, one that was cut to six blocks and went on, and one of fork 3.
    static let forked: (signed: SignedTree, table: NodeTable, blocks: [[UInt8]]) = {
        let blocks = Array(SampleLog.blocks[..<6]) + [[9], [8, 8], [7, 7, 7]]
        var tree = MerkleTree(fork: 3)
        var nodes: [TreeNode] = []
        tree.append(blocks: blocks, collecting: &nodes)
        return (sign(tree), NodeTable(nodes), blocks)
    }()

    static let requests: [ProofRequest] = [
        ProofRequest(block: ProofRequest.Block(index: 1, nodes: 1)),
        ProofRequest(block: ProofRequest.Block(index: 9, nodes: 1)),
        ProofRequest(hash: ProofRequest.Hash(index: 0, nodes: 3), seek: ProofRequest.Seek(bytes: 50, padding: 0)),
        ProofRequest(hash: ProofRequest.Hash(index: 4, nodes: 2)),
        ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: 11)),
        ProofRequest(upgrade: ProofRequest.Upgrade(start: 3, length: 8)),
        ProofRequest(upgrade: ProofRequest.Upgrade(start: 3, length: 4)),
        ProofRequest(
            block: ProofRequest.Block(index: 6, nodes: 0), upgrade: ProofRequest.Upgrade(start: 3, length: 8)),
        ProofRequest(
            block: ProofRequest.Block(index: 1, nodes: 2), upgrade: ProofRequest.Upgrade(start: 3, length: 8)),
        ProofRequest(
            seek: ProofRequest.Seek(bytes: 100, padding: 0), upgrade: ProofRequest.Upgrade(start: 3, length: 8)),
    ]

    /// The log's answers to all requests, some with the manifest.
    static let answers: [DataMessage] = {
        let producer = ProofProducer(signed: signed, prologue: nil, source: table)
        return requests.enumerated().compactMap { number, request in
            let value = request.block.map { blocks[Int($0.index)] } ?? []
            let message = RequestMessage(id: 1, fork: 0, proof: request, manifest: number % 2 == 0)
            return try? producer.answer(to: message, blockValue: value, manifest: manifest)
        }
    }()

    /// The forked log's answers.
    static let forkAnswers: [DataMessage] = {
        let producer = ProofProducer(signed: forked.signed, prologue: nil, source: forked.table)
        let requests =
            [ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: 9))]
            + (0..<9).map { ProofRequest(hash: ProofRequest.Hash(index: 2 * $0, nodes: $0 < 8 ? 3 : 0)) }
        return requests.compactMap { request in
            try? producer.answer(
                to: RequestMessage(id: 1, fork: 3, proof: request), blockValue: [], manifest: manifest)
        }
    }()

    static let messages: [LogMessage] =
        answers.map { .data($0) } + forkAnswers.map { .data($0) }
        + requests.map { .request(RequestMessage(id: 7, fork: 0, proof: $0, manifest: true, priority: 1)) } + [
            .sync(
                SyncMessage(
                    fork: 0, length: 11, remoteLength: 3, canUpgrade: true, uploading: true, downloading: true,
                    hasManifest: true, allowPush: false)),
            .cancel(CancelMessage(request: 3)), .noData(NoDataMessage(request: 4, reason: .notAvailable)),
            .want(WantMessage(start: 0, length: 1 << 21)), .unwant(WantMessage(start: 0, length: 64, any: true)),
            .bitfield(BitfieldMessage(start: 64, words: [1, 0x8000_0000])), .range(RangeMessage(start: 0, length: 11)),
            .range(RangeMessage(drop: true, start: 3, length: 1)),
            .extensionMessage(ExtensionMessage(name: "ext", message: [1, 2, 3])),
        ]

    static let manifests: [Manifest] = {
        let keys = (1...3).map { KeyPair(seed: Bytes32(repeating: UInt8($0))).publicKey }
        let signers = keys.map { Manifest.Signer(publicKey: $0) }
        let prologue = Manifest.Prologue(hash: tree.hash, length: 11)
        let all: [Manifest?] = [
            manifest, try? Manifest(version: 0, signers: [signers[0]]),
            try? Manifest(version: 0, allowPatch: true, quorum: 2, signers: signers),
            try? Manifest(allowPatch: true, quorum: 2, signers: signers),
            try? Manifest(quorum: 0, signers: [], prologue: prologue),
            try? Manifest(signers: signers, linked: [keys[0]], userData: [1, 2]),
        ]
        return all.compactMap(\.self)
    }()

    static let signatures: [[UInt8]] =
        [[0] + (signed.signature ?? []), [1] + [UInt8](repeating: 3, count: 64)]
        + manifests.enumerated().compactMap { number, manifest in
            let rules = SignatureVerifier(key: manifest.key, manifest: manifest)
            return (try? rules.sign(tree, with: keyPair)).map { [UInt8(number)] + $0 }
        }

    static let records: [[UInt8]] = {
        var head = StoreHead()
        head.primaryKey = Bytes32(repeating: 1)
        head.defaultDiscoveryKey = Bytes32(repeating: 2)
        var auth = AuthRecord(key: manifest.key.bytes32, discoveryKey: manifest.key.discoveryKey.bytes32)
        auth.storedManifest = manifest.storedEncoding
        auth.keyPair = AuthRecord.StoredKeyPair(publicKey: keyPair.publicKey.bytes, secretKey: keyPair.secretKey)
        var hints = HintsRecord()
        hints.contiguousLength = 11
        let core = CoreRecord(
            corePointer: 1, dataPointer: 2, alias: LogAlias(name: "first", namespace: Bytes32(repeating: 0)))
        return [
            [0] + head.encoded, [1] + core.encoded, [2] + auth.encoded,
            [3]
                + HeadRecord(
                    fork: 0, length: 11, treeHash: tree.hash, signature: signed.signature,
                    timestampMilliseconds: 1_700_000_000_000
                ).encoded,
            [4] + hints.encoded, [5] + DependencyRecord(dataPointer: 1, length: 3).encoded,
            [6] + SessionsRecord(sessions: [SessionsRecord.Session(name: "draft1", dataPointer: 2)]).encoded,
            [7] + GroupMembership(topic: Bytes32(repeating: 5), groupPointer: 1).encoded,
        ]
    }()
}
