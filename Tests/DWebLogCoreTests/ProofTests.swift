import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

@Suite struct ProofTests {
    /// One row of the reference outputs of spec 30 section D.2.
    struct Row: CustomTestStringConvertible {
        var request: ProofRequest
        var path: [UInt64]?
        var seek: [UInt64]?
        var upgrade: [UInt64]?
        var additional: [UInt64] = []

        var testDescription: String { "\(request)" }
    }

    static let rows: [Row] = [
        Row(request: .init(block: .init(index: 0, nodes: 0)), path: []),
        Row(request: .init(block: .init(index: 0, nodes: 1)), path: [2]),
        Row(request: .init(block: .init(index: 0, nodes: 3)), path: [2, 5, 11]),
        Row(request: .init(block: .init(index: 9, nodes: 1)), path: [16]),
        Row(request: .init(hash: .init(index: 4, nodes: 2)), path: [4, 6, 1]),
        Row(request: .init(hash: .init(index: 3, nodes: 1)), path: [3, 11]),
        Row(
            request: .init(hash: .init(index: 0, nodes: 3), seek: .init(bytes: 50)), path: [0, 2, 5],
            seek: [8, 10, 13]),
        Row(request: .init(hash: .init(index: 0, nodes: 3), seek: .init(bytes: 10)), path: [0, 2, 5, 11]),
        Row(request: .init(upgrade: .init(start: 0, length: 11)), upgrade: [7, 17, 20]),
        Row(request: .init(upgrade: .init(start: 0, length: 5)), upgrade: [3, 8], additional: [10, 13, 17, 20]),
        Row(request: .init(upgrade: .init(start: 3, length: 8)), upgrade: [6, 11, 17, 20]),
        Row(request: .init(upgrade: .init(start: 3, length: 4)), upgrade: [6, 9, 12], additional: [14, 17, 20]),
        Row(request: .init(upgrade: .init(start: 5, length: 3)), upgrade: [10, 13], additional: [17, 20]),
        Row(request: .init(upgrade: .init(start: 6, length: 5)), upgrade: [13, 17, 20]),
        Row(
            request: .init(block: .init(index: 10, nodes: 0), upgrade: .init(start: 0, length: 11)), path: [],
            upgrade: [7, 17]),
        Row(
            request: .init(block: .init(index: 5, nodes: 0), upgrade: .init(start: 0, length: 11)), path: [8, 13, 3],
            upgrade: [17, 20]),
        Row(
            request: .init(block: .init(index: 6, nodes: 0), upgrade: .init(start: 3, length: 8)), path: [14, 9],
            upgrade: [6, 17, 20]),
        Row(
            request: .init(block: .init(index: 1, nodes: 2), upgrade: .init(start: 3, length: 8)), path: [0, 5],
            upgrade: [6, 11, 17, 20]),
        Row(
            request: .init(seek: .init(bytes: 50), upgrade: .init(start: 0, length: 11)), seek: [8, 10, 13, 3],
            upgrade: [17, 20]),
        Row(
            request: .init(seek: .init(bytes: 100), upgrade: .init(start: 3, length: 8)), seek: [14, 12, 9],
            upgrade: [6, 17, 20]),
        Row(
            request: .init(seek: .init(bytes: 21), upgrade: .init(start: 0, length: 11)), seek: [1, 5, 11],
            upgrade: [17, 20]),
        Row(request: .init(seek: .init(bytes: 50))),
    ]

    static let refused: [ProofRequest] = [
        .init(block: .init(index: 0, nodes: 4)), .init(block: .init(index: 10, nodes: 1)),
        .init(hash: .init(index: 0, nodes: 3), seek: .init(bytes: 10000)),
        .init(upgrade: .init(start: 11, length: 0)), .init(upgrade: .init(start: 0, length: 12)),
        // Beyond the table: indices and lengths at the end of the number range.
        .init(block: .init(index: 11, nodes: 0)), .init(block: .init(index: ByteReader.integerLimit, nodes: 3)),
        .init(hash: .init(index: ByteReader.integerLimit, nodes: ByteReader.integerLimit)),
        .init(hash: .init(index: ByteReader.integerLimit - 1, nodes: 0)),
        .init(block: .init(index: 0, nodes: ByteReader.integerLimit)),
        .init(upgrade: .init(start: ByteReader.integerLimit, length: ByteReader.integerLimit)),
        .init(block: .init(index: 11, nodes: 0), upgrade: .init(start: 0, length: 11)),
        .init(hash: .init(index: 15, nodes: 0), upgrade: .init(start: 3, length: 8)),
        .init(hash: .init(index: 7, nodes: 0), upgrade: .init(start: 3, length: 8)),
        .init(block: .init(index: 5, nodes: 0), seek: .init(bytes: 3), upgrade: .init(start: 3, length: 8)),
        .init(
            hash: .init(index: 0, nodes: 3),
            seek: .init(bytes: ByteReader.integerLimit, padding: ByteReader.integerLimit)),
    ]

