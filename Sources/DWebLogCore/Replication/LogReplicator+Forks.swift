package import DWebBase
import DequeModule
import OrderedCollections

/// A truncation at a higher fork whose proof is being collected; spec 30 D.5 and E.8.
struct Reorganisation {
    /// What is to be asked next.
    enum Step: Equatable {
        /// The upgrade from nothing to the peer's length at that fork.
        case proof
        /// The hash of a leaf in the window, climbed this far, to find the first block that differs.
        case search(window: Range<UInt64>, levelCount: UInt64)
        /// Nothing: it can be applied.
        case ready
    }

    let fork: UInt64
    var step = Step.proof
    /// Whether a request is unanswered or its answer is being verified.
    var isBusy = false
}

extension LogReplicator {
    // MARK: Collecting

    /// Starts collecting the proof of a peer's higher fork.
    func considerFork(of peer: ReplicationPeer) {
        guard peer.isActive, peer.fork > head.fork, peer.length > 0 else { return }
        _ = startReorganisation(peer.fork)
        markDirty(peer)
    }

    private func startReorganisation(_ fork: UInt64) -> Bool {
        guard options.allowsForks, applyingFork == nil, fork > head.fork else { return false }
        if reorganisations.contains(where: { $0.fork == fork }) { return true }
        if reorganisations.count >= ReplicationLimits.reorganisations {
            guard let lowest = reorganisations.first, lowest.fork < fork else { return false }
            discardReorganisations { $0.fork == lowest.fork }
        }
        let position = reorganisations.firstIndex { $0.fork > fork } ?? reorganisations.count
        reorganisations.insert(Reorganisation(fork: fork), at: position)
        return true
    }

    /// The log changed: what was compared with it is worthless.
    func restartForks() {
        forkGeneration += 1
        for position in reorganisations.indices {
            outputs.append(.discardReorganisation(fork: reorganisations[position].fork))
            reorganisations[position].step = .proof
        }
    }

    /// Whether the proof of this fork is still to be collected.
    func isProofWanted(_ fork: UInt64) -> Bool {
        reorganisations.contains { $0.fork == fork && $0.step == .proof }
    }

    /// Whether leaf hashes of this fork are of use.
    func isSearching(_ fork: UInt64) -> Bool {
        reorganisations.contains { reorganisation in
            guard reorganisation.fork == fork, case .search = reorganisation.step else { return false }
            return true
        }
    }

    private func discardReorganisations(where isDiscarded: (Reorganisation) -> Bool) {
        for reorganisation in reorganisations where isDiscarded(reorganisation) {
            outputs.append(.discardReorganisation(fork: reorganisation.fork))
        }
        reorganisations.removeAll(where: isDiscarded)
        updatesNeedChecking = true
    }

    /// Forgets forks that no peer has any more.
    func discardOrphanedForks() {
        guard !reorganisations.isEmpty else { return }
        discardReorganisations { reorganisation in
            reorganisation.step != .ready && !reorganisation.isBusy
                && !peers.values.contains { $0.isActive && $0.fork == reorganisation.fork }
        }
    }

    func requestFork(from peer: ReplicationPeer) -> Bool {
        guard peer.fork > head.fork, applyingFork == nil, peer.length > 0,
            let position = reorganisations.firstIndex(where: { $0.fork == peer.fork }),
            reorganisations[position].step == .proof, !reorganisations[position].isBusy
        else { return false }
        reorganisations[position].isBusy = true
        let upgrade = ProofRequest.Upgrade(start: 0, length: peer.length)
        sendRequest(.fork(peer.fork), proof: ProofRequest(upgrade: upgrade), to: peer)
        return true
    }

    func requestForkSearch(from peer: ReplicationPeer) -> Bool {
        guard peer.fork > head.fork, applyingFork == nil,
            let position = reorganisations.firstIndex(where: { $0.fork == peer.fork }),
            !reorganisations[position].isBusy,
            case .search(let window, let levelCount) = reorganisations[position].step
        else { return false }
        let available = window.clamped(to: 0..<peer.length)
        guard !available.isEmpty, let index = availableBlock(in: available, at: peer) else { return false }
        reorganisations[position].isBusy = true
        sendRequest(
            .forkSearch(peer.fork, hashedBlock: index),
            proof: ProofRequest(hash: ProofRequest.Hash(index: FlatTree.leaf(index), nodes: levelCount)), to: peer)
        return true
    }

