import DWebBase
package import DWebLogCore
import DWebPorts
import DequeModule
import OrderedCollections

// Map: peers come and go, messages go in; what the machine wants comes out of `drainOutputs`. Messages leave at once,
// everything that needs storage is queued as work, which `settle` does one item after the other.

extension LogEngine {
    // MARK: Peers

    /// Adds a peer whose channel this side has opened. Nothing is sent before ``peerOpened(_:supportsSeeks:)``.
    package func attach(
        _ link: PeerLink, transport: PeerTransport = PeerTransport(isUDX: true)
    ) throws(DDatabaseError) -> ReplicationPeerID {
        try checkAlive()
        let id = replication.makePeerID()
        replication.links[id] = link
        countLink(1)
        replication.machine.setActive(hasSessions && !isReadOnly, now: loop.now)
        replication.machine.addPeer(id, transport: transport, now: loop.now)
        drainOutputs()
        return id
    }

    /// Says that the peer's open arrived with the right capability.
    package func peerOpened(_ id: ReplicationPeerID, supportsSeeks: Bool) async {
        guard replication.links[id] != nil else { return }
        if replication.opened.insert(id).inserted { events.send(.peerAdded(DDatabase.Peer.ID(id))) }
        published.setPeerCount(replication.opened.count)
        replication.machine.peerOpened(id, supportsSeeks: supportsSeeks, now: loop.now)
        drainOutputs()
        await settle()
    }

    /// Takes messages of a peer, in order, and returns once what they ask for is done or queued for sending.
    package func receive(_ messages: [LogMessage], from id: ReplicationPeerID) async {
        guard replication.links[id] != nil else { return }
        let now = loop.now
        for message in messages { replication.machine.handle(message, from: id, now: now) }
        drainOutputs()
        // New requests leave before answers are checked, so that the peer has work meanwhile.
        if hasWork, replication.unsentWeight > 0 { await takeTurn() }
        await settle()
    }

    /// Says that the peer closed the log's channel.
    package func peerClosed(_ id: ReplicationPeerID) {
        guard replication.links[id] != nil else { return }
        replication.machine.peerClosedChannel(id, now: loop.now)
        forget(id)
        drainOutputs()
    }

    /// Says that the peer's connection is gone.
    package func detach(_ id: ReplicationPeerID) {
        guard replication.links[id] != nil else { return }
        replication.machine.removePeer(id, now: loop.now)
        forget(id)
        drainOutputs()
    }

    /// Says that the peer's connection, which was full, takes answers again.
    package func peerDrained(_ id: ReplicationPeerID) async {
        guard replication.links[id] != nil else { return }
        replication.machine.setPeer(id, isDrained: true, now: loop.now)
        drainOutputs()
        await settle()
    }

    /// Says how far away a peer is.
    package func setRoundTripTime(_ time: Duration, of id: ReplicationPeerID) {
        replication.machine.setPeer(id, roundTripTime: time)
    }

    /// Does the work that the machine asked for outside of a peer's turn.
    package func performWork() async {
        drainOutputs()
        // A connection's writer must not wait for work that somebody else is doing.
        if replication.isWorking { return }
        await settle()
    }

    /// Tells peers whether anybody here still downloads.
    func updateActivity() {
        guard !isClosed else { return }
        replication.machine.setActive(hasSessions && !isReadOnly, now: loop.now)
        drainOutputs()
    }

    private func forget(_ id: ReplicationPeerID) {
        guard replication.links.removeValue(forKey: id) != nil else { return }
        replication.suspects.removeValue(forKey: id)?.cancel()
        if replication.opened.remove(id) != nil { events.send(.peerRemoved(DDatabase.Peer.ID(id))) }
        replication.traffic[id] = nil
        if replication.links.isEmpty { replication.window = ServingWindow() }
        published.setPeerCount(replication.opened.count)
        countLink(-1)
    }

