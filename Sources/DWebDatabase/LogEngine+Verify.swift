import DWebBase
import DWebLogCore
import DWebPorts
import OrderedCollections

/// A data message of a peer that is to be verified and stored.
struct PendingVerification {
    let token: VerificationToken
    let peer: ReplicationPeerID
    let data: DataMessage

    /// The bytes of its block.
    var byteCount: Int { data.block?.value.count ?? 0 }
}

/// Proofs that were found good and wait to be written together.
private struct StagedProofs {
    var tokens: [VerificationToken] = []
    var blocks: [VerifiedProof.Block] = []
    /// Who sent each of the blocks.
    var senders: [ReplicationPeerID] = []
    var manifest: Manifest?

    var isEmpty: Bool { tokens.isEmpty }
}

extension LogEngine {
    // Answers that share one write. Large enough to make the write cheap, small enough to keep memory and delay low.
    private static let groupMessageLimit = 256
    private static let groupByteLimit = 512 << 10

    /// The rules by which the log is signed; nil while its manifest is not known.
    var verifier: SignatureVerifier? { manifest.map { SignatureVerifier(key: key, manifest: $0) } }

    /// Verifies an answer and those that directly follow it, stores what is good, and reports to the machine.
    ///
    /// Answers without an upgrade share one write; an upgrade has its own (spec 40 section 14).
    func verifyGroup(startingWith first: PendingVerification) async {
        var group = [first]
        takeFollowingAnswers(
            limit: LogEngine.groupMessageLimit, byteLimit: LogEngine.groupByteLimit, into: &group)
        await enterMutation()
        var staged = StagedProofs()
        for pending in group {
            if failure == nil, !isClosed, pending.data.hasOnlyBlock, let block = pending.data.block,
                let blockNodes = try? ProofVerifier.verifyBlock(pending.data, against: tree, source: nodes)
            {
                staged.tokens.append(pending.token)
                staged.blocks.append(VerifiedProof.Block(index: block.index, value: block.value))
                staged.senders.append(pending.peer)
                nodes.stage(blockNodes)
                continue
            }
            // The whole way also tells what is wrong or has to be loaded.
            let outcome = await verify(pending.data)
            switch outcome {
            case .failure(let failure): report(pending.token, failure)
            case .success(let proof) where proof.upgrade != nil:
                await commit(&staged)
                // The write may have failed, or been preceded by one: the proof must still fit.
                if proof.isApplicable(to: tree) {
                    await commitUpgrade(proof, pending.token, from: pending.peer)
                } else {
                    report(pending.token, .stale)
                }
            case .success(let proof):
                staged.tokens.append(pending.token)
                if let block = proof.block {
                    staged.blocks.append(block)
                    staged.senders.append(pending.peer)
                }
                if let manifest = proof.manifest { staged.manifest = manifest }
                nodes.stage(proof.nodes)
            }
        }
        await commit(&staged)
        mutations.leave()
    }

    private func report(_ token: VerificationToken, _ outcome: VerificationOutcome) {
        replication.machine.verified(token, outcome, now: loop.now)
    }

    /// What the machine is told when something was stored.
    private var appliedOutcome: VerificationOutcome {
        .applied(
            LogHead(fork: tree.fork, length: tree.length), knowsManifest: manifest != nil,
            offersManifest: manifest.map { !$0.isCompatible(with: key) } ?? false)
    }

    private enum Checked {
        case success(VerifiedProof)
        case failure(VerificationOutcome)
    }

    private func verify(_ data: DataMessage) async -> Checked {
        if failure != nil || isClosed { return .failure(.storageFailed) }
        var loadCount = 0
        while true {
            do throws(ProofError) {
                return .success(
                    try ProofVerifier(key: key, signatureVerifier: verifier)
                        .verify(data, against: tree, source: nodes))
            } catch {
                guard case .notLoaded(let indices) = error else { return .failure(LogEngine.outcome(of: error)) }
                loadCount += 1
                guard loadCount <= 64, await loadNodes(indices) else { return .failure(.storageFailed) }
            }
        }
    }

    /// How the machine calls a refused proof.
    static func outcome(of error: ProofError) -> VerificationOutcome {
        switch error {
        case .otherFork: .stale
        case .notLoaded: .storageFailed
        case .invalidOperation: .rejected(.invalidOperation)
        case .invalidChecksum: .rejected(.invalidChecksum)
        case .invalidProof, .invalidManifest: .rejected(.invalidProof)
        case .invalidSignature: .rejected(.invalidSignature)
        }
    }