    static func elevenBlocks() throws -> TestLog {
        var log = TestLog()
        try log.append(testBlocks(11))
        return log
    }

    @Test(arguments: rows) func referenceTable(row: Row) throws {
        let log = try ProofTests.elevenBlocks()
        let message = try log.data(row.request)
        #expect((message.block?.nodes ?? message.hash?.nodes)?.map(\.index) == row.path)
        #expect(message.seek?.nodes.map(\.index) == row.seek)
        #expect(message.upgrade?.nodes.map(\.index) == row.upgrade)
        #expect((message.upgrade?.additionalNodes ?? []).map(\.index) == row.additional)
        let indices = (row.path ?? []) + (row.seek ?? []) + (row.upgrade ?? []) + row.additional
        #expect(try log.producer.requiredNodes(for: row.request) == indices)

        // Verified by a reader that has the tree of `start` blocks; without an upgrade, the whole tree's roots and
        // the node that the path leads to.
        var reader = TestReader(key: log.verifier.key)
        let start = row.request.upgrade?.start ?? 11
        var known = TestLog()
        try known.append(Array(testBlocks(11).prefix(Int(start))))
        var top = row.request.block.map { 2 * $0.index } ?? row.request.hash?.index
        for _ in 0..<(row.request.block?.nodes ?? row.request.hash?.nodes ?? 0) { top = top.map(FlatTree.parent) }
        if row.request.upgrade == nil {
            known.table.nodes = known.table.nodes.filter { $0.key == top }
        } else if let top, FlatTree.leftSpan(top) < 2 * start {
            // Only somebody with another tree would ask for a climb that ends outside the own one.
            guard FlatTree.rightSpan(top) < 2 * start else { return }
        }
        reader.tree = known.tree
        reader.table = known.table
        reader.install(log.verifier.manifest)
        let proof = try reader.verify(message)
        #expect((proof.upgrade?.tree ?? reader.tree) == log.tree)
        reader.apply(proof)
        reader.expectConsistent(with: log)
        #expect(reader.blocks == row.request.block.map { [$0.index: log.blocks[Int($0.index)]] } ?? [:])

        // Every single change to a node is noticed.
        for change in Tampering.all(message) {
            #expect(throws: ProofError.self, "\(change.note)") { try reader.base(known).verify(change.message) }
        }
    }

    @Test(arguments: refused) func refusedRequests(request: ProofRequest) throws {
        let log = try ProofTests.elevenBlocks()
        var message: DataMessage?
        do throws(ProofError) {
            message = try log.producer.proof(for: request)
        } catch {
            guard case .invalidOperation = error else { Issue.record("\(error)"); return }
        }
        #expect(message == nil)
    }

    @Test func anEmptyLogProvesNothing() throws {
        let log = TestLog()
        for row in ProofTests.rows {
            #expect(try log.producer.proof(for: row.request) == DataMessage(request: 0, fork: 0))
            #expect(try log.producer.requiredNodes(for: row.request).isEmpty)
        }
    }

