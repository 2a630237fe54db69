package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: What is stored here

    /// The log was appended to here: all blocks up to the new length are stored, with all their nodes.
    package func localAppended(_ head: LogHead, now: MonotonicTime) {
        self.now = now
        precondition(head.fork == self.head.fork && head.length >= self.head.length, "appending lengthens the log")
        let added = self.head.length..<head.length
        guard !added.isEmpty else { return }
        changeHead(head)
        pathBlocks?.set(added, present: true)
        store(added)
    }

    /// Blocks below the log's length were stored (true) or cleared (false).
    package func localBlocks(_ range: Range<UInt64>, stored: Bool, now: MonotonicTime) {
        self.now = now
        precondition(range.upperBound <= head.length, "blocks are stored within the log")
        guard !range.isEmpty else { return }
        if stored {
            store(range)
        } else {
            drop(range)
        }
    }

    /// The log was truncated here.
    package func localTruncated(to head: LogHead, now: MonotonicTime) {
        self.now = now
        applyTruncation(to: head, ancestors: min(head.length, self.head.length))
    }

    /// The manifest was stored, or can be given to peers from now on.
    package func localManifest(isKnown: Bool, isOffered: Bool, now: MonotonicTime) {
        self.now = now
        guard isKnown != knowsManifest || isOffered != offersManifest else { return }
        knowsManifest = isKnown
        offersManifest = isOffered
        syncAll()
    }

    /// Takes over a head that is longer, with what follows for peers and callers.
    func changeHead(_ newHead: LogHead) {
        guard newHead != head else { return }
        head = newHead
        restartForks()
        if contiguousLength < head.length { advanceContiguousLength() }
        syncAll()
        resolveUpdates(true)
        progressSeeks()
    }

    func applyTruncation(to newHead: LogHead, ancestors: UInt64) {
        let oldLength = head.length
        head = newHead
        restartForks()
        if ancestors < oldLength {
            removeLocal(ancestors..<oldLength)
            announceDrop(ancestors..<oldLength)
        }
        contiguousLength = min(contiguousLength, ancestors)
        advanceContiguousLength()
        syncAll()
        resolveUpdates(true)
        progressSeeks()
    }

    /// Marks blocks as stored that came another way than by verification.
    private func store(_ range: Range<UInt64>) {
        local.set(range, present: true)
        if range.contains(contiguousLength) { advanceContiguousLength() }
        noteUnannounced(range)
        if !blockTickets.isEmpty {
            for index in blockTickets.keys.filter({ range.contains($0) }).sorted() { resolveBlock(index) }
        }
        for interest in ranges.list where range.contains(interest.storedUntil) {
            advance(interest.ticket, from: interest.storedUntil)
        }
    }

    /// Marks one verified block as stored.
    func storeVerified(_ index: UInt64) {
        guard local.insert(index) else { return }
        pathBlocks?.insert(index)
        if index == contiguousLength { advanceContiguousLength() }
        noteUnannounced(index..<index + 1)
        if !blockTickets.isEmpty { resolveBlock(index) }
        if ranges.areFew {
            // From the end: a range that is complete is replaced by the last one.
            for position in ranges.list.indices.reversed() where ranges.list[position].storedUntil == index {
                advance(ranges.list[position].ticket, from: index)
            }
        } else if let tickets = ranges.takeWaiting(for: index) {
            for ticket in tickets { advance(ticket, from: index) }
        }
    }

    private func drop(_ range: Range<UInt64>) {
        removeLocal(range)
        contiguousLength = min(contiguousLength, range.lowerBound)
        announceDrop(range)
        markAllDirty()
    }

    private func removeLocal(_ range: Range<UInt64>) {
        local.set(range, present: false)
        pathBlocks?.set(range, present: false)
        if let waiting = unannounced, waiting.overlaps(range) {
            announce(waiting)
            unannounced = nil
        }
        ranges.rewind(to: range.lowerBound)
        rewindScans(to: range.lowerBound)
    }

    private func advanceContiguousLength() {
        guard contiguousLength < head.length else { return }
        contiguousLength = local.firstAbsent(in: contiguousLength..<head.length) ?? head.length
    }

    // MARK: Announcing

    private func noteUnannounced(_ range: Range<UInt64>) {
        guard let waiting = unannounced else {
            unannounced = range
            return
        }
        if range.lowerBound <= waiting.upperBound && range.upperBound >= waiting.lowerBound {
            unannounced =
                min(range.lowerBound, waiting.lowerBound)..<max(range.upperBound, waiting.upperBound)
        } else {
            announce(waiting)
            unannounced = range
        }
    }

    func announce(_ range: Range<UInt64>) {
        if isDamaged { return }
        for peer in peers.values where peer.isActive {
            announce(range, to: peer)
            // The nodes that came with the blocks may be those that prove our length to the peer.
            if !peer.canUpgrade, peer.length < head.length { updateCanUpgrade(peer) }
        }
    }

    private func announce(_ range: Range<UInt64>, to peer: ReplicationPeer) {
        if contiguousLength == head.length {
            guard peer.announcedFullLength != head.length else { return }
            peer.announcedFullLength = head.length
            send(.range(RangeMessage(start: 0, length: head.length)), to: peer)
            return
        }
        if range.upperBound + ReplicationLimits.recentBlockCount <= head.length {
            guard peer.wants.overlaps(range) else { return }
        }
        if peer.has(range) { return }
        send(.range(RangeMessage(start: range.lowerBound, length: range.upperBound - range.lowerBound)), to: peer)
    }

    private func announceDrop(_ range: Range<UInt64>) {
        let message = RangeMessage(
            drop: true, start: range.lowerBound, length: range.upperBound - range.lowerBound)
        for peer in peers.values {
            peer.announcedFullLength = nil
            if peer.isActive { send(.range(message), to: peer) }
        }
    }

    // MARK: What peers announce

    /// The end of what is believed of the peer's announcements; spec 30 H.8.
    private func announcementEnd(of peer: ReplicationPeer) -> UInt64 {
        min(ByteReader.integerLimit, peer.length.addingClamped(LogLimits.availabilityMargin))
    }

    func receive(_ message: RangeMessage, from peer: ReplicationPeer) {
        let claimedEnd = message.start.addingClamped(message.length)
        // Forgetting costs nothing, so that a drop is believed whatever its length.
        let end = message.drop ? claimedEnd : min(claimedEnd, announcementEnd(of: peer))
        guard message.start < end else { return }
        if message.drop {
            if message.start < peer.contiguousLength {
                // What was contiguous and lies beyond the dropped blocks is still there.
                peer.blocks.set(
                    message.start..<peer.contiguousLength, present: true,
                    pageCountLimit: ReplicationLimits.pagesPerMessage)
                peer.contiguousLength = message.start
            }
            peer.blocks.set(message.start..<end, present: false)
            return
        }
        if message.start == 0 {
            if end > peer.contiguousLength {
                peer.contiguousLength = end
                if peer.fork == head.fork, end > bestRemoteContiguousLength {
                    bestRemoteContiguousLength = end
                    emit(.remoteContiguousLength(end))
                }
            }
        } else if end > peer.contiguousLength {
            if message.start <= peer.contiguousLength {
                peer.contiguousLength = end
            } else {
                peer.blocks.set(
                    message.start..<end, present: true, pageCountLimit: ReplicationLimits.pagesPerMessage)
            }
        }
        peer.scanEpoch += 1
        markDirty(peer)
    }

    func receive(_ message: BitfieldMessage, from peer: ReplicationPeer) {
        guard message.start % 32 == 0, !message.words.isEmpty else { return }
        let limit = announcementEnd(of: peer)
        if message.start < peer.contiguousLength {
            let rest = message.start.addingClamped(UInt64(message.words.count) * 32)
            if rest < peer.contiguousLength {
                peer.blocks.set(
                    rest..<peer.contiguousLength, present: true, pageCountLimit: ReplicationLimits.pagesPerMessage)
            }
            peer.contiguousLength = message.start
        }
        var position = message.start / 32
        for word in message.words {
            guard position * 32 < limit else { break }
            peer.blocks.setHalfWord(position, word)
            position += 1
        }
        peer.scanEpoch += 1
        markDirty(peer)
    }

    // MARK: What peers want to know

    func receive(_ message: WantMessage, from peer: ReplicationPeer) {
        guard peer.wants.insert(message), peer.isActive else { return }
        if peer.isDrained {
            answer(message, to: peer)
        } else if peer.delayedWants.count < ReplicationLimits.wantWindowsPerPeer {
            peer.delayedWants.append(message)
        }
    }

    /// Tells the peer which blocks of a window are stored; spec 30 E.3.
    func answer(_ want: WantMessage, to peer: ReplicationPeer) {
        guard peer.isActive else { return }
        let end = min(head.length, want.start.addingClamped(want.length))
        let isContiguous =
            want.start.addingClamped(want.length) <= contiguousLength || contiguousLength == head.length
            || want.any && want.start < contiguousLength
        if isContiguous {
            if contiguousLength > 0 { send(.range(RangeMessage(start: 0, length: contiguousLength)), to: peer) }
            return
        }
        guard want.start < end else { return }
        if want.any {
            if let index = local.firstPresent(in: want.start..<end) {
                send(.range(RangeMessage(start: index, length: 1)), to: peer)
            }
            return
        }
        var start = want.start & ~31
        while start < end {
            let segmentEnd = min(
                end, (start / ReplicationLimits.wantWindowBlockCount + 1) * ReplicationLimits.wantWindowBlockCount)
            if local.firstPresent(in: start..<segmentEnd) != nil {
                let wordCount = (segmentEnd - start + 31) / 32
                var words: [UInt32] = []
                words.reserveCapacity(Int(wordCount))
                for position in start / 32..<start / 32 + wordCount {
                    words.append(UInt32(truncatingIfNeeded: local.word(position / 2) >> (position % 2 * 32)))
                }
                send(.bitfield(BitfieldMessage(start: start, words: words)), to: peer)
            }
            start = segmentEnd
        }
    }

    // MARK: What we want to know

    /// Asks the peer to announce the blocks of the window around `index`, once.
    func want(windowOf index: UInt64, from peer: ReplicationPeer) {
        let start = index & ~(ReplicationLimits.wantWindowBlockCount - 1)
        guard !peer.wantedWindows.contains(start) else { return }
        if peer.wantedWindows.count >= ReplicationLimits.wantWindowsPerPeer {
            let oldest = peer.wantedWindows.removeFirst()
            send(.unwant(WantMessage(start: oldest, length: ReplicationLimits.wantWindowBlockCount)), to: peer)
        }
        peer.wantedWindows.append(start)
        send(.want(WantMessage(start: start, length: ReplicationLimits.wantWindowBlockCount)), to: peer)
    }
}
