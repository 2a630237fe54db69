package import DWebBase
import DequeModule
import OrderedCollections

// While the roots of our tree are lost nothing can be proven or checked. Peers are asked for their whole history, and
// the first whose proof has the hash that our head states gives the roots back; spec 30 E.9.

extension LogReplicator {
    /// Asks a peer for the proof of our length.
    func requestRoots(from peer: ReplicationPeer) {
        let upgrade = ProofRequest.Upgrade(start: 0, length: head.length)
        send(
            .request(
                RequestMessage(id: 0, fork: head.fork, proof: ProofRequest(upgrade: upgrade), manifest: !knowsManifest)),
            to: peer)
    }

    func handleWhileDamaged(_ message: LogMessage, from peer: ReplicationPeer) {
        switch message {
        case .data(let data):
            guard data.request == 0, data.fork == head.fork, let upgrade = data.upgrade, upgrade.start == 0,
                upgrade.length == head.length
            else { return }
            peer.conflictCheckCount += 1
            guard peer.conflictCheckCount <= ReplicationLimits.conflictChecksPerPeer else { return }
            verify(data, answering: nil, from: peer, purpose: .repair)
        case .sync(let sync):
            // A peer that was behind may have what is missing by now.
            let wasShorter = peer.length < head.length
            note(sync, of: peer)
            if wasShorter, peer.length >= head.length { requestRoots(from: peer) }
        case .range(let range): receive(range, from: peer)
        case .bitfield(let bitfield): receive(bitfield, from: peer)
        case .want(let want): _ = peer.wants.insert(want)
        case .unwant(let want): peer.wants.remove(want)
        case .request(let request): sendNoData(request.id, .notAvailable, to: peer)
        case .cancel, .noData, .extensionMessage: break
        }
    }

    func finishRepair(_ verification: Verification, _ outcome: VerificationOutcome) {
        switch outcome {
        case .sameHistory: break
        case .rejected(let failure):
            emit(.verificationFailed(verification.peer.id, failure))
            if !verification.peer.isRemoved { pause(verification.peer) }
        case .stale, .storageFailed, .conflict: break
        case .applied, .searching, .reorganisationReady:
            preconditionFailure("this outcome belongs to another purpose")
        }
    }

    /// The roots are stored again: every peer is told our state, and everything goes on as usual.
    package func repaired(knowsManifest: Bool, offersManifest: Bool, now: MonotonicTime) {
        self.now = now
        guard isDamaged else { return }
        isDamaged = false
        self.knowsManifest = knowsManifest
        self.offersManifest = offersManifest
        for peer in peers.values where peer.isOpen {
            peer.canUpgrade = false
            updateCanUpgrade(peer)
            sendSync(to: peer)
            announceAll(to: peer)
        }
        markAllDirty()
    }

    /// The owner decided that what froze the log is over: the log takes peers again.
    package func unfreeze(now: MonotonicTime) {
        self.now = now
        isFrozen = false
    }
}