    /// Some block of the range that the peer has, or else a reason to be told of one.
    private func availableBlock(in range: Range<UInt64>, at peer: ReplicationPeer) -> UInt64? {
        if range.lowerBound < peer.contiguousLength {
            return UInt64.random(in: range.lowerBound..<min(range.upperBound, peer.contiguousLength), using: &random)
        }
        let middle = UInt64.random(in: range, using: &random)
        if let index = peer.blocks.firstPresent(in: middle..<range.upperBound)
            ?? peer.blocks.firstPresent(in: range.lowerBound..<middle)
        {
            return index
        }
        want(windowOf: range.lowerBound, from: peer)
        return nil
    }

    /// A peer sends the proof of a higher fork without being asked, or after the request was given up.
    func considerForkProof(_ data: DataMessage, from peer: ReplicationPeer) {
        guard peer.isActive, startReorganisation(data.fork),
            let position = reorganisations.firstIndex(where: { $0.fork == data.fork }),
            reorganisations[position].step == .proof, !reorganisations[position].isBusy
        else { return }
        reorganisations[position].isBusy = true
        verify(data, answering: nil, from: peer, purpose: .reorganisation(fork: data.fork))
    }

    func releaseFork(_ fork: UInt64) {
        guard let position = reorganisations.firstIndex(where: { $0.fork == fork }) else { return }
        reorganisations[position].isBusy = false
        discardOrphanedForks()
    }

    func finishReorganisation(_ verification: Verification, fork: UInt64, _ outcome: VerificationOutcome) {
        if !verification.peer.isRemoved { markDirty(verification.peer) }
        guard let position = reorganisations.firstIndex(where: { $0.fork == fork }) else { return }
        reorganisations[position].isBusy = false
        guard verification.generation == forkGeneration else {
            outputs.append(.discardReorganisation(fork: fork))
            reorganisations[position].step = .proof
            return
        }
        switch outcome {
        case .searching(let window, let levelCount):
            reorganisations[position].step = .search(window: window, levelCount: levelCount)
            for peer in peers.values where peer.fork == fork { markDirty(peer) }
        case .reorganisationReady:
            reorganisations[position].step = .ready
            discardReorganisations { $0.fork < fork }
            if wantsUpgrade { applyReadyFork() }
        case .stale:
            discardOrphanedForks()
        case .rejected(let failure):
            discardReorganisations { $0.fork == fork }
            emit(.verificationFailed(verification.peer.id, failure))
            if !verification.peer.isRemoved {
                // The proof of a fork stands for itself: no history of ours can make it wrong.
                if failure == .invalidOperation {
                    pause(verification.peer)
                } else {
                    destroyStream(of: verification.peer, .invalidProof)
                }
            }
            reconsiderForks()
        case .storageFailed:
            discardReorganisations { $0.fork == fork }
            if !verification.peer.isRemoved { pause(verification.peer) }
            reconsiderForks()
        case .applied, .sameHistory, .conflict:
            preconditionFailure("this outcome belongs to another purpose")
        }
    }

    private func reconsiderForks() {
        for peer in peers.values { considerFork(of: peer) }
    }

    // MARK: Applying

    /// Has the newest collected fork applied.
    func applyReadyFork() {
        guard applyingFork == nil, let ready = reorganisations.last(where: { $0.step == .ready }) else { return }
        applyingFork = ready.fork
        outputs.append(.applyReorganisation(fork: ready.fork))
    }

    /// The truncation was applied: blocks below `ancestors` were kept, those from there on are gone.
    package func reorganised(to head: LogHead, ancestors: UInt64, now: MonotonicTime) {
        self.now = now
        precondition(applyingFork == head.fork, "the fork applied is the one that was asked for")
        precondition(ancestors <= min(head.length, self.head.length), "both histories have the common ancestors")
        applyingFork = nil
        discardReorganisations { $0.fork <= head.fork }
        // Nodes around the kept blocks went away with the others.
        pathBlocks = ancestors > 0 ? AvailabilityMap() : nil
        cautiousBlocks.removeAll()
        bestRemoteContiguousLength = 0
        applyTruncation(to: head, ancestors: ancestors)
        reconsiderForks()
    }

    /// The truncation could not be applied; it is collected again when a peer syncs.
    package func reorganisationFailed(fork: UInt64, now: MonotonicTime) {
        self.now = now
        guard applyingFork == fork else { return }
        applyingFork = nil
        reorganisations.removeAll { $0.fork == fork }
        updatesNeedChecking = true
        markAllDirty()
    }
}
