import DWebBase
package import DWebLogCore
import DWebPorts

extension LogEngine {
    /// Produces the answer to a peer's request.
    package func answer(_ request: RequestMessage, _ kind: ServingKind) async -> ServingOutcome {
        switch kind {
        case .manifestOnly:
            return .data(DataMessage(request: request.id, fork: tree.fork, manifest: offeredManifest))
        case .proof, .conflictProof, .push:
            if damagedHead != nil { return .unavailable }
        }
        var loadCount = 0
        while !isClosed {
            guard kind != .proof || request.fork == tree.fork else { return .unavailable }
            do throws(ProofError) {
                var value: [UInt8] = []
                if let index = request.proof.block?.index {
                    guard present.contains(index) else { return .unavailable }
                    switch try immediateBlock(index) {
                    case .value(let bytes): value = bytes
                    case .absent: return .unavailable
                    case .wouldWait:
                        guard let bytes = await slowBlock(index) else { return .unavailable }
                        // The log may have changed during the read.
                        guard present.contains(index) else { return .unavailable }
                        value = bytes
                    }
                }
                let producer = ProofProducer(
                    signed: SignedTree(tree: tree, signature: signature), prologue: verifier?.prologue, source: nodes)
                return .data(try producer.answer(to: request, blockValue: value, manifest: offeredManifest))
            } catch {
                guard case .notLoaded(let indices) = error else { return outcome(of: error) }
                // A seek finds its way level by level; anything longer is a storage that forgets what it loads.
                loadCount += 1
                guard loadCount <= 64, await loadNodes(indices) else { return .unavailable }
            }
        }
        return .unavailable
    }

    /// The manifest, if peers may be given it.
    private var offeredManifest: Manifest? { manifest.flatMap { $0.isCompatible(with: key) ? nil : $0 } }

    private func immediateBlock(_ index: UInt64) throws(ProofError) -> ImmediateRead {
        do throws(PortError) { return try storage.readImmediately(keys.block(index)) } catch { return .absent }
    }

    private func slowBlock(_ index: UInt64) async -> [UInt8]? {
        do throws(PortError) { return try await storage.read([keys.block(index)])[0] } catch { return nil }
    }

    /// Loads tree nodes from the medium; false if it refuses.
    func loadNodes(_ indices: [UInt64]) async -> Bool {
        do throws(PortError) {
            try await nodes.load(indices)
            return true
        } catch {
            return false
        }
    }

    private func outcome(of error: ProofError) -> ServingOutcome {
        switch error {
        case .invalidOperation(.missingStoredNode), .notLoaded, .otherFork: .unavailable
        case .invalidOperation, .invalidChecksum, .invalidProof, .invalidManifest, .invalidSignature: .invalidRequest
        }
    }
}
