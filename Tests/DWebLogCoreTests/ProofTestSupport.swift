import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

/// A writable log in memory: tree, stored nodes, blocks and signature.
struct TestLog {
    var tree: MerkleTree
    var table = NodeTable()
    var blocks: [[UInt8]] = []
    var signature: [UInt8]?
    let keyPairs: [KeyPair]
    let verifier: SignatureVerifier

    init(keyPair: KeyPair = KeyPair(seed: Bytes32(repeating: 1)), manifest: Manifest? = nil) {
        let manifest = manifest ?? Manifest(signer: keyPair.publicKey)
        self.init(keyPairs: [keyPair], verifier: SignatureVerifier(key: manifest.key, manifest: manifest))
    }

    init(keyPairs: [KeyPair], verifier: SignatureVerifier) {
        tree = MerkleTree()
        self.keyPairs = keyPairs
        self.verifier = verifier
    }

    var signed: SignedTree { SignedTree(tree: tree, signature: signature) }
    var proofVerifier: ProofVerifier { ProofVerifier(key: verifier.key, signatureVerifier: nil) }
    var producer: ProofProducer<NodeTable> {
        ProofProducer(signed: signed, prologue: verifier.prologue, source: table)
    }

    mutating func append(_ newBlocks: [[UInt8]]) throws {
        var nodes: [TreeNode] = []
        tree.append(blocks: newBlocks, collecting: &nodes)
        table.insert(nodes)
        blocks += newBlocks
        try sign()
    }

    mutating func truncate(to length: UInt64) throws {
        let truncation = TreeTruncation(from: tree.length, to: length)
        tree = try tree.truncated(to: length, fork: tree.fork + 1, source: table)
        table.remove(truncation)
        blocks.removeLast(blocks.count - Int(length))
        try sign()
    }

    mutating func sign() throws { signature = try verifier.sign(tree, with: keyPairs[0]) }

    func data(_ request: ProofRequest, manifest: Bool = false) throws -> DataMessage {
        var message = try producer.proof(
            for: request, blockValue: request.block.map { blocks[Int($0.index)] } ?? [])
        if manifest { message.manifest = verifier.manifest }
        return message
    }
}

/// A log as a reader has it: only what proofs have brought.
struct TestReader {
    let key: PublicKey
    var tree = MerkleTree()
    var signature: [UInt8]?
    var table = NodeTable()
    var blocks: [UInt64: [UInt8]] = [:]
    var signatureVerifier: SignatureVerifier?

    init(key: PublicKey) { self.key = key }

    var verifier: ProofVerifier { ProofVerifier(key: key, signatureVerifier: signatureVerifier) }

    func verify(_ message: DataMessage) throws(ProofError) -> VerifiedProof {
        try verifier.verify(message, against: tree, source: table)
    }

    mutating func apply(_ proof: VerifiedProof) {
        #expect(proof.isApplicable(to: tree))
        table.insert(proof.nodes)
        if let upgrade = proof.upgrade {
            tree = upgrade.tree
            signature = upgrade.signature
        }
        if let block = proof.block { blocks[block.index] = block.value }
        install(proof.manifest)
    }

    mutating func install(_ manifest: Manifest?) {
        guard let manifest else { return }
        signatureVerifier = SignatureVerifier(key: key, manifest: manifest)
    }

    mutating func apply(_ search: ReorgSearch) {
        #expect(search.isFinished && search.isApplicable(to: tree))
        let truncation = search.truncation
        table.remove(truncation)
        blocks = blocks.filter { !truncation.blocks.contains($0.key) }
        table.insert(search.nodes)
        tree = search.signed.tree
        signature = search.signed.signature
        install(search.manifest)
    }

    mutating func receive(_ message: DataMessage) throws { apply(try verify(message)) }