    /// Closes the log's channel on every connection; the connections and the log stay.
    package func closeChannels() {
        for (id, link) in replication.links {
            link.outbox.push(.closeChannel(link.channel))
            replication.machine.removePeer(id, now: loop.now)
        }
        for id in Array(replication.links.keys) { forget(id) }
        drainOutputs()
    }

    /// Ends replication for good.
    func closeReplication() {
        closeChannels()
        replication.timer?.cancel()
        replication.timer = nil
        replication.work.removeAll()
    }

    // MARK: Interests of local callers

    /// Tells the machine what a caller waits for.
    func startInterest(_ identifier: UInt64, _ reason: WaitReason) {
        let ticket = ReplicationTicket(identifier)
        let now = loop.now
        switch reason {
        case .block(let index): replication.machine.wantBlock(index, ticket: ticket, now: now)
        case .range(let range, let order):
            replication.machine.wantRange(
                start: range.lowerBound, end: range.upperBound == .max ? nil : range.upperBound,
                isLinear: order == .linear, ticket: ticket, now: now)
        case .update: replication.machine.wantUpdate(ticket: ticket, now: now)
        case .seek(let bytes, let padding, let window):
            replication.machine.wantSeek(bytes: bytes, padding: padding, window: window, ticket: ticket, now: now)
        case .growth, .recovery: return
        }
        drainOutputs()
        signalWork()
    }

    /// Withdraws what a caller no longer waits for.
    func endInterest(_ identifier: UInt64, _ reason: WaitReason) {
        switch reason {
        case .growth, .recovery: return
        case .block, .range, .update, .seek: break
        }
        replication.machine.cancel(ReplicationTicket(identifier), now: loop.now)
        drainOutputs()
        signalWork()
    }

    // MARK: Local changes

    /// Announces blocks that were appended here.
    func replicationDidAppend(_ range: Range<UInt64>) {
        replication.machine.localAppended(
            LogHead(fork: tree.fork, length: tree.length), now: loop.now)
        afterLocalChange()
    }

    /// Announces that blocks were cleared here.
    func replicationDidClear(_ range: Range<UInt64>) {
        replication.machine.localBlocks(range, stored: false, now: loop.now)
        afterLocalChange()
    }

    /// Announces blocks that turned out to be stored.
    func replicationDidStore(_ range: Range<UInt64>) {
        replication.machine.localBlocks(range, stored: true, now: loop.now)
        afterLocalChange()
    }

    /// Announces a truncation made here.
    func replicationDidTruncate(to head: LogHead) {
        replication.machine.localTruncated(to: head, now: loop.now)
        afterLocalChange()
    }

    func afterLocalChange() {
        drainOutputs()
        signalWork()
    }

    // MARK: Outputs

    /// Does what the machine wants, except for what needs storage, which becomes work.
    func drainOutputs() {
        let uploadedBlockCount = statistics.uploadedBlockCount
        while let output = replication.machine.pollOutput() {
            switch output {
            case .send(let id, let message): send(message, to: id)
            case .serve, .verify, .applyReorganisation, .discardReorganisation:
                replication.work.append(output)
            case .cancelServe(let token):
                replication.work.removeAll {
                    if case .serve(token, from: _, request: _, kind: _) = $0 { true } else { false }
                }
            case .resolve(let ticket, let outcome): resolve(ticket, outcome)
            case .seekProgress(let ticket):
                // The seek looks again and, if it must, expresses its interest anew.
                waits.end(ticket.number, .fulfilled)
                replication.machine.cancel(ticket, now: loop.now)
            case .closeChannel(let id):
                if let link = replication.links[id] { link.outbox.push(.closeChannel(link.channel)) }
                forget(id)
            case .reopenChannel(let id):
                if let link = replication.links[id] { link.outbox.push(.reopen(self)) }
            case .destroyStream(let id, let fault): destroy(id, LogEngine.error(for: fault))
            case .extensionMessage(let id, let name, let payload):
                extensions.send(ExtensionDelivery(peer: DDatabase.Peer.ID(id), payload: payload), to: name)
            case .event(let event): handle(event)
            }
        }
        if statistics.uploadedBlockCount != uploadedBlockCount { published.setStatistics(statistics) }
        scheduleTimer()
    }

