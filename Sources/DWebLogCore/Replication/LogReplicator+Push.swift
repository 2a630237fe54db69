package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    /// Whether blocks that were not asked for are taken, and whether nothing else is, from now on.
    package func setPush(isAllowed: Bool, isExclusive: Bool, now: MonotonicTime) {
        self.now = now
        guard isAllowed != options.allowsPush || isExclusive != options.isPushOnly else { return }
        options.allowsPush = isAllowed
        options.isPushOnly = isExclusive
        syncAll()
    }

    /// Sends a stored block to every peer that takes pushes and lacks it; spec 30 E.10.
    package func push(_ index: UInt64, now: MonotonicTime) {
        self.now = now
        guard index < head.length, local.contains(index), !isFrozen else { return }
        for peer in peers.values where peer.isActive && peer.isSynced {
            guard peer.allowsPush, peer.isDownloading, peer.isDrained, peer.fork == head.fork, !peer.has(index) else {
                continue
            }
            let start = max(peer.length, peer.pushedLength)
            var proof = ProofRequest(block: ProofRequest.Block(index: index, nodes: 0))
            if index >= start {
                proof.upgrade = ProofRequest.Upgrade(start: start, length: head.length - start)
                peer.pushedLength = head.length
            } else {
                proof.block?.nodes = climb(from: index, length: min(start, head.length))
            }
            handOut(
                RequestMessage(id: 0, fork: head.fork, proof: proof, manifest: peer.length == 0 && offersManifest),
                kind: .push, serial: 0, to: peer)
        }
    }

    /// How many levels lie between a block's leaf and the full root above it in a tree of `length` blocks.
    private func climb(from index: UInt64, length: UInt64) -> UInt64 {
        var level: UInt64 = 0
        while span(of: index, level: level + 1).upperBound <= length { level += 1 }
        return level
    }

    /// Takes a block that was not asked for, if we said that we do.
    func considerPush(_ data: DataMessage, from peer: ReplicationPeer) {
        guard options.allowsPush, isDownloading, peer.isActive, data.fork == head.fork, data.hash == nil,
            data.seek == nil, data.block != nil || data.upgrade != nil,
            pendingVerificationCount < ReplicationLimits.pendingVerifications
        else { return }
        if let block = data.block, data.upgrade == nil, local.contains(block.index) { return }
        // One that builds on a push which is still being verified may hold.
        if let upgrade = data.upgrade, upgrade.start > head.length, pendingVerificationCount == 0 { return }
        verify(data, answering: nil, from: peer, purpose: .push)
    }
}