    /// Every stored node must be right, however it came here.
    func expectConsistent(with log: TestLog, sourceLocation: SourceLocation = #_sourceLocation) {
        let wrong = table.nodes.values.filter {
            FlatTree.rightSpan($0.index) < 2 * tree.length && log.table.nodes[$0.index] != $0
        }
        #expect(wrong.isEmpty, sourceLocation: sourceLocation)
    }
}

/// Repeats `body` with a source that has nothing loaded at first, loading from `table` what it asks for.
///
/// - Returns: The result, and how often `body` ran.
func withLazyLoading<Result>(
    from table: NodeTable, _ body: (NodeLookup) throws(ProofError) -> Result
) throws(ProofError) -> (result: Result, rounds: Int) {
    var loaded: [UInt64: TreeNode?] = [:]
    var rounds = 0
    while true {
        rounds += 1
        let known = loaded
        let lookup = NodeLookup { index throws(ProofError) in
            guard let node = known[index] else { throw .notLoaded([index]) }
            return node
        }
        do throws(ProofError) {
            return (try body(lookup), rounds)
        } catch {
            guard case .notLoaded(let indices) = error, !indices.isEmpty else { throw error }
            for index in indices { loaded.updateValue(table.nodes[index], forKey: index) }
        }
    }
}

/// The recorded files, decoded once for all tests of a run.
enum LogVectors {
    static let merkle = Result { try VectorFile.json("merkle.json") }
    static let crypto = Result { try VectorFile.json("crypto.json") }
    static let replication = Result { try VectorFile.json("replication.json") }
}

/// `count` different blocks of a few bytes, block i having `10 + i` bytes.
func testBlocks(_ count: Int, salt: UInt8 = 0) -> [[UInt8]] {
    (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0) &+ salt, count: 10 + $0) }
}

extension TreeNode {
    init(json: JSONValue) throws {
        self.init(
            index: try json["index"].uintValue, size: try json["size"].uintValue, hash: try json["hash"].bytes32Value)
    }
}

extension Manifest {
    /// The manifest that a vector describes field by field, built as an application would.
    init(json: JSONValue) throws {
        try self.init(
            version: try json["version"].uintValue, allowPatch: try json["allowPatch"].boolValue,
            quorum: try json["quorum"].uintValue,
            signers: try json["signers"].arrayValue.map {
                Signer(
                    publicKey: PublicKey(try $0["publicKey"].bytes32Value), namespace: try $0["namespace"].bytes32Value)
            },
            prologue: try json["prologue"].optional {
                Prologue(hash: try $0["hash"].bytes32Value, length: try $0["length"].uintValue)
            },
            linked: try json["linked"].optional { try $0.arrayValue.map { PublicKey(try $0.bytes32Value) } } ?? [],
            userData: try json["userData"].optional { try $0.hexValue })
    }
}

extension ProofRequest {
    init(json: JSONValue) throws {
        self.init(
            block: try json["block"].optional {
                Block(index: try $0["index"].uintValue, nodes: try $0["nodes"].uintValue)
            },
            hash: try json["hash"].optional {
                Hash(index: try $0["index"].uintValue, nodes: try $0["nodes"].uintValue)
            },
            seek: try json["seek"].optional {
                Seek(bytes: try $0["bytes"].uintValue, padding: try $0["padding"].uintValue)
            },
            upgrade: try json["upgrade"].optional {
                Upgrade(start: try $0["start"].uintValue, length: try $0["length"].uintValue)
            })
    }
}

/// Runs `decode` on every proper prefix of `bytes` and expects it to fail each time.
func expectTruncationsFail(
    _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation,
    _ decode: (inout ByteReader) throws(CodecError) -> Void
) {
    var accepted: [Int] = []
    for end in bytes.indices {
        var reader = ByteReader(bytes, range: 0..<end)
        if (try? decode(&reader)) != nil { accepted.append(end) }
    }
    #expect(accepted.isEmpty, "cut at these bytes of \(bytes.count)", sourceLocation: sourceLocation)
}
