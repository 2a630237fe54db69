import DWebBase
package import DWebLogCore
import DWebPorts
import DequeModule

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
        var hasReadAhead = false
        while !isClosed {
            guard kind != .proof || request.fork == tree.fork else { return .unavailable }
            do throws(ProofError) {
                var value: [UInt8] = []
                if let index = request.proof.block?.index {
                    guard present.contains(index) else { return .unavailable }
                    if let bytes = replication.window.blocks.block(index, cutCount: nodes.cutCount) {
                        value = bytes
                    } else if !hasReadAhead, isReadOn(from: index) {
                        hasReadAhead = true
                        await readAhead(from: index)
                        // The log may have changed during the read.
                        continue
                    } else {
                        switch try immediateBlock(index) {
                        case .value(let bytes): value = bytes
                        case .absent: return .unavailable
                        case .wouldWait:
                            guard let bytes = await slowBlock(index) else { return .unavailable }
                            guard present.contains(index) else { return .unavailable }
                            value = bytes
                        }
                    }
                }
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

    /// The answer to a request for a block that was read ahead with its nodes; nil for any other request.
    func quickAnswer(_ request: RequestMessage, _ kind: ServingKind) -> ServingOutcome? {
        guard kind == .proof, !isClosed, damagedHead == nil, request.fork == tree.fork, !request.manifest,
            request.proof.hasOnlyBlock, let index = request.proof.block?.index, present.contains(index),
            let value = replication.window.blocks.block(index, cutCount: nodes.cutCount),
            let message = try? producer.answer(to: request, blockValue: value)
        else { return nil }
        return .data(message)
    }

    private var producer: ProofProducer<StoredNodes> {
        ProofProducer(
            signed: SignedTree(tree: tree, signature: signature),
            prologue: manifest?.prologue == nil ? nil : verifier?.prologue, source: nodes)
    }

    /// The manifest, if peers may be given it.
    private var offeredManifest: Manifest? { manifest.flatMap { $0.isCompatible(with: key) ? nil : $0 } }

    /// Whether the next requests are for the blocks that follow `index`, and blocks are small.
    private func isReadOn(from index: UInt64) -> Bool {
        let count = ServingWindow.requestCount
        guard index >= replication.window.resumption,
            tree.byteLength / ServingWindow.byteCount <= tree.length / UInt64(2 * count)
        else { return false }
        if replication.window.blocks.isNext(index, cutCount: nodes.cutCount) { return true }
        guard replication.work.count >= count else { return false }
        func asks(_ position: Int) -> Bool {
            guard case .serve(_, from: _, let request, kind: .proof) = replication.work[position] else { return false }
            return request.proof.block?.index == index + UInt64(position) + 1
        }
        return asks(0) && asks(count - 1)
    }

    /// Reads the tree nodes of the blocks from `index` on, and as many of the blocks as may be held.
    private func readAhead(from index: UInt64) async {
        let most = min(tree.length, index + ServingWindow.blockCount)
        guard index < most else { return }
        let end = present.firstAbsent(in: index..<most) ?? most
        let cutCount = nodes.cutCount
        do throws(PortError) {
            let scanned = try await scan(
                keys.nodes(FlatTree.leaf(index)..<FlatTree.leaf(end)), limit: 2 * Int(end - index))
            guard cutCount == nodes.cutCount else { return }
            var known: [TreeNode] = []
            known.reserveCapacity(scanned.count)
            var (blockEnd, byteCount) = (index, UInt64(0))
            for entry in scanned {
                guard let number = try? keys.nodeIndex(ofKey: entry.key),
                    let node = StoredNodes.decode(entry.value, number)
                else { continue }
                known.append(node)
                guard number == FlatTree.leaf(blockEnd), byteCount + node.size <= ServingWindow.byteCount else {
                    continue
                }
                byteCount += node.size
                blockEnd += 1
            }
            nodes.remember(known)
            guard blockEnd - index >= UInt64(ServingWindow.requestCount) else {
                replication.window.resumption = index + ServingWindow.blockCount / 2
                return
            }
            let entries = try await scan(keys.blocks(index..<blockEnd), limit: Int(blockEnd - index))
            guard cutCount == nodes.cutCount, entries.count == Int(blockEnd - index) else { return }
            replication.window.blocks.fill(entries.map(\.value), from: index, cutCount: cutCount)
        } catch {
            // Whoever needs one of them is told.
            return
        }
    }

    private func scan(_ span: KeySpan, limit: Int) async throws(PortError) -> [KeyValueEntry] {
        if let entries = try storage.entriesImmediately(
            from: span.start, to: span.end, limit: limit, byteLimit: .max)
        {
            return entries
        }
        return try await storage.entries(from: span.start, to: span.end, limit: limit, isReversed: false)
    }

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