    /// All requests that make sense, between random logs and readers that know random parts of them.
    @Test func everyProofVerifies() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 3))
        for _ in 0..<60 {
            let length = UInt64.random(in: 1...40, using: &random)
            var log = TestLog()
            try log.append((0..<Int(length)).map { _ in random.bytes(Int.random(in: 0...20, using: &random)) })
            var reader = TestReader(key: log.verifier.key)
            try reader.receive(
                log.data(
                    ProofRequest(upgrade: .init(start: 0, length: UInt64.random(in: 1...length, using: &random))),
                    manifest: true))
            #expect(reader.tree == log.tree)
            for _ in 0..<12 {
                var request = ProofRequest()
                let isGrowing = Bool.random(using: &random)
                let block = UInt64.random(in: 0..<log.tree.length, using: &random)
                let levels = try reader.tree.missingLevels(above: 2 * block, source: reader.table)
                if Bool.random(using: &random) {
                    request.block = .init(index: block, nodes: levels)
                } else {
                    request.hash = .init(index: 2 * block, nodes: levels)
                }
                if isGrowing {
                    let added = UInt64.random(in: 1...9, using: &random)
                    try log.append((0..<Int(added)).map { _ in random.bytes(Int.random(in: 0...20, using: &random)) })
                    request.upgrade = .init(
                        start: reader.tree.length, length: UInt64.random(in: 1...added, using: &random))
                }
                try reader.receive(log.data(request))
                #expect(reader.tree == log.tree)
                reader.expectConsistent(with: log)
            }
        }
    }

    @Test func seekingNarrowsDownToTheBlock() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 4))
        for padding: UInt64 in [0, 8] {
            var log = TestLog()
            try log.append((0..<37).map { _ in random.bytes(Int.random(in: 8...40, using: &random)) })
            let starts = log.blocks.reduce(into: [UInt64(0)]) {
                $0.append(($0.last ?? 0) + UInt64($1.count) - padding)
            }
            for bytes in stride(from: UInt64(0), to: starts.last ?? 0, by: 7) {
                var reader = TestReader(key: log.verifier.key)
                try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: 37)), manifest: true))
                var rounds = 0
                while case .within(let blocks) = try reader.tree.seek(
                    bytes: bytes, padding: padding, source: reader.table)
                {
                    let block = UInt64.random(in: blocks, using: &random)
                    let levels = try reader.tree.missingLevels(above: 2 * block, source: reader.table)
                    try reader.receive(
                        log.data(
                            ProofRequest(
                                hash: .init(index: 2 * block, nodes: levels),
                                seek: .init(bytes: bytes, padding: padding))))
                    rounds += 1
                    #expect(rounds < 8)
                    guard rounds < 8 else { return }
                }
                reader.expectConsistent(with: log)
                let found = try reader.tree.seek(bytes: bytes, padding: padding, source: reader.table)
                #expect(try log.tree.seek(bytes: bytes, padding: padding, source: log.table) == found)
                guard case .found(let index, let offset) = found else { Issue.record("\(found)"); return }
                // Blocks without bytes that count share their offset with the next one.
                #expect(starts[Int(index)] + offset == bytes)
                if offset > 0 { #expect(bytes < starts[Int(index) + 1]) }
            }
            #expect(
                try log.tree.seek(bytes: starts[37], padding: padding, source: log.table)
                    == .found(blockIndex: 37, byteOffset: 0))
            #expect(try log.tree.seek(bytes: starts[37] + 1, padding: padding, source: log.table) == .beyondEnd)
        }
    }

    @Test func anUpgradeThatWasOvertakenAddsNothingWrong() throws {
        var log = TestLog()
        try log.append(testBlocks(5))
        var reader = TestReader(key: log.verifier.key)
        try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: 5)), manifest: true))
        let original = reader
        try log.append([[1], [2], [3]])
        let toEight = try log.data(ProofRequest(upgrade: .init(start: 5, length: 3)))
        let block6 = try log.data(ProofRequest(block: .init(index: 6, nodes: 0), upgrade: .init(start: 5, length: 3)))
        try log.append([[4], [5], [6]])
        let toEleven = try log.data(ProofRequest(upgrade: .init(start: 5, length: 6)))
        try log.append([[7], [8]])
        let withAdditional = try log.data(ProofRequest(upgrade: .init(start: 5, length: 3)))

        var ahead = reader
        try ahead.receive(toEight)
        try ahead.receive(withAdditional)
        #expect(ahead.tree == log.tree)
        ahead.expectConsistent(with: log)

        try reader.receive(toEight)
        let proof = try reader.verify(toEight)
        #expect(proof.upgrade == nil)
        try reader.receive(block6)
        #expect(reader.blocks[6] == [2])
        try reader.receive(toEleven)
        #expect(reader.tree.length == 11)
        reader.expectConsistent(with: log)
        // Its additional nodes begin inside what the reader has by now.
        #expect(throws: ProofError.invalidOperation(.unexpectedNode(19))) { try reader.verify(withAdditional) }

        // A longer tree's proof does not fit a shorter local one that it was not made for.
        var shorter = TestReader(key: log.verifier.key)
        shorter.install(log.verifier.manifest)
        #expect(throws: ProofError.self) { try shorter.verify(toEleven) }
        #expect(try original.verify(toEleven).upgrade?.tree.length == 11)
    }

    @Test func aWrongSizeThatNoHashCoversIsNotBelieved() throws {
        let log = try ProofTests.elevenBlocks()
        var reader = TestReader(key: log.verifier.key)
        try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: 11)), manifest: true))
        var bare = try log.data(ProofRequest(hash: .init(index: 7, nodes: 0)))
        bare.hash?.nodes[0].size += 1
        #expect(throws: ProofError.invalidChecksum(nodeIndex: 7)) { try reader.verify(bare) }

        // Two siblings' sizes, moved against each other, pass while they are unknown...
        let honest = try log.data(ProofRequest(hash: .init(index: 3, nodes: 1)))
        var moved = honest
        moved.hash?.nodes[0].size += 1
        moved.hash?.nodes[1].size -= 1
        var poisoned = reader
        try poisoned.receive(moved)
        // ...a block below puts them right...
        let block = try log.data(ProofRequest(block: .init(index: 0, nodes: 3)))
        try poisoned.receive(block)
        poisoned.expectConsistent(with: log)
        // ...even where the wrong size is that of the sub tree's own root, and once right they stay so.
        poisoned = reader
        try poisoned.receive(moved)
        let short = try log.data(ProofRequest(block: .init(index: 0, nodes: 2)))
        try poisoned.receive(short)
        #expect(poisoned.table.nodes[3] == log.table.nodes[3])
        try reader.receive(block)
        try reader.receive(moved)
        reader.expectConsistent(with: log)
    }

    @Test func nodesBehindTheTreeAreNotKnown() throws {
        let log = try ProofTests.elevenBlocks()
        var reader = TestReader(key: log.verifier.key)
        var short = TestLog()
        try short.append(Array(testBlocks(11).prefix(6)))
        reader.tree = short.tree
        reader.table = log.table
        reader.install(log.verifier.manifest)
        let message = try log.data(ProofRequest(block: .init(index: 8, nodes: 1)))
        #expect(throws: ProofError.invalidOperation(.missingStoredNode(17))) { try reader.verify(message) }
        let crossing = try log.data(ProofRequest(block: .init(index: 0, nodes: 3)))
        #expect(throws: ProofError.invalidOperation(.missingStoredNode(7))) { try reader.verify(crossing) }
    }

    @Test func theManifestMustBelongToTheKey() throws {
        let log = try ProofTests.elevenBlocks()
        let reader = TestReader(key: log.verifier.key)
        var message = try log.data(ProofRequest(upgrade: .init(start: 0, length: 11)), manifest: true)
        #expect(try reader.verify(message).manifest == log.verifier.manifest)
        message.manifest = Manifest(signer: KeyPair(seed: Bytes32(repeating: 8)).publicKey)
        #expect(throws: ProofError.invalidManifest) { try reader.verify(message) }
        message.manifest = nil
        #expect(throws: ProofError.invalidSignature) { try reader.verify(message) }

        // The manifest alone, without a proof, is taken if it is the right one.
        let alone = DataMessage(request: 1, fork: 0, manifest: log.verifier.manifest)
        #expect(try reader.verify(alone).manifest == log.verifier.manifest)
        let foreign = DataMessage(request: 1, fork: 0, manifest: Manifest(signer: PublicKey(Bytes32(repeating: 8))))
        #expect(throws: ProofError.invalidManifest) { try reader.verify(foreign) }

        // A log whose key is its signer's needs none.
        let keyPair = KeyPair(seed: Bytes32(repeating: 5))
        var compatible = TestLog(
            keyPairs: [keyPair],
            verifier: SignatureVerifier(key: keyPair.publicKey, manifest: Manifest(signer: keyPair.publicKey)))
        try compatible.append(testBlocks(3))
        var compatibleReader = TestReader(key: keyPair.publicKey)
        try compatibleReader.receive(compatible.data(ProofRequest(upgrade: .init(start: 0, length: 3))))
        #expect(compatibleReader.tree == compatible.tree)
        #expect(compatibleReader.signatureVerifier?.isCompatible == true)
    }

    @Test func prologue() throws {
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        let blocks = testBlocks(9)
        tree.append(blocks: Array(blocks.prefix(5)), collecting: &nodes)
        let keyPair = KeyPair(seed: Bytes32(repeating: 1))
        let manifest = try Manifest(
            signers: [.init(publicKey: keyPair.publicKey)], prologue: .init(hash: tree.hash, length: 5))
        var log = TestLog(keyPair: keyPair, manifest: manifest)
        try log.append(blocks)
        // Whatever is asked below the prologue, the answer is the prologue and everything behind it.
        for length: UInt64 in 1...3 {
            let message = try log.data(ProofRequest(upgrade: .init(start: 0, length: length)), manifest: true)
            #expect(message.upgrade?.start == 0 && message.upgrade?.length == 5)
            var reader = TestReader(key: manifest.key)
            try reader.receive(message)
            #expect(reader.tree == log.tree)
        }
        var short = try log.data(ProofRequest(upgrade: .init(start: 0, length: 5)), manifest: true)
        short.upgrade?.length = 4
        let reader = TestReader(key: manifest.key)
        #expect(throws: ProofError.invalidProof) { try reader.verify(short) }
        // The same log with another beginning: the signature is good, the history is not.
        var forged = TestLog(keyPair: keyPair, manifest: manifest)
        try forged.append(testBlocks(5, salt: 1))
        var message = try forged.data(ProofRequest(upgrade: .init(start: 0, length: 5)), manifest: true)
        #expect(throws: ProofError.invalidProof) { try reader.verify(message) }
        message.upgrade?.signature = nil
        #expect(throws: ProofError.invalidProof) { try reader.verify(message) }
        // At the prologue itself no signature is needed.
        var static5 = TestLog(keyPair: keyPair, manifest: manifest)
        try static5.append(Array(blocks.prefix(5)))
        var unsigned = try static5.data(ProofRequest(upgrade: .init(start: 0, length: 5)), manifest: true)
        unsigned.upgrade?.signature = nil
        #expect(try reader.verify(unsigned).upgrade?.tree == tree)
    }

    @Test func standaloneBlob() throws {
        let log = try ProofTests.elevenBlocks()
        let request = ProofRequest(block: .init(index: 3, nodes: 0), upgrade: .init(start: 0, length: 11))
        let proof = StandaloneProof(
            discoveryKey: log.verifier.key.discoveryKey, message: try log.data(request, manifest: true))
        let bytes = proof.encoded
        #expect(Array(bytes[..<32]) == log.verifier.key.discoveryKey.bytes)
        let decoded = try StandaloneProof(decoding: bytes)
        #expect(decoded == proof)
        for end in bytes.indices {
            #expect(throws: CodecError.self) { try StandaloneProof(decoding: Array(bytes[..<end])) }
        }
        let result = try decoded.verify(log.proofVerifier)
        #expect(result.signed == log.signed && result.manifest == log.verifier.manifest)
        let other = ProofVerifier(key: PublicKey(Bytes32(repeating: 1)), signatureVerifier: nil)
        #expect(throws: ProofError.invalidOperation(.unexpectedMessage)) { try decoded.verify(other) }
        // The block must be part of what is signed.
        var loose = decoded
        loose.message.upgrade = try log.data(ProofRequest(upgrade: .init(start: 0, length: 11))).upgrade
        #expect(throws: ProofError.self) { try loose.verify(log.proofVerifier) }
        #expect(throws: ProofError.invalidOperation(.unexpectedMessage)) {
            try log.proofVerifier.verifyStandalone(DataMessage(request: 0, fork: 0))
        }
    }

    /// Nothing a peer can write into a proof makes the verifier trap.
    @Test func hostileNumbersAreRefused() throws {
        let log = try ProofTests.elevenBlocks()
        var reader = TestReader(key: log.verifier.key)
        try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: 11)), manifest: true))
        let extremes: [UInt64] = [0, 1, 7, 20, 21, 22, 23, 31, 1 << 52, (1 << 52) - 1, ByteReader.integerLimit]
        var random = SecureRandom(seed: Bytes32(repeating: 6))
        func number() -> UInt64 { extremes.randomElement(using: &random) ?? 0 }
        func nodes() -> [TreeNode] {
            (0..<Int.random(in: 0...4, using: &random)).map { _ in
                TreeNode(index: number(), size: number(), hash: Bytes32(repeating: 1))
            }
        }
        /// A list that climbs properly, with sizes that overflow.
        func ladder(from start: UInt64) -> [TreeNode] {
            var current = start
            return (0..<60).map { _ in
                defer { current = FlatTree.parent(current) }
                return TreeNode(index: FlatTree.sibling(current), size: number(), hash: .zero)
            }
        }
        for round in 0..<2000 {
            var message = DataMessage(request: 1, fork: 0)
            if Bool.random(using: &random) {
                let index = number()
                message.block = .init(
                    index: index, value: [1], nodes: round % 3 == 0 ? ladder(from: 2 * index) : nodes())
            } else if Bool.random(using: &random) {
                let index = number()
                message.hash = .init(
                    index: index,
                    nodes: [TreeNode(index: index, size: number(), hash: .zero)]
                        + (round % 3 == 0 ? ladder(from: index) : nodes()))
            }
            if Bool.random(using: &random) { message.seek = .init(bytes: number(), nodes: nodes()) }
            if Bool.random(using: &random) {
                message.upgrade = .init(
                    start: number(), length: number(), nodes: round % 2 == 0 ? ladder(from: 20) : nodes(),
                    additionalNodes: round % 5 == 0 ? ladder(from: 20) : nodes(), signature: nil)
            }
            guard message.block != nil || message.hash != nil || message.seek?.nodes.isEmpty == false else { continue }
            #expect(throws: ProofError.self) { try reader.verify(message) }
            #expect(throws: ProofError.self) {
                try TestReader(key: log.verifier.key).verify(message)
            }
        }
    }
}

