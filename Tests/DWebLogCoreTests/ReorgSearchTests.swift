import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

@Suite struct ReorgSearchTests {
    /// A log, and a reader that had all of its old history before it was cut and went on.
    func forked(old: Int, shared: Int, added: Int) throws -> (TestLog, TestReader) {
        var log = TestLog()
        try log.append(testBlocks(old))
        var reader = TestReader(key: log.verifier.key)
        try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: UInt64(old))), manifest: true))
        for index in 0..<UInt64(old) {
            let levels = try reader.tree.missingLevels(above: 2 * index, source: reader.table)
            try reader.receive(log.data(ProofRequest(block: .init(index: index, nodes: levels))))
        }
        try log.truncate(to: UInt64(shared))
        if added > 0 { try log.append(testBlocks(added, salt: 77)) }
        return (log, reader)
    }

    func proof(_ log: TestLog) throws -> DataMessage {
        try log.data(ProofRequest(upgrade: .init(start: 0, length: log.tree.length)))
    }

    /// Answers the search's requests until it ends; returns how many there were.
    func run(_ search: inout ReorgSearch, _ log: TestLog, _ reader: TestReader, _ random: inout SecureRandom) throws
        -> Int
    {
        var requests = 0
        while let (blocks, levels) = search.wanted {
            let block = UInt64.random(in: blocks.clamped(to: 0..<log.tree.length), using: &random)
            let answer = try log.data(ProofRequest(hash: .init(index: 2 * block, nodes: levels)))
            #expect(try search.handle(answer, source: reader.table))
            requests += 1
            #expect(requests < 20)
            guard requests < 20 else { break }
        }
        return requests
    }

    @Test func findsTheCommonAncestor() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 9))
        for old in 1...18 {
            for shared in 1...old {
                for added in [0, 1, 5] {
                    var (log, reader) = try forked(old: old, shared: shared, added: added)
                    var search = try ReorgSearch(
                        proof(log), against: reader.tree, verifier: reader.verifier, source: reader.table)
                    let requests = try run(&search, log, reader, &random)
                    #expect(search.ancestors == UInt64(shared), "\(old), \(shared), \(added)")
                    if added == 0 { #expect(requests == 0) }
                    reader.apply(search)
                    #expect(reader.tree == log.tree)
                    #expect(reader.signature == log.signature)
                    #expect(reader.blocks.keys.sorted() == (0..<UInt64(shared)).map { $0 })
                    reader.expectConsistent(with: log)
                    for index in UInt64(shared)..<log.tree.length {
                        let levels = try reader.tree.missingLevels(above: 2 * index, source: reader.table)
                        try reader.receive(log.data(ProofRequest(block: .init(index: index, nodes: levels))))
                    }
                    #expect(reader.blocks.count == log.blocks.count)
                    reader.expectConsistent(with: log)
                }
            }
        }
    }

    @Test func onlyHigherForksAreLookedAt() throws {
        let (log, reader) = try forked(old: 6, shared: 3, added: 2)
        var message = try proof(log)
        for fork: UInt64 in [0, 2] {
            message.fork = fork
            #expect(throws: ProofError.self) {
                try ReorgSearch(message, against: reader.tree, verifier: reader.verifier, source: reader.table)
            }
        }
        // It is no ordinary proof either.
        #expect(throws: ProofError.otherFork) { try reader.verify(try proof(log)) }
    }

    @Test func badAnswersChangeNothing() throws {
        var (log, reader) = try forked(old: 16, shared: 5, added: 11)
        _ = reader.blocks
        var search = try ReorgSearch(
            proof(log), against: reader.tree, verifier: reader.verifier, source: reader.table)
        let (blocks, levels) = try #require(search.wanted)
        let request = ProofRequest(hash: .init(index: 2 * blocks.lowerBound, nodes: levels))
        let good = try log.data(request)
        var bad = good
        bad.hash?.nodes[1].hash = .zero
        #expect(throws: ProofError.self) { try search.handle(bad, source: reader.table) }
        bad = good
        bad.hash?.nodes.removeLast()
        #expect(try search.handle(bad, source: reader.table) == false)
        bad = good
        bad.fork = 7
        #expect(try search.handle(bad, source: reader.table) == false)
        #expect(try search.handle(DataMessage(request: 1, fork: 1), source: reader.table) == false)
        #expect(search.wanted?.blocks == blocks)
        // Stored nodes that are not loaded yet are asked for, without losing anything.
        let lazy = NodeLookup { index throws(ProofError) in throw .notLoaded([index]) }
        #expect(throws: ProofError.self) { try search.handle(good, source: lazy) }
        #expect(search.wanted?.blocks == blocks)
        #expect(try search.handle(good, source: reader.table))
        #expect(search.wanted?.blocks != blocks || search.isFinished)
        reader.tree.fork = 3
        #expect(!search.isApplicable(to: reader.tree))
    }

    @Test func aForkMayNotContradictThePrologue() throws {
        let keyPair = KeyPair(seed: Bytes32(repeating: 1))
        var tree = MerkleTree()
        var nodes: [TreeNode] = []
        tree.append(blocks: testBlocks(4), collecting: &nodes)
        let manifest = try Manifest(
            signers: [.init(publicKey: keyPair.publicKey)], prologue: .init(hash: tree.hash, length: 4))
        var log = TestLog(keyPair: keyPair, manifest: manifest)
        try log.append(testBlocks(6))
        var reader = TestReader(key: manifest.key)
        try reader.receive(log.data(ProofRequest(upgrade: .init(start: 0, length: 6)), manifest: true))
        var forged = TestLog(keyPair: keyPair, manifest: manifest)
        forged.tree.fork = 1
        try forged.append(testBlocks(6, salt: 3))
        var random = SecureRandom(seed: Bytes32(repeating: 2))
        #expect(throws: ProofError.invalidProof) {
            var search = try ReorgSearch(
                proof(forged), against: reader.tree, verifier: reader.verifier, source: reader.table)
            _ = try run(&search, forged, reader, &random)
        }
    }
}
