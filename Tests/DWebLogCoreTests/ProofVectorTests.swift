import DWebBase
import DWebCrypto
import DWebLogCore
import DWebTestSupport
import Testing

/// Proofs recorded from the network's reference: made by it, and what it did with altered ones.
@Suite struct ProofVectorTests {
    let file: JSONValue

    init() throws { file = try LogVectors.merkle.get() }

    /// The source of a session at some length, with the signature that the recorded answer carries.
    private func source(_ session: JSONValue, length: UInt64, signature: [UInt8]?) throws -> TestLog {
        let manifest = try Manifest(encoded: try session["manifest"].hexValue)
        let key = PublicKey(try session["key"].bytes32Value)
        var log = TestLog(keyPairs: [], verifier: SignatureVerifier(key: key, manifest: manifest))
        var nodes: [TreeNode] = []
        log.blocks = try session["sourceBlocks"].arrayValue.prefix(Int(length)).map { try $0.hexValue }
        log.tree = MerkleTree(fork: try session["fork"].uintValue)
        log.tree.append(blocks: log.blocks, collecting: &nodes)
        log.table.insert(nodes)
        log.signature = signature
        return log
    }

    @Test func producer() throws {
        for session in try file["proofSessions"].arrayValue {
            for step in try session["steps"].arrayValue {
                let bytes = try step["data"].hexValue
                let recorded = try decode(bytes)
                let log = try source(
                    session, length: try step["sourceLength"].uintValue, signature: recorded.upgrade?.signature)
                let request = try RequestMessage(
                    id: step["request"]["id"].uintValue, fork: step["request"]["fork"].uintValue,
                    proof: ProofRequest(json: step["request"]), manifest: step["request"]["manifest"].boolValue)
                let name = "\(try session["name"].stringValue) \(request)"
                let value = request.proof.block.map { log.blocks[Int($0.index)] } ?? []
                let manifest = log.verifier.isCompatible ? nil : log.verifier.manifest
                let message = try log.producer.answer(to: request, blockValue: value, manifest: manifest)
                #expect(message == recorded, "\(name)")
                #expect(LogMessage.data(message).encoded == bytes, "\(name)")

                // With nothing loaded, one round names all nodes; loading those is enough unless a seek has to look
                // further.
                let (proof, rounds) = try withLazyLoading(from: log.table) { (source) throws(ProofError) in
                    try ProofProducer(signed: log.signed, prologue: log.verifier.prologue, source: source)
                        .proof(for: request.proof, blockValue: value)
                }
                #expect(proof.block == recorded.block && proof.upgrade == recorded.upgrade)
                #expect(rounds <= (request.proof.seek == nil ? 2 : 20))
            }
        }
    }

    private func decode(_ bytes: [UInt8]) throws(CodecError) -> DataMessage {
        var reader = ByteReader(bytes)
        return try DataMessage(from: &reader)
    }

    @Test func receiver() throws {
        for session in try file["proofSessions"].arrayValue {
            var reader = TestReader(key: PublicKey(try session["key"].bytes32Value))
            reader.tree.fork = try session["fork"].uintValue
            for (number, step) in try session["steps"].arrayValue.enumerated() {
                let name = "\(try session["name"].stringValue), step \(number)"
                #expect(reader.tree.length == (try step["receiverLength"].uintValue), "\(name)")
                for reject in try step["rejects"].arrayValue { try checkReject(reject, reader, name) }

                let bytes = try step["data"].hexValue
                let message = try decode(bytes)
                #expect(LogMessage.data(message).encoded == bytes)
                expectTruncationsFail(bytes) { (reader) throws(CodecError) in _ = try DataMessage(from: &reader) }

                let proof = try reader.verify(message)
                let result = step["result"]
                #expect(try result["accepted"].boolValue)
                #expect((proof.upgrade != nil) == (try result["upgraded"].boolValue), "\(name)")
                #expect((proof.upgrade?.tree ?? reader.tree).length == (try result["length"].uintValue), "\(name)")
                #expect(
                    (proof.upgrade?.tree ?? reader.tree).byteLength == (try result["byteLength"].uintValue), "\(name)")
                let newNodes = try result["newNodes"].arrayValue.map { try $0.uintValue }
                #expect(Set(proof.nodes.map(\.index)) == Set(newNodes), "\(name)")

                // The same when every stored node has to be loaded first.
                let lazy = try withLazyLoading(from: reader.table) { (source) throws(ProofError) in
                    try reader.verifier.verify(message, against: reader.tree, source: source)
                }
                #expect(lazy.result == proof)
                reader.apply(proof)
                let after = step["after"]
                #expect(reader.tree.length == (try after["length"].uintValue))
                #expect(reader.tree.byteLength == (try after["byteLength"].uintValue))
                #expect(reader.tree.fork == (try after["fork"].uintValue))
                #expect(reader.tree.hash == (try after["treeHash"].bytes32Value))
                #expect(reader.blocks.keys.sorted() == (try after["has"].arrayValue.map { try $0.uintValue }))

                let log = try source(session, length: reader.tree.length, signature: nil)
                reader.expectConsistent(with: log)
            }
        }
    }

    private func checkReject(_ reject: JSONValue, _ reader: TestReader, _ name: String) throws {
        let note = "\(name): \(try reject["note"].stringValue)"
        let reference = try reject["reference"].stringValue
        let bytes = try reject["data"].hexValue
        let message: DataMessage
        do throws(CodecError) {
            message = try decode(bytes)
        } catch {
            #expect(reference != "accepts", "\(note)")
            return
        }
        do throws(ProofError) {
            let proof = try reader.verify(message)
            #expect(reference == "accepts", "\(note)")
            // What the reference accepts may be accepted, but must not bring anything wrong into the tree.
            #expect(proof.upgrade == nil || proof.upgrade.map { reader.tree.length < $0.tree.length } == true)
        } catch {
            if reference.contains("other fork") { #expect(error == .otherFork, "\(note)") }
            switch error {
            case .notLoaded: Issue.record("\(note): everything was loaded")
            case .otherFork: #expect(reference.contains("other fork"), "\(note)")
            case .invalidOperation, .invalidChecksum, .invalidProof, .invalidManifest, .invalidSignature: break
            }
            if reference.contains("INVALID_CHECKSUM") {
                guard case .invalidChecksum = error else { Issue.record("\(note): \(error)"); return }
            }
            // A surplus node or a wrong prologue is noticed before the signature, which the reference looks at first.
            if reference.contains("invalid signature"), !note.contains("length - 1"), !note.contains("prologue") {
                #expect(error == .invalidSignature, "\(note)")
            }
            if reference.contains("invalid manifest") { #expect(error == .invalidManifest, "\(note)") }
        }
    }

    @Test func producerErrors() throws {
        let sessions = try file["proofSessions"].arrayValue
        for entry in try file["producerErrors"].arrayValue {
            let session = sessions[try entry["session"].intValue]
            let log = try source(session, length: try entry["sourceLength"].uintValue, signature: [])
            let request = try ProofRequest(json: entry["request"])
            let note = try entry["note"].stringValue
            if try entry["reference"].stringValue == "answers" {
                #expect(throws: Never.self, "\(note)") { try log.producer.proof(for: request) }
            } else {
                #expect(throws: ProofError.self, "\(note)") { try log.producer.proof(for: request) }
            }
        }
    }
}