    private func send(_ message: LogMessage, to id: ReplicationPeerID) {
        guard let link = replication.links[id] else { return }
        if case .data(let data) = message, let block = data.block {
            statistics.uploadedBlockCount += 1
            statistics.uploadedByteCount += UInt64(block.value.count)
            replication.traffic[id, default: DDatabase.Statistics()].noteUpload(byteCount: block.value.count)
            if !events.isIdle {
                events.send(
                    .uploaded(block: block.index, byteCount: block.value.count, to: DDatabase.Peer.ID(id)))
            }
        }
        replication.unsentWeight += PeerOutbox.byteCount(of: message)
        link.outbox.push(.message(link.channel, message))
        if link.outbox.isFull { replication.machine.setPeer(id, isDrained: false, now: loop.now) }
    }

    private func resolve(_ ticket: ReplicationTicket, _ outcome: TicketOutcome) {
        switch outcome {
        case .blockStored, .rangeComplete: waits.end(ticket.number, .fulfilled)
        case .updated(let isNewer): waits.end(ticket.number, isNewer ? .fulfilled : .unavailable)
        }
    }

    private func handle(_ event: ReplicationEvent) {
        switch event {
        case .verificationFailed(let id, let failure):
            // A proof that misses its place in our tree is nobody's lie: another one may have been overtaken.
            if failure == .invalidOperation { return }
            statistics.invalidProofCount += 1
            published.setStatistics(statistics)
            replication.traffic[id]?.invalidProofCount += 1
            suspect(id)
        case .peerResumed(let id): replication.suspects.removeValue(forKey: id)?.cancel()
        case .remoteContiguousLength(let length):
            hints.remoteContiguousLength = max(hints.remoteContiguousLength, length)
            published.setRemoteContiguousLength(hints.remoteContiguousLength)
        case .conflict:
            let error = LogEngine.conflictError(key)
            conflict = error
            hasUnwrittenConflict = true
            published.setFrozen(true)
            waits.endEverything(.failed(error))
            events.send(.conflict)
        case .upgradeAvailable, .peerPaused: break
        }
    }

    /// Ends the connection of a peer that sent an invalid proof, unless it proves its history in time.
    private func suspect(_ id: ReplicationPeerID) {
        guard replication.links[id] != nil, replication.suspects[id] == nil else { return }
        let distance = replication.machine.peerState(id)?.roundTripTime
        let timer = loop.schedule(at: loop.now + LogReplication.suspicionTime(roundTripTime: distance)) {
            [weak self] in
            self?.assumeIsolated { engine in
                guard engine.replication.suspects[id] != nil else { return }
                engine.destroy(
                    id, DDatabaseError(.invalidProof, "The peer sent data that does not belong to the log"))
                engine.replication.machine.removePeer(id, now: engine.loop.now)
                engine.drainOutputs()
            }
        }
        replication.suspects[id] = timer
    }

    private func destroy(_ id: ReplicationPeerID, _ error: DDatabaseError) {
        replication.links[id]?.outbox.push(.fail(error))
        forget(id)
    }

    private static func error(for fault: PeerFault) -> DDatabaseError {
        switch fault {
        case .tooManyInvalidRequests:
            DDatabaseError(.protocolViolation, "The peer keeps sending requests that make no sense")
        case .tooManyRequests:
            DDatabaseError(.protocolViolation, "The peer sent more requests than it may have unanswered")
        case .invalidProof: DDatabaseError(.invalidProof, "The peer sent data that does not belong to the log")
        }
    }

    /// Sets the timer for what the machine wants to do later.
    private func scheduleTimer() {
        let deadline = replication.machine.nextDeadline
        guard deadline != replication.timerDeadline else { return }
        replication.timer?.cancel()
        replication.timerDeadline = deadline
        replication.timer = deadline.map { deadline in
            loop.schedule(at: deadline) { [weak self] in
                self?.assumeIsolated { engine in
                    guard !engine.isClosed, engine.replication.timerDeadline == deadline else { return }
                    engine.replication.timerDeadline = nil
                    engine.replication.machine.wake(now: engine.loop.now)
                    engine.drainOutputs()
                    engine.signalWork()
                }
            }
        }
    }

