import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    /// Asks a peer whose proof failed for its whole history, as far as ours goes; false if there is nothing to compare.
    /// Spec 30 E.9.
    func probeConflict(with peer: ReplicationPeer) -> Bool {
        let length = min(head.length, peer.length)
        guard length > 0, peer.fork == head.fork else { return false }
        let proof = ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: length))
        send(.request(RequestMessage(id: 0, fork: peer.fork, proof: proof)), to: peer)
        return true
    }

    /// Has a peer's proof of its history compared with ours; false if it cannot be compared.
    func considerConflict(_ data: DataMessage, from peer: ReplicationPeer) -> Bool {
        guard let upgrade = data.upgrade, data.fork == head.fork, knowsManifest,
            head.length >= upgrade.start.addingClamped(upgrade.length)
        else { return false }
        peer.conflictCheckCount += 1
        guard peer.conflictCheckCount <= ReplicationLimits.conflictChecksPerPeer else { return true }
        verify(data, answering: nil, from: peer, purpose: .conflict)
        return true
    }

    func finishConflict(_ verification: Verification, _ outcome: VerificationOutcome) {
        let peer = verification.peer
        switch outcome {
        case .sameHistory:
            guard !peer.isRemoved else { return }
            resume(peer)
        case .conflict:
            freeze(because: peer)
        case .rejected(let failure):
            emit(.verificationFailed(peer.id, failure))
            guard !peer.isRemoved else { return }
            // Where our tree lacks nodes the peer is not to blame.
            if failure == .invalidOperation { pause(peer) } else { destroyStream(of: peer, .invalidProof) }
        case .stale, .storageFailed:
            break
        case .applied, .searching, .reorganisationReady:
            preconditionFailure("this outcome belongs to another purpose")
        }
    }

    private func resume(_ peer: ReplicationPeer) {
        guard peer.isPaused else { return }
        peer.isPaused = false
        peer.unavailableCount = 0
        peer.invalidCount = 0
        peer.invalidOperationCount = 0
        emit(.peerResumed(peer.id))
        considerFork(of: peer)
        peer.needsSync = true
        peer.scanEpoch += 1
        markDirty(peer)
    }

    /// The key signed two histories: every peer gets our proof and its channel is closed.
    private func freeze(because peer: ReplicationPeer) {
        guard !isFrozen else { return }
        isFrozen = true
        emit(.conflict(peer.id))
        for peer in Array(peers.values) {
            guard peer.isOpen else {
                close(peer)
                continue
            }
            let proof = ProofRequest(upgrade: ProofRequest.Upgrade(start: 0, length: head.length))
            let request = RequestMessage(id: 0, fork: head.fork, proof: proof, manifest: offersManifest)
            handOut(request, kind: .conflictProof, serial: 0, to: peer)
        }
    }
}
