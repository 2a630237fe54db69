package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: Requests

    func receive(_ request: RequestMessage, from peer: ReplicationPeer) {
        let waitingCount = peer.servingQueue.count + peer.urgentServing.count + peer.concurrentServes
        guard waitingCount < ReplicationLimits.queuedRequestsPerPeer,
            peer.servingIDs.count < ReplicationLimits.queuedRequestsPerPeer
        else {
            destroyStream(of: peer, .tooManyRequests)
            return
        }
        let serial = nextServingSerial
        nextServingSerial += 1
        // A request with the id of another one replaces it; spec 30 E.6.
        peer.servingIDs[request.id] = serial
        let queued = QueuedRequest(request: request, serial: serial)
        if canServe(peer), peer.servingQueue.isEmpty, peer.urgentServing.isEmpty {
            serve(queued, to: peer)
        } else if request.priority > 0 {
            peer.urgentServing.append(queued)
        } else {
            peer.servingQueue.append(queued)
        }
    }

    func receive(_ message: CancelMessage, from peer: ReplicationPeer) {
        guard let serial = peer.servingIDs.removeValue(forKey: message.request) else { return }
        for (offset, serving) in servings.enumerated() {
            guard let serving, serving.serial == serial, serving.peer === peer else { continue }
            let token = ServingToken(firstServing + UInt64(offset))
            outputs.append(.cancelServe(token))
            _ = takeServing(token)
            serveQueued(peer)
            return
        }
    }

    private func canServe(_ peer: ReplicationPeer) -> Bool {
        peer.isDrained && !peer.isRemoved && peer.concurrentServes < ReplicationLimits.concurrentServesPerPeer
    }

    /// Hands out requests that had to wait, the latest urgent ones first.
    func serveQueued(_ peer: ReplicationPeer) {
        while canServe(peer), let queued = peer.urgentServing.popLast() ?? peer.servingQueue.popFirst() {
            // Cancelled or replaced meanwhile.
            guard peer.servingIDs[queued.request.id] == queued.serial else { continue }
            serve(queued, to: peer)
        }
    }

    private func serve(_ queued: QueuedRequest, to peer: ReplicationPeer) {
        let request = queued.request
        let proof = request.proof
        let isAvailable: Bool
        if request.fork != head.fork || proof.isEmpty {
            isAvailable = false
        } else if let block = proof.block {
            isAvailable = !peer.isPaused && local.contains(block.index)
        } else {
            // A paused peer can still ask for the proof of our history that ends the pause.
            isAvailable = !peer.isPaused || proof.hash == nil && proof.seek == nil
        }
        if isAvailable {
            handOut(request, kind: .proof, serial: queued.serial, to: peer)
        } else if request.manifest && offersManifest {
            handOut(request, kind: .manifestOnly, serial: queued.serial, to: peer)
        } else {
            peer.servingIDs[request.id] = nil
            sendNoData(request.id, .notAvailable, to: peer)
        }
    }

    func handOut(_ request: RequestMessage, kind: ServingKind, serial: UInt64, to peer: ReplicationPeer) {
        let token = ServingToken(firstServing + UInt64(servings.count))
        servings.append(Serving(peer: peer, request: request, kind: kind, serial: serial))
        peer.concurrentServes += 1
        outputs.append(.serve(token, from: peer.id, request: request, kind: kind))
    }

    func sendNoData(_ id: UInt64, _ reason: NoDataMessage.Reason, to peer: ReplicationPeer) {
        send(.noData(NoDataMessage(request: id, reason: reason)), to: peer)
    }

    // MARK: Answers

    /// Takes a request back from the owner; nil if it was answered or cancelled before.
    private func takeServing(_ token: ServingToken) -> Serving? {
        precondition(token.number < firstServing + UInt64(servings.count), "a token comes from a serve output")
        guard token.number >= firstServing else { return nil }
        let position = Int(token.number - firstServing)
        guard let serving = servings[position] else { return nil }
        servings[position] = nil
        while case .some(.none) = servings.first {
            servings.removeFirst()
            firstServing += 1
        }
        serving.peer.concurrentServes -= 1
        return serving
    }

    /// The answer to a request was produced, or not. What was cancelled meanwhile is dropped.
    package func served(_ token: ServingToken, _ outcome: ServingOutcome, now: MonotonicTime) {
        self.now = now
        guard let serving = takeServing(token), !serving.peer.isRemoved else { return }
        let peer = serving.peer
        switch serving.kind {
        case .proof, .manifestOnly: answer(serving, outcome)
        case .conflictProof:
            if case .data(let data) = outcome { send(.data(data), to: peer) }
            close(peer)
        case .push:
            if case .data(let data) = outcome, !isFrozen { send(.data(data), to: peer) }
        }
        serveQueued(peer)
    }

    private func answer(_ serving: Serving, _ outcome: ServingOutcome) {
        let peer = serving.peer
        let id = serving.request.id
        guard peer.servingIDs[id] == serving.serial, !isFrozen else { return }
        switch outcome {
        case .data(let data):
            peer.servingIDs[id] = nil
            send(.data(data), to: peer)
        case .unavailable:
            peer.servingIDs[id] = nil
            sendNoData(id, .notAvailable, to: peer)
        case .invalidRequest:
            strike(serving)
        }
    }

    /// Counts an invalid request and answers it late; the 64th ends the stream. Spec 30 E.6.
    private func strike(_ serving: Serving) {
        let peer = serving.peer
        peer.invalidRequestCount += 1
        guard peer.invalidRequestCount < ReplicationLimits.invalidRequestsPerPeer else {
            destroyStream(of: peer, .tooManyInvalidRequests)
            return
        }
        let deadline = now + ReplicationLimits.invalidRequestDelay(strike: peer.invalidRequestCount)
        let answer = DelayedAnswer(
            deadline: deadline, peer: peer, requestID: serving.request.id, serial: serving.serial)
        let position = delayedAnswers.firstIndex { $0.deadline > deadline } ?? delayedAnswers.count
        delayedAnswers.insert(answer, at: position)
    }
}