extension TestReader {
    /// The same reader before it received anything.
    fileprivate func base(_ log: TestLog) -> TestReader {
        var base = TestReader(key: key)
        base.tree = log.tree
        base.table = log.table
        base.signatureVerifier = signatureVerifier
        return base
    }
}

/// Ways to alter a proof that must each be noticed.
private struct Tampering {
    var note: String
    var message: DataMessage

    static func all(_ message: DataMessage) -> [Tampering] {
        var result: [Tampering] = []
        let hasProof = message.block != nil || message.hash != nil || message.upgrade != nil
        func alter(_ note: String, _ path: WritableKeyPath<DataMessage, [TreeNode]>) {
            let nodes = message[keyPath: path]
            func add(_ what: String, _ change: (inout [TreeNode]) -> Void) {
                var altered = message
                change(&altered[keyPath: path])
                result.append(Tampering(note: "\(note): \(what)", message: altered))
            }
            for position in nodes.indices {
                add("node \(position) removed") { $0.remove(at: position) }
                add("node \(position) hash") { $0[position].hash = Bytes32(repeating: 0xee) }
                add("node \(position) index") { $0[position].index += 2 }
                add("node \(position) repeated") { $0.insert($0[position], at: position) }
            }
            if nodes.count > 1 { add("first two swapped") { $0.swapAt(0, 1) } }
            add("surplus node") { $0.append(TreeNode(index: 40, size: 1, hash: .zero)) }
        }
        if message.block != nil {
            alter("block", \.block!.nodes)
            var altered = message
            altered.block?.value.append(0)
            result.append(Tampering(note: "value", message: altered))
        }
        if message.hash != nil { alter("hash", \.hash!.nodes) }
        if message.seek != nil, hasProof { alter("seek", \.seek!.nodes) }
        if message.upgrade != nil {
            alter("upgrade", \.upgrade!.nodes)
            alter("additional", \.upgrade!.additionalNodes)
            var altered = message
            altered.upgrade?.signature?[5] ^= 1
            result.append(Tampering(note: "signature", message: altered))
            altered.upgrade?.signature = nil
            result.append(Tampering(note: "no signature", message: altered))
        }
        // Leaving out the seek section, or the first two of it swapped, can leave a proof that is good in itself.
        return result.filter { !($0.note.hasPrefix("seek") && $0.note.contains("swapped")) }
    }
}
