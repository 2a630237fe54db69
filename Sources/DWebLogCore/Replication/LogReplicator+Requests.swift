import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: Sending

    /// Sends a request, with an upgrade and the manifest where those are wanted and possible; spec 30 E.4.
    func sendRequest(
        _ purpose: RequestPurpose, proof: ProofRequest, priority: UInt64 = 0, levelCount: UInt64 = 0,
        dependsOnOthers: Bool = false, to peer: ReplicationPeer
    ) {
        var proof = proof
        if proof.upgrade == nil, wantsUpgrade, canBeUpgraded(by: peer), case .block = purpose {
            proof.upgrade = upgrade(to: peer)
        }
        let isFork: Bool
        switch purpose {
        case .fork, .forkSearch: isFork = true
        case .block, .upgrade, .seek: isFork = false
        }
        if proof.upgrade != nil, !isFork {
            isUpgradeInFlight = true
            upgradeDeadline = now + ReplicationLimits.upgradePatience
            peer.upgradesInFlight += 1
        }
        let manifest = !knowsManifest && peer.hasManifest
        let id = peer.requests.insert(
            purpose, fork: peer.fork, hasUpgrade: proof.upgrade != nil, levelCount: UInt8(levelCount),
            dependsOnOthers: dependsOnOthers, now: now)
        unansweredCount += 1
        send(
            .request(RequestMessage(id: id, fork: peer.fork, proof: proof, manifest: manifest, priority: priority)),
            to: peer)
    }

    /// Requests a block. One at or past our length needs the upgrade that brings it.
    func requestBlock(_ index: UInt64, priority: UInt64, from peer: ReplicationPeer) {
        var levels = (count: UInt64(0), dependsOnOthers: false)
        var proof = ProofRequest()
        if index < head.length {
            levels = levelCount(forBlock: index, at: peer)
        } else {
            proof.upgrade = upgrade(to: peer)
        }
        proof.block = ProofRequest.Block(index: index, nodes: levels.count)
        addCopy(of: index, at: peer)
        sendRequest(
            .block(index), proof: proof, priority: priority, levelCount: levels.count,
            dependsOnOthers: levels.dependsOnOthers, to: peer)
    }

    /// Whether somebody wants a longer log. A log without users does not grow by itself.
    var wantsUpgrade: Bool {
        !updateTickets.isEmpty || options.upgradesEagerly && (isActive || lingerDeadline != nil)
    }

    /// Whether a request to the peer may carry an upgrade; spec 30 E.4.
    func canBeUpgraded(by peer: ReplicationPeer) -> Bool {
        !isUpgradeInFlight && peer.offersUpgrade && peer.fork == head.fork && peer.length > head.length
            && peer.lengthAcknowledged == head.length && applyingFork == nil && peer.upgradesInFlight == 0
    }

    func upgrade(to peer: ReplicationPeer) -> ProofRequest.Upgrade {
        ProofRequest.Upgrade(start: head.length, length: peer.length - head.length)
    }

    // MARK: How far to climb

    /// How many levels above the leaf of a block the nearest node is that is stored, or will be once earlier requests
    /// to the same peer are answered.
    ///
    /// A stored block has every node on its way to the root stored, and their siblings. So a node is stored if any
    /// block below its parent is.
    func levelCount(forBlock index: UInt64, at peer: ReplicationPeer) -> (count: UInt64, dependsOnOthers: Bool) {
        let isCautious = !cautiousBlocks.isEmpty && cautiousBlocks.contains(index)
        let plansAhead = peer.plansAhead && !isCautious
        // Six of seven levels are decided within the 64 blocks around the block.
        let wordIndex = index >> 6
        let stored = isCautious ? 0 : pathWord(wordIndex)
        // What is being verified may still prove wrong.
        let planned =
            (isCautious ? 0 : verifyingBlocks.word(wordIndex)) | (plansAhead ? peer.inFlight.word(wordIndex) : 0)
        var level: UInt64 = 0
        while true {
            let parentSpan = span(of: index, level: level + 1)
            // The node is a full root, which is always stored.
            if parentSpan.upperBound > head.length { return (level, false) }
            if level < 6 {
                let mask = AvailabilityMap.mask(of: parentSpan, inWord: wordIndex)
                if stored & mask != 0 { return (level, false) }
                if planned & mask != 0 { return (level, true) }
            } else if !isCautious {
                if isPathStored(in: parentSpan) { return (level, false) }
                if verifyingBlocks.firstPresent(in: parentSpan) != nil { return (level, true) }
                if plansAhead, peer.inFlight.firstPresent(in: parentSpan) != nil { return (level, true) }
            }
            if !isCautious, pathBlocks != nil, let hasNode,
                hasNode(FlatTree.index(depth: level, offset: index >> level)) == true
            {
                return (level, false)
            }
            level += 1
        }
    }

    /// Whether the node at this level above a block is stored, or comes with a proof that is being verified.
    func isConnected(_ index: UInt64, level: UInt64) -> Bool {
        let parentSpan = span(of: index, level: level + 1)
        return parentSpan.upperBound > head.length || isPathExpected(in: parentSpan)
    }

    /// Whether a tree node is known to be stored.
    func isNodeStored(_ node: UInt64) -> Bool {
        if let isStored = hasNode?(node) { return isStored }
        let parentSpan = FlatTree.blocks(below: FlatTree.parent(node))
        if parentSpan.upperBound <= head.length { return isPathExpected(in: parentSpan) }
        // A full root, unless it reaches past the end.
        return FlatTree.blocks(below: node).upperBound <= head.length
    }

    /// The blocks below the ancestor of a block at this level.
    func span(of index: UInt64, level: UInt64) -> Range<UInt64> {
        let start = (index >> level) << level
        return start..<start + (1 << level)
    }

    private func isPathStored(in span: Range<UInt64>) -> Bool {
        if pathBlocks == nil { return local.firstPresent(in: span) != nil }
        return pathBlocks?.firstPresent(in: span) != nil
    }

    /// Whether a node is stored, or will be unless what is being verified proves wrong.
    private func isPathExpected(in span: Range<UInt64>) -> Bool {
        isPathStored(in: span) || verifyingBlocks.firstPresent(in: span) != nil
    }

    private func pathWord(_ wordIndex: UInt64) -> UInt64 {
        pathBlocks == nil ? local.word(wordIndex) : pathBlocks?.word(wordIndex) ?? 0
    }

    // MARK: Copies of a block in flight

    private func addCopy(of index: UInt64, at peer: ReplicationPeer) {
        peer.inFlight.insert(index)
        if inFlight.insert(index) {
            if peers.count > 1 { noteSwapCandidate(SwapCandidate(index: index, sentAt: now), copies: 1) }
        } else if inFlightTwice.insert(index) {
            noteSwapCandidate(SwapCandidate(index: index, sentAt: now), copies: 2)
        } else {
            inFlightThrice.insert(index)
        }
    }

    /// The block is no longer on its way from the peer. If it was the last copy, it is looked for again.
    func removeCopy(of index: UInt64, at peer: ReplicationPeer) {
        guard peer.inFlight.remove(index) else { return }
        let remainingCount = inFlightThrice.remove(index) ? 2 : inFlightTwice.remove(index) ? 1 : 0
        guard remainingCount == 0 else {
            // Whoever has it still in flight may never answer.
            if !local.contains(index) {
                noteSwapCandidate(SwapCandidate(index: index, sentAt: now), copies: remainingCount)
                markAllDirty()
            }
            return
        }
        inFlight.remove(index)
        if !local.contains(index) { rewindScans(to: index) }
    }

    /// Lets all peers find blocks from `index` on that they skipped, since these were on their way or stored.
    func rewindScans(to index: UInt64) {
        markAllDirty()
        guard linearRangeCount > 0 else { return }
        for range in ranges.list where range.isLinear && index < range.end ?? .max {
            for peer in peers.values {
                guard let scan = peer.rangeScans[range.ticket], scan.position > index else { continue }
                peer.rangeScans[range.ticket]!.position = max(index, range.start)
            }
        }
    }

    // MARK: Giving up

    /// Undoes what a request without a useful answer stands for, after it was taken out of the table.
    func giveUp(_ request: PendingRequest, at peer: ReplicationPeer) {
        release(request, at: peer)
        if case .block(let index) = request.purpose { releaseHeld(waitingFor: index, at: peer) }
        updatesNeedChecking = true
        markAllDirty()
    }

    /// Frees what a request occupied: it was answered, or never will be.
    func release(_ request: PendingRequest, at peer: ReplicationPeer) {
        switch request.purpose {
        case .block(let index):
            if request.hasUpgrade { releaseUpgrade(at: peer) }
            removeCopy(of: index, at: peer)
        case .upgrade:
            if request.hasUpgrade { releaseUpgrade(at: peer) } else { isManifestInFlight = false }
        case .seek(let ticket, _):
            if request.hasUpgrade { releaseUpgrade(at: peer) }
            releaseSeek(ticket)
        case .fork(let fork), .forkSearch(let fork, _):
            releaseFork(fork)
        }
    }

    private func releaseUpgrade(at peer: ReplicationPeer) {
        isUpgradeInFlight = false
        upgradeDeadline = nil
        peer.upgradesInFlight -= 1
    }

    /// Cancels an unanswered request.
    func cancelRequest(_ id: UInt64, at peer: ReplicationPeer) {
        guard let request = peer.requests.cancel(id) else { return }
        unansweredCount -= 1
        send(.cancel(CancelMessage(request: id)), to: peer)
        giveUp(request, at: peer)
    }

    /// Cancels the requests of a block at all peers.
    func cancelRequests(ofBlock index: UInt64) {
        guard inFlight.contains(index) else { return }
        for peer in peers.values where peer.inFlight.contains(index) {
            // A request that carries the upgrade is worth its answer whatever becomes of the block.
            if let id = peer.requests.firstID(where: { $0.purpose == .block(index) && !$0.hasUpgrade }) {
                cancelRequest(id, at: peer)
            }
        }
    }
}