    // MARK: Work

    /// Gives pending work to the task of a connection: this side of the log has no task of its own.
    private func signalWork() {
        guard hasWork, !replication.isWorking, let link = replication.links.values.first else {
            return
        }
        link.outbox.push(.work(self))
    }

    private var hasWork: Bool { !replication.work.isEmpty || nodes.hasUnknown || hasUnwrittenConflict }

    /// Does all work; if somebody is at it already, waits until it is done.
    private func settle() async {
        guard hasWork else { return }
        if replication.isWorking {
            await withCheckedContinuation { replication.settling.append($0) }
            return
        }
        replication.isWorking = true
        while hasWork {
            if hasUnwrittenConflict {
                await writeConflict()
            } else if replication.work.isEmpty {
                _ = await loadNodes(nodes.takeUnknown())
                replication.machine.reconsiderUpgrades(now: loop.now)
            } else if !serveQuickly(), let item = replication.work.popFirst() {
                await perform(item)
            }
            drainOutputs()
            if replication.unsentWeight >= LogEngine.turnWeight, hasWork { await takeTurn() }
        }
        replication.isWorking = false
        let settling = replication.settling
        replication.settling = []
        for continuation in settling { continuation.resume() }
    }

    // Some 150 small answers, or one large one: as much work as a hop to another process and back is worth.
    private static let turnWeight = 32 << 10

    /// Lets the writers of connections, and whatever else the loop has ready, go first.
    private func takeTurn() async {
        replication.unsentWeight = 0
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    }

    // What a peer's next requests bring is handed out after so many answers.
    private static let quickAnswerCount = 32

    /// Gives the answers that need no wait to the machine, a number of them at a time; false if the first one does.
    private func serveQuickly() -> Bool {
        let now = loop.now
        var count = 0
        while count < LogEngine.quickAnswerCount,
            case .serve(let token, from: _, let request, let kind) = replication.work.first,
            let outcome = quickAnswer(request, kind)
        {
            replication.work.removeFirst()
            replication.machine.served(token, outcome, now: now)
            count += 1
        }
        return count > 0
    }

    private func perform(_ item: ReplicationOutput) async {
        switch item {
        case .serve(let token, from: _, let request, let kind):
            let outcome = await answer(request, kind)
            replication.machine.served(token, outcome, now: loop.now)
        case .verify(let token, let peer, let data, let purpose):
            switch purpose {
            case .answer, .push:
                await verifyGroup(startingWith: PendingVerification(token: token, peer: peer, data: data))
            case .reorganisation(let fork):
                let outcome = await collectReorganisation(data, fork: fork)
                replication.machine.verified(token, outcome, now: loop.now)
            case .conflict:
                let outcome = await compareHistory(data)
                replication.machine.verified(token, outcome, now: loop.now)
            case .repair: await repair(with: data, token)
            }
        case .applyReorganisation(let fork): await applyReorganisation(fork: fork)
        case .discardReorganisation(let fork): discardReorganisation(fork: fork)
        case .send, .cancelServe, .resolve, .seekProgress, .closeChannel, .reopenChannel, .destroyStream,
            .extensionMessage, .event:
            preconditionFailure("only what needs storage becomes work")
        }
    }

    /// Takes directly following answers out of the work, so that they share one write of about `byteLimit` bytes.
    func takeFollowingAnswers(limit: Int, byteLimit: Int, into group: inout [PendingVerification]) {
        var byteCount = group.reduce(0) { $0 + $1.byteCount }
        while group.count < limit, byteCount < byteLimit,
            case .verify(let token, let peer, let data, let purpose) = replication.work.first,
            purpose == .answer || purpose == .push
        {
            let pending = PendingVerification(token: token, peer: peer, data: data)
            byteCount += pending.byteCount
            group.append(pending)
            replication.work.removeFirst()
        }
    }
}
