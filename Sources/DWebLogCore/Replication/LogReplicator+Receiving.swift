package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: Answers

    func receive(_ data: DataMessage, from peer: ReplicationPeer) {
        guard data.request != 0 else {
            receiveUnsolicited(data, from: peer)
            return
        }
        guard let request = peer.requests.answer(data.request) else {
            receiveUnsolicited(data, from: peer)
            return
        }
        unansweredCount -= 1
        peer.window.noteAnswer(
            after: now - request.sentAt, byteCount: DataCost.byteCount(data),
            inFlight: peer.requests.count + peer.heldCount + 1)
        markDirty(peer)
        process(data, answering: request, from: peer)
    }

    /// A peer has no answer. After 32 of a kind it is asked for nothing more; spec 30 E.7.
    func receive(_ message: NoDataMessage, from peer: ReplicationPeer) {
        markDirty(peer)
        guard let request = peer.requests.answer(message.request) else { return }
        unansweredCount -= 1
        // What was asked of a history that the peer has left is not its fault.
        if peer.fork == request.fork {
            if message.reason == .invalidRequest { peer.invalidCount += 1 } else { peer.unavailableCount += 1 }
        }
        if case .block(let index) = request.purpose, message.reason == .notAvailable, peer.fork == request.fork {
            // What it announced is not so: another request for the same block would end the same way.
            forget(index, at: peer)
        }
        giveUp(request, at: peer)
        checkCounts(of: peer)
    }

    private func forget(_ index: UInt64, at peer: ReplicationPeer) {
        if index < peer.contiguousLength {
            peer.blocks.set(
                index..<peer.contiguousLength, present: true, pageCountLimit: ReplicationLimits.pagesPerMessage)
            peer.contiguousLength = index
        }
        peer.blocks.remove(index)
    }

    private func checkCounts(of peer: ReplicationPeer) {
        if peer.unavailableCount >= ReplicationLimits.noDataPerPeer
            || peer.invalidCount >= ReplicationLimits.noDataPerPeer
            || peer.invalidOperationCount >= ReplicationLimits.invalidOperationsPerPeer
        {
            pause(peer)
        }
    }

    /// An answer that does not fit its request counts as none.
    private func refuse(_ request: PendingRequest, from peer: ReplicationPeer) {
        peer.unavailableCount += 1
        giveUp(request, at: peer)
        checkCounts(of: peer)
    }

    private func process(_ data: DataMessage, answering request: PendingRequest, from peer: ReplicationPeer) {
        let isManifestNews = data.manifest != nil && !knowsManifest
        switch request.purpose {
        case .block(let index):
            guard data.block == nil || data.block?.index == index, data.hash == nil, data.seek == nil,
                data.block != nil || isManifestNews, data.upgrade == nil || request.hasUpgrade
            else { return refuse(request, from: peer) }
            // A lone manifest comes with the fork of the sender, who has no block of the fork that was asked for.
            guard data.fork == request.fork || data.block == nil && data.upgrade == nil else {
                return refuse(request, from: peer)
            }
            guard data.block == nil || data.fork == head.fork else { return giveUp(request, at: peer) }
            if data.block != nil, data.upgrade == nil {
                if local.contains(index) || verifyingBlocks.contains(index) {
                    // Another copy came first. If it proves wrong the block is asked for again.
                    return giveUp(request, at: peer)
                }
                if request.dependsOnOthers, index < head.length,
                    !isConnected(index, level: UInt64(request.levelCount))
                {
                    return hold(data, answering: request, block: index, at: peer)
                }
            }
            verify(data, answering: request, from: peer, purpose: .answer)
            releaseHeld(waitingFor: index, at: peer)
        case .upgrade:
            guard data.block == nil, data.hash == nil, data.seek == nil,
                data.upgrade == nil || request.hasUpgrade, data.upgrade != nil || isManifestNews
            else { return refuse(request, from: peer) }
            guard data.upgrade == nil || data.fork == request.fork else { return refuse(request, from: peer) }
            guard data.upgrade == nil || data.fork == head.fork else { return giveUp(request, at: peer) }
            verify(data, answering: request, from: peer, purpose: .answer)
        case .seek(let ticket, let hashedBlock):
            guard data.fork == request.fork, data.block == nil, data.upgrade == nil || request.hasUpgrade,
                data.hash == nil || data.hash?.index == hashedBlock.map(FlatTree.leaf),
                data.hash != nil || data.upgrade != nil,
                data.seek == nil || seeks[ticket] == nil || data.seek?.bytes == seeks[ticket]?.bytes
            else { return refuse(request, from: peer) }
            guard data.fork == head.fork else { return giveUp(request, at: peer) }
            verify(data, answering: request, from: peer, purpose: .answer)
        case .fork(let fork):
            guard data.fork == fork, data.upgrade?.start == 0 else { return refuse(request, from: peer) }
            guard isProofWanted(fork) else { return giveUp(request, at: peer) }
            verify(data, answering: request, from: peer, purpose: .reorganisation(fork: fork))
        case .forkSearch(let fork, let hashedBlock):
            guard data.fork == fork, data.hash?.index == FlatTree.leaf(hashedBlock), data.upgrade == nil else {
                return refuse(request, from: peer)
            }
            // The collection was begun anew meanwhile.
            guard isSearching(fork) else { return giveUp(request, at: peer) }
            verify(data, answering: request, from: peer, purpose: .reorganisation(fork: fork))
        }
    }

    private func receiveUnsolicited(_ data: DataMessage, from peer: ReplicationPeer) {
        if data.request == 0, data.upgrade?.start == 0, considerConflict(data, from: peer) { return }
        if data.fork > head.fork {
            if data.upgrade?.start == 0 { considerForkProof(data, from: peer) }
            return
        }
        considerPush(data, from: peer)
    }

    // MARK: Answers that build on others

    /// Keeps an answer until the one arrives that brings the node it connects to.
    ///
    /// It waits for an older request only, so that no two answers wait for each other.
    private func hold(
        _ data: DataMessage, answering request: PendingRequest, block index: UInt64, at peer: ReplicationPeer
    ) {
        let parentSpan = span(of: index, level: UInt64(request.levelCount) + 1)
        var oldest: (sequence: UInt64, block: UInt64)?
        func consider(_ other: PendingRequest) {
            guard case .block(let block) = other.purpose, block != index, parentSpan.contains(block),
                other.sequence < request.sequence, other.sequence < oldest?.sequence ?? .max
            else { return }
            oldest = (other.sequence, block)
        }
        peer.requests.forEach(consider)
        for answers in peer.held.values { for answer in answers { consider(answer.request) } }
        guard let oldest else {
            // The other request failed. The next try asks for everything up to a root.
            notePlanLost(index, at: peer)
            return giveUp(request, at: peer)
        }
        peer.held[oldest.block, default: []].append(HeldAnswer(request: request, data: data))
        peer.heldCount += 1
    }

    /// Goes on with answers that waited for this block's, now that it arrived or was given up.
    func releaseHeld(waitingFor index: UInt64, at peer: ReplicationPeer) {
        guard !peer.held.isEmpty, let answers = peer.held.removeValue(forKey: index) else { return }
        peer.heldCount -= answers.count
        for answer in answers {
            if peer.isRemoved {
                giveUp(answer.request, at: peer)
            } else {
                process(answer.data, answering: answer.request, from: peer)
            }
        }
    }

    private func notePlanLost(_ index: UInt64, at peer: ReplicationPeer) {
        if cautiousBlocks.count >= 4096 { cautiousBlocks.removeAll() }
        cautiousBlocks.insert(index)
        peer.lostPlanCount += 1
        // Too often out of order: planning ahead costs more than it saves.
        if peer.lostPlanCount >= 64 { peer.plansAhead = false }
    }

    // MARK: Verification

    func verify(
        _ data: DataMessage, answering request: PendingRequest?, from peer: ReplicationPeer,
        purpose: VerificationPurpose
    ) {
        let token = VerificationToken(firstVerification + UInt64(verifications.count))
        if let block = data.block, purpose == .answer { verifyingBlocks.insert(block.index) }
        let isPlain = data.block == nil && data.hash == nil && data.seek == nil && data.upgrade?.start == head.length
        verifications.append(
            Verification(
                peer: peer, purpose: purpose, request: request, block: data.block?.index, generation: forkGeneration,
                plainUpgradeStart: isPlain ? head.length : nil))
        pendingVerificationCount += 1
        outputs.append(.verify(token, from: peer.id, data: data, purpose: purpose))
    }

    /// A data message was verified and stored, or not.
    package func verified(_ token: VerificationToken, _ outcome: VerificationOutcome, now: MonotonicTime) {
        self.now = now
        precondition(
            token.number >= firstVerification && token.number < firstVerification + UInt64(verifications.count),
            "a token comes from a verify output and is used once")
        let position = Int(token.number - firstVerification)
        guard let verification = verifications[position] else {
            preconditionFailure("a token is used once")
        }
        verifications[position] = nil
        while case .some(.none) = verifications.first {
            verifications.removeFirst()
            firstVerification += 1
        }
        pendingVerificationCount -= 1
        if pendingVerificationCount == ReplicationLimits.pendingVerifications - 1 { markAllDirty() }
        updatesNeedChecking = true
        switch verification.purpose {
        case .answer, .push: finish(verification, outcome)
        case .reorganisation(let fork): finishReorganisation(verification, fork: fork, outcome)
        case .conflict: finishConflict(verification, outcome)
        case .repair: finishRepair(verification, outcome)
        }
    }

    private func finish(_ verification: Verification, _ outcome: VerificationOutcome) {
        let peer = verification.peer
        switch outcome {
        case .applied(let newHead, let knowsManifest, let offersManifest):
            let manifestChanged =
                self.knowsManifest != knowsManifest || self.offersManifest != offersManifest
            self.knowsManifest = knowsManifest
            self.offersManifest = offersManifest
            // Blocks before the head, so that a log that is complete again is announced once with its new length.
            if let block = verification.block, block < newHead.length {
                verifyingBlocks.remove(block)
                storeVerified(block)
                if !cautiousBlocks.isEmpty { cautiousBlocks.remove(block) }
                settle(verification)
                cancelRequests(ofBlock: block)
            } else {
                unverify(verification)
                settle(verification)
            }
            if newHead != head {
                if newHead.fork == head.fork, newHead.length >= head.length {
                    changeHead(newHead)
                } else {
                    applyTruncation(to: newHead, ancestors: min(newHead.length, head.length))
                }
            } else if manifestChanged {
                syncAll()
            }
            if case .seek(let ticket, _) = verification.request?.purpose { progressSeek(ticket) }
        case .stale:
            unverify(verification)
            settle(verification)
        case .storageFailed:
            unverify(verification)
            settle(verification)
            pause(peer)
        case .rejected(let failure):
            unverify(verification)
            let wasPlanned = verification.request?.dependsOnOthers ?? false
            if failure == .invalidOperation, wasPlanned, let block = verification.block {
                notePlanLost(block, at: peer)
                settle(verification)
                return
            }
            settle(verification)
            // Others did not offer what was asked of this peer.
            markAllDirty()
            let isMisfit = failure == .invalidOperation && verification.plainUpgradeStart != head.length
            emit(.verificationFailed(peer.id, failure == .invalidOperation && !isMisfit ? .invalidProof : failure))
            guard !peer.isRemoved else { return }
            if isMisfit {
                peer.invalidOperationCount += 1
                if let block = verification.block { cautiousBlocks.insert(block) }
                checkCounts(of: peer)
            } else {
                suspect(peer)
            }
        case .searching, .reorganisationReady, .sameHistory, .conflict:
            preconditionFailure("this outcome belongs to another purpose")
        }
    }

    /// A peer's proof does not hold. One whose log may have gone another way can prove that; any other one, and one that
    /// does it again, loses its stream.
    private func suspect(_ peer: ReplicationPeer) {
        // What it sent before it was paused is one lie.
        if peer.isPaused { return }
        peer.invalidProofCount += 1
        guard peer.invalidProofCount < ReplicationLimits.invalidProofsPerPeer, probeConflict(with: peer) else {
            destroyStream(of: peer, .invalidProof)
            return
        }
        pause(peer)
    }

    private func unverify(_ verification: Verification) {
        if let block = verification.block, verification.purpose == .answer { verifyingBlocks.remove(block) }
    }

    /// Releases what the verified answer's request held.
    private func settle(_ verification: Verification) {
        if !verification.peer.isRemoved { markDirty(verification.peer) }
        guard let request = verification.request else { return }
        release(request, at: verification.peer)
    }
}

/// What a data message weighs, for how far ahead is asked.
enum DataCost {
    private static let nodeByteCount = 40

    static func byteCount(_ data: DataMessage) -> Int {
        var count = 16
        if let block = data.block { count += block.value.count + block.nodes.count * nodeByteCount }
        if data.hasOnlyBlock { return count }
        if let hash = data.hash { count += hash.nodes.count * nodeByteCount }
        if let seek = data.seek { count += seek.nodes.count * nodeByteCount }
        if let upgrade = data.upgrade {
            count += 64 + (upgrade.nodes.count + upgrade.additionalNodes.count) * nodeByteCount
        }
        return count
    }
}
