package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: Wanting

    /// Wants a block. Settled by ``TicketOutcome/blockStored(_:)``, also if it is stored already. A block beyond the
    /// log's end waits for the log to grow.
    package func wantBlock(_ index: UInt64, ticket: ReplicationTicket, now: MonotonicTime) {
        self.now = now
        precondition(tickets[ticket] == nil, "a ticket is used once")
        precondition(index <= ByteReader.integerLimit, "a block's index stays below 2^53")
        if local.contains(index) {
            outputs.append(.resolve(ticket, .blockStored(index)))
            return
        }
        tickets[ticket] = .block(index)
        blockTickets[index, default: []].append(ticket)
        if wanted.insert(index) { markAllDirty() }
    }

    /// Wants all blocks from `start` to before `end`; with `end` nil those yet to come as well, which never completes.
    ///
    /// With `isLinear` blocks are requested in ascending order, else each peer starts at another one.
    package func wantRange(
        start: UInt64, end: UInt64?, isLinear: Bool, ticket: ReplicationTicket, now: MonotonicTime
    ) {
        self.now = now
        precondition(tickets[ticket] == nil, "a ticket is used once")
        precondition(start <= ByteReader.integerLimit, "a block's index stays below 2^53")
        let end = end.map { min($0, ByteReader.integerLimit) }
        tickets[ticket] = .range
        if isLinear { linearRangeCount += 1 }
        if end == nil { liveRangeCount += 1 }
        ranges.insert(RangeInterest(ticket: ticket, start: start, end: end, isLinear: isLinear, storedUntil: start))
        advance(ticket, from: start)
        markAllDirty()
    }

    /// Wants the nodes that locate a byte, counted without `padding` bytes per block. `window` holds the blocks that it
    /// may be in, all below one stored node; at or past the log's length it is found by the next upgrade.
    package func wantSeek(
        bytes: UInt64, padding: UInt64, window: Range<UInt64>, ticket: ReplicationTicket, now: MonotonicTime
    ) {
        self.now = now
        precondition(tickets[ticket] == nil, "a ticket is used once")
        tickets[ticket] = .seek
        seeks[ticket] = SeekInterest(ticket: ticket, bytes: bytes, padding: padding, window: window)
        seekQueue.append(ticket)
        markAllDirty()
    }

    /// A seek goes on within another window, after ``ReplicationOutput/seekProgress(_:)``.
    package func narrowSeek(_ ticket: ReplicationTicket, window: Range<UInt64>, now: MonotonicTime) {
        self.now = now
        guard let seek = seeks[ticket] else { return }
        seeks[ticket]!.window = window
        guard seek.isParked else { return }
        seeks[ticket]!.isParked = false
        if !seek.isInFlight { seekQueue.append(ticket) }
        markAllDirty()
    }

    /// Wants to know whether peers have anything newer. Settled by ``TicketOutcome/updated(_:)``.
    package func wantUpdate(ticket: ReplicationTicket, now: MonotonicTime) {
        self.now = now
        precondition(tickets[ticket] == nil, "a ticket is used once")
        tickets[ticket] = .update
        updateTickets.append(ticket)
        updatesNeedChecking = true
        applyReadyFork()
        for peer in peers.values { markDirty(peer) }
    }

    /// Whether peers are being searched: while so, updates wait for the first peer.
    package func setFindingPeers(_ isFinding: Bool, now: MonotonicTime) {
        self.now = now
        isFindingPeers = isFinding
        updatesNeedChecking = true
    }

    /// Gives up an interest; unknown tickets are ignored. What was requested for nobody else is cancelled, except for
    /// ranges, whose blocks on their way are still taken.
    package func cancel(_ ticket: ReplicationTicket, now: MonotonicTime) {
        self.now = now
        guard let kind = tickets.removeValue(forKey: ticket) else { return }
        switch kind {
        case .block(let index):
            blockTickets[index]?.removeAll { $0 == ticket }
            guard blockTickets[index]?.isEmpty == true else { return }
            blockTickets[index] = nil
            wanted.remove(index)
            let isInRange = ranges.list.contains { $0.start <= index && index < $0.end ?? .max }
            if !isInRange, !verifyingBlocks.contains(index) { cancelRequests(ofBlock: index) }
        case .range:
            removeRange(ticket)
        case .seek:
            removeSeek(ticket)
        case .update:
            updateTickets.remove(ticket)
        }
    }

    // MARK: Settling

    func resolveBlock(_ index: UInt64) {
        guard let waiting = blockTickets.removeValue(forKey: index) else { return }
        wanted.remove(index)
        for ticket in waiting {
            tickets[ticket] = nil
            outputs.append(.resolve(ticket, .blockStored(index)))
        }
    }

    /// Moves a range's start of what is missing forward from `index`, and settles the range if that was all.
    func advance(_ ticket: ReplicationTicket, from index: UInt64) {
        guard let range = ranges[ticket] else { return }
        let end = range.end ?? .max
        let missing = index < end ? local.firstAbsent(in: index..<end) ?? end : end
        if missing >= end {
            removeRange(ticket)
            tickets[ticket] = nil
            outputs.append(.resolve(ticket, .rangeComplete))
        } else {
            ranges.advance(ticket, to: missing)
        }
    }

    private func removeRange(_ ticket: ReplicationTicket) {
        guard let range = ranges[ticket] else { return }
        if range.isLinear { linearRangeCount -= 1 }
        if range.end == nil { liveRangeCount -= 1 }
        _ = ranges.remove(ticket)
        for peer in peers.values { peer.rangeScans[ticket] = nil }
    }

    private func removeSeek(_ ticket: ReplicationTicket) {
        guard let seek = seeks.removeValue(forKey: ticket) else { return }
        seekQueue.removeAll { $0 == ticket }
        guard seek.isInFlight else { return }
        for peer in peers.values {
            let id = peer.requests.firstID { request in
                if case .seek(ticket, _) = request.purpose { return true }
                return false
            }
            if let id { cancelRequest(id, at: peer) }
        }
    }

    /// Lets the owner look at a seek again after nodes arrived; until it says more nothing is requested.
    func progressSeek(_ ticket: ReplicationTicket) {
        guard let seek = seeks[ticket], !seek.isParked else { return }
        seeks[ticket]!.isParked = true
        if !seek.isInFlight { seekQueue.removeAll { $0 == ticket } }
        outputs.append(.seekProgress(ticket))
    }

    /// A request for a seek was answered or lost: it may be sent again.
    func releaseSeek(_ ticket: ReplicationTicket) {
        guard seeks[ticket]?.isInFlight == true else { return }
        seeks[ticket]!.isInFlight = false
        if seeks[ticket]?.isParked == false { seekQueue.append(ticket) }
    }

    /// Lets the owner look at all seeks again, since the tree changed.
    func progressSeeks() {
        if seeks.isEmpty { return }
        for ticket in seeks.keys.sorted() { progressSeek(ticket) }
    }

    func resolveUpdates(_ isUpdated: Bool) {
        for ticket in updateTickets {
            tickets[ticket] = nil
            outputs.append(.resolve(ticket, .updated(isUpdated)))
        }
        updateTickets = []
    }

    /// Settles updates with "no" where peers have nothing newer; spec 30 E.5.
    ///
    /// Three peers that have nothing newer are enough: one that never syncs must not hold up everybody.
    func checkUpdates() {
        guard !updateTickets.isEmpty, !isUpgradeInFlight, reorganisations.isEmpty else { return }
        if isFindingPeers, !hadPeer { return }
        var unsettledCount = 0
        var settledCount = 0
        for peer in peers.values {
            if isSettled(peer) { settledCount += 1 } else { unsettledCount += 1 }
        }
        if unsettledCount == 0 || settledCount >= 3 { resolveUpdates(false) }
    }

    private func isSettled(_ peer: ReplicationPeer) -> Bool {
        if peer.isPaused { return true }
        guard peer.isSynced, !peer.needsSync else { return false }
        if peer.fork != head.fork { return peer.fork < head.fork || !options.allowsForks }
        guard peer.length > head.length, peer.isUploading else { return true }
        return peer.lengthAcknowledged == head.length && !peer.offersUpgrade
    }
}