    /// Writes what is staged: blocks, auth, nodes, pages.
    private func commit(_ staged: inout StagedProofs) async {
        guard !staged.isEmpty else { return }
        let proofs = staged
        staged = StagedProofs()
        var batch = WriteBatch()
        for block in proofs.blocks { batch.put(block: block.value, at: block.index, keys) }
        let newAuth = stageManifest(proofs.manifest, into: &batch)
        batch.put(nodes.stagedNodes, keys)
        putPages(adding: proofs.blocks, into: &batch)
        if hints != writtenHints, !batch.isEmpty { batch.put(keys.hints, hints.encoded) }
        let outcome = await applyVerified(batch)
        nodes.unstage(isStored: outcome == nil)
        if let outcome {
            for token in proofs.tokens { report(token, outcome) }
            return
        }
        writtenHints = hints
        if let newAuth, let manifest = proofs.manifest { adoptManifest(manifest, newAuth) }
        received(proofs.blocks, from: proofs.senders)
        publishHead()
        let (applied, now) = (appliedOutcome, loop.now)
        for token in proofs.tokens { replication.machine.verified(token, applied, now: now) }
    }

    /// Writes an upgrade: [block], [page], [auth], nodes, head.
    private func commitUpgrade(
        _ proof: VerifiedProof, _ token: VerificationToken, from peer: ReplicationPeerID
    ) async {
        guard let upgrade = proof.upgrade else { return }
        let blocks = proof.block.map { [$0] } ?? []
        var batch = WriteBatch()
        for block in blocks { batch.put(block: block.value, at: block.index, keys) }
        putPages(adding: blocks, into: &batch)
        let newAuth = stageManifest(proof.manifest, into: &batch)
        batch.put(proof.nodes, keys)
        let write = putHead(upgrade.tree, upgrade.signature, into: &batch)
        if let outcome = await applyVerified(batch) {
            report(token, outcome)
            return
        }
        tree = upgrade.tree
        adopt(write)
        if let newAuth, let manifest = proof.manifest { adoptManifest(manifest, newAuth) }
        nodes.store(proof.nodes)
        received(blocks, from: blocks.map { _ in peer })
        publishHead()
        report(token, appliedOutcome)
        endGrowthWaits()
    }

    /// Applies a batch; what to tell the machine if that fails.
    private func applyVerified(_ batch: WriteBatch) async -> VerificationOutcome? {
        if batch.isEmpty { return nil }
        do throws(DDatabaseError) {
            try await apply(batch)
            return nil
        } catch {
            return .storageFailed
        }
    }

    /// Adds the bitfield pages with the bits of new blocks.
    private func putPages(adding blocks: [VerifiedProof.Block], into batch: inout WriteBatch) {
        var pages: [UInt64: [UInt8]] = [:]
        var order: [UInt64] = []
        for block in blocks where !present.contains(block.index) {
            let page = block.index / AvailabilityMap.pageBitCount
            if pages[page] == nil {
                pages[page] = present.pageBytes(page)
                order.append(page)
            }
            let bit = block.index % AvailabilityMap.pageBitCount
            pages[page]![Int(bit / 8)] |= 1 << UInt8(bit % 8)
        }
        for page in order { batch.put(keys.bitfieldPage(page), pages[page]!) }
    }

    /// Takes over blocks that were stored, and hands them to whoever waits.
    private func received(_ blocks: [VerifiedProof.Block], from senders: [ReplicationPeerID]) {
        for (block, sender) in zip(blocks, senders) {
            if present.insert(block.index) {
                statistics.downloadedBlockCount += 1
                statistics.downloadedByteCount += UInt64(block.value.count)
                noteDownload(block, from: sender)
            }
            if block.index == hints.contiguousLength {
                let next = block.index + 1
                hints.contiguousLength =
                    present.firstAbsent(in: next..<max(next, tree.length)) ?? max(next, tree.length)
            }
            waits.deliver(block: block.index, block.value)
        }
        published.setStatistics(statistics)
    }

    private func noteDownload(_ block: VerifiedProof.Block, from peer: ReplicationPeerID) {
        if replication.links[peer] != nil {
            replication.traffic[peer, default: DDatabase.Statistics()].noteDownload(byteCount: block.value.count)
        }
        guard !events.isIdle else { return }
        events.send(
            .downloaded(block: block.index, byteCount: block.value.count, from: DDatabase.Peer.ID(peer)))
    }
}
