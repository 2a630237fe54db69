import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    /// Sends the peer as many requests as are useful and allowed now; spec 30 E.5.
    func schedule(_ peer: ReplicationPeer) {
        guard peer.isActive, peer.isSynced, peer.isUploading, !isFrozen, !isDamaged else { return }
        guard pendingVerificationCount < ReplicationLimits.pendingVerifications else { return }
        let limit = peer.window.limit(transport: peer.transport, peerCount: peers.count)
        var triesSeeks = !seekQueue.isEmpty
        while peer.requests.count + peer.heldCount < limit, peer.requests.hasRoom {
            if requestManifest(from: peer) { continue }
            if triesSeeks {
                triesSeeks = requestSeek(from: peer)
                if triesSeeks { continue }
            }
            if requestWantedBlock(from: peer) { continue }
            if !options.isPushOnly {
                if requestRangeBlock(from: peer) { continue }
                if requestForkSearch(from: peer) || requestFork(from: peer) { continue }
                if requestUpgrade(from: peer) { continue }
            }
            break
        }
        if peers.count > 1, !options.isPushOnly { requestCopies(from: peer, limit: limit) }
    }

    // MARK: Manifest and upgrade

    private func requestManifest(from peer: ReplicationPeer) -> Bool {
        guard !knowsManifest, peer.hasManifest, peer.length == 0, !isManifestInFlight, peer.fork == head.fork else {
            return false
        }
        isManifestInFlight = true
        sendRequest(.upgrade, proof: ProofRequest(), to: peer)
        return true
    }

    private func requestUpgrade(from peer: ReplicationPeer) -> Bool {
        guard wantsUpgrade || wanted.firstPresent(in: head.length..<max(head.length, peer.length)) != nil else {
            return false
        }
        guard canBeUpgraded(by: peer) else { return false }
        let newest = peer.length - 1
        if liveRangeCount > 0, peer.has(newest), !inFlight.contains(newest), isInLiveRange(newest) {
            requestBlock(newest, priority: 0, from: peer)
        } else {
            sendRequest(.upgrade, proof: ProofRequest(upgrade: upgrade(to: peer)), to: peer)
        }
        return true
    }

    private func isInLiveRange(_ index: UInt64) -> Bool {
        ranges.list.contains { $0.end == nil && $0.start <= index }
    }

    // MARK: Blocks

    /// The end of the blocks that may be requested: beyond it the peer's may be of another history; spec 30 E.4.
    private func requestableEnd(at peer: ReplicationPeer) -> UInt64 {
        guard peer.fork == head.fork, applyingFork == nil else { return 0 }
        if peer.length >= head.length || peer.canUpgrade && !peer.needsSync { return peer.length }
        return peer.lastUpgradable.fork == head.fork ? min(peer.lastUpgradable.length, peer.length) : 0
    }

    /// The first block of `range` that the peer has and that is neither stored nor on its way.
    private func firstCandidate(
        in range: Range<UInt64>, at peer: ReplicationPeer, onlyWanted: Bool = false
    ) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var wordIndex = range.lowerBound >> 6
        let lastWord = (range.upperBound - 1) >> 6
        var isPageChecked = false
        while wordIndex <= lastWord {
            if !isPageChecked || wordIndex & 511 == 0 {
                isPageChecked = true
                let page = wordIndex >> 9
                var next: UInt64? = page
                if page << 15 >= peer.contiguousLength { next = peer.blocks.firstOccupiedPage(from: page) }
                if onlyWanted, let found = next {
                    next = wanted.firstOccupiedPage(from: found)
                }
                guard let next else { return nil }
                if next > page {
                    wordIndex = next << 9
                    continue
                }
                if local.state(ofPage: page) == .full {
                    wordIndex = (page + 1) << 9
                    continue
                }
            }
            var bits = candidates(inWord: wordIndex, at: peer)
            if bits != 0 {
                if onlyWanted { bits &= wanted.word(wordIndex) }
                bits &= AvailabilityMap.mask(of: range, inWord: wordIndex)
                if bits != 0 { return wordIndex << 6 + UInt64(bits.trailingZeroBitCount) }
            }
            wordIndex += 1
        }
        return nil
    }

    private func requestWantedBlock(from peer: ReplicationPeer) -> Bool {
        guard !blockTickets.isEmpty, peer.blockScan.exhaustedEpoch != peer.scanEpoch else { return false }
        let end = requestableEnd(at: peer)
        let storedEnd = min(end, head.length)
        let position = min(peer.blockScan.position, storedEnd)
        if let index = firstCandidate(in: position..<storedEnd, at: peer, onlyWanted: true)
            ?? firstCandidate(in: 0..<position, at: peer, onlyWanted: true)
        {
            peer.blockScan.position = index + 1
            requestBlock(index, priority: 1, from: peer)
            return true
        }
        if end > head.length, canBeUpgraded(by: peer),
            let index = firstCandidate(in: head.length..<end, at: peer, onlyWanted: true)
        {
            requestBlock(index, priority: 1, from: peer)
            return true
        }
        peer.blockScan.exhaustedEpoch = peer.scanEpoch
        askForWantedBlocks(of: peer)
        return false
    }

    /// Asks the peer about the windows of wanted blocks that it did not announce.
    private func askForWantedBlocks(of peer: ReplicationPeer) {
        guard peer.fork == head.fork else { return }
        var position = peer.contiguousLength
        while position < peer.length, let index = wanted.firstPresent(in: position..<peer.length) {
            if peer.blocks.contains(index) {
                position = index + 1
            } else {
                want(windowOf: index, from: peer)
                position = (index / ReplicationLimits.wantWindowBlockCount + 1) * ReplicationLimits.wantWindowBlockCount
            }
        }
    }

    private func requestRangeBlock(from peer: ReplicationPeer) -> Bool {
        let count = ranges.list.count
        guard count > 0 else { return false }
        let end = min(requestableEnd(at: peer), head.length)
        guard end > 0 else { return false }
        var position = count > 1 ? Int.random(in: 0..<count, using: &random) : 0
        for _ in 0..<min(count, ReplicationLimits.rangesPerTurn) {
            if let index = nextBlock(of: ranges.list[position], at: peer, before: end) {
                requestBlock(index, priority: 0, from: peer)
                return true
            }
            position = position + 1 == count ? 0 : position + 1
        }
        return false
    }

    private func nextBlock(of range: RangeInterest, at peer: ReplicationPeer, before end: UInt64) -> UInt64? {
        let end = min(end, range.end ?? .max)
        let start = range.storedUntil
        guard start < end else { return nil }
        var scan: RangeScan
        if let known = peer.rangeScans[range.ticket] {
            if known.exhaustedEpoch == peer.scanEpoch { return nil }
            scan = known
        } else {
            // One that grows starts where it is: its old part was fetched before, or is fetched by wrapping.
            scan = RangeScan(position: range.isLinear ? start : UInt64.random(in: start..<end, using: &random))
        }
        let looksForRarest = !range.isLinear && hasPartialPeers(before: end, besides: peer)
        if looksForRarest { scan.position = UInt64.random(in: start..<end, using: &random) }
        let position = min(max(scan.position, start), end)
        var found =
            firstCandidate(in: position..<end, at: peer) ?? firstCandidate(in: start..<position, at: peer)
        if looksForRarest, let first = found {
            let most = ReplicationLimits.rarestWindowBlockCount
            found = rarestCandidate(
                in: end - start <= most ? start..<end : first..<min(end, first + most), at: peer)
        }
        if let found {
            scan.position = found + 1
        } else {
            scan.exhaustedEpoch = peer.scanEpoch
            askForBlocks(in: start..<end, of: peer)
        }
        peer.rangeScans[range.ticket] = scan
        return found
    }

    /// Whether some other peer has a part of the first `end` blocks, so that some are rarer than others.
    private func hasPartialPeers(before end: UInt64, besides peer: ReplicationPeer) -> Bool {
        peers.count > 1 && peers.values.contains { $0 !== peer && $0.isActive && $0.contiguousLength < end }
    }

    /// Of the candidates in a short range, the first that fewest other peers have; seven and more count as seven.
    private func rarestCandidate(in range: Range<UInt64>, at peer: ReplicationPeer) -> UInt64? {
        var rarest: (index: UInt64, count: Int)?
        for wordIndex in range.lowerBound >> 6...(range.upperBound - 1) >> 6 {
            let bits =
                candidates(inWord: wordIndex, at: peer) & AvailabilityMap.mask(of: range, inWord: wordIndex)
            if bits == 0 { continue }
            // Three bits of a count for each of the 64 blocks, added up a whole word at a time.
            var (ones, twos, fours): (UInt64, UInt64, UInt64) = (0, 0, 0)
            for other in peers.values where other !== peer && other.isActive {
                let isFull = ones & twos & fours
                let added = announced(inWord: wordIndex, by: other) & ~isFull
                let (carry, nextCarry) = (ones & added, twos & ones & added)
                ones ^= added
                twos ^= carry
                fours ^= nextCarry
            }
            for count in 0..<min(8, rarest?.count ?? 8) {
                let matches =
                    bits & (count & 1 == 0 ? ~ones : ones) & (count & 2 == 0 ? ~twos : twos)
                    & (count & 4 == 0 ? ~fours : fours)
                guard matches != 0 else { continue }
                rarest = (wordIndex << 6 + UInt64(matches.trailingZeroBitCount), count)
                break
            }
            if rarest?.count == 0 { break }
        }
        return rarest?.index
    }

    /// Which of 64 blocks a peer said it has.
    private func announced(inWord wordIndex: UInt64, by peer: ReplicationPeer) -> UInt64 {
        let start = wordIndex << 6
        if start + 64 <= peer.contiguousLength { return .max }
        let contiguous: UInt64 = start >= peer.contiguousLength ? 0 : .max >> (64 - (peer.contiguousLength - start))
        return contiguous | peer.blocks.word(wordIndex)
    }

    /// Which of 64 blocks the peer has and are neither stored nor on their way.
    private func candidates(inWord wordIndex: UInt64, at peer: ReplicationPeer) -> UInt64 {
        ~(local.word(wordIndex) | inFlight.word(wordIndex)) & announced(inWord: wordIndex, by: peer)
    }

    /// Asks the peer about windows of a range in which blocks are missing that it did not announce.
    private func askForBlocks(in range: Range<UInt64>, of peer: ReplicationPeer) {
        var position = max(range.lowerBound, peer.contiguousLength)
        for _ in 0..<ReplicationLimits.activeWindowsPerRange {
            guard position < range.upperBound, let missing = local.firstAbsent(in: position..<range.upperBound) else {
                return
            }
            if peer.blocks.contains(missing), peer.blocks.firstAbsent(in: missing..<range.upperBound) == nil { return }
            want(windowOf: missing, from: peer)
            position =
                (missing / ReplicationLimits.wantWindowBlockCount + 1) * ReplicationLimits.wantWindowBlockCount
        }
    }

    // MARK: Seeks

    /// Sends one of the seeks that wait; false if the peer can help none of them.
    private func requestSeek(from peer: ReplicationPeer) -> Bool {
        guard peer.fork == head.fork else { return false }
        for _ in 0..<min(seekQueue.count, ReplicationLimits.rangesPerTurn) {
            guard let ticket = seekQueue.popFirst(), let seek = seeks[ticket], !seek.isInFlight else { continue }
            if request(seek, from: peer) {
                seeks[ticket]!.isInFlight = true
                return true
            }
            seekQueue.append(ticket)
        }
        return false
    }

    private func request(_ seek: SeekInterest, from peer: ReplicationPeer) -> Bool {
        let proof = ProofRequest.Seek(bytes: seek.bytes, padding: seek.padding)
        if seek.window.lowerBound >= head.length {
            guard canBeUpgraded(by: peer) else { return false }
            sendRequest(
                .seek(seek.ticket, hashedBlock: nil),
                proof: ProofRequest(seek: peer.supportsSeeks ? proof : nil, upgrade: upgrade(to: peer)), to: peer)
            return true
        }
        let window = seek.window.clamped(to: 0..<min(head.length, requestableEnd(at: peer)))
        guard !window.isEmpty else { return false }
        let position = UInt64.random(in: window, using: &random)
        guard
            let index = firstCandidate(in: position..<window.upperBound, at: peer)
                ?? firstCandidate(in: window.lowerBound..<position, at: peer)
        else {
            if window.upperBound > peer.contiguousLength {
                want(windowOf: max(window.lowerBound, peer.contiguousLength), from: peer)
            }
            return false
        }
        let levels = FlatTree.depth(seek.window.lowerBound &+ seek.window.upperBound &- 1)
        sendRequest(
            .seek(seek.ticket, hashedBlock: index),
            proof: ProofRequest(
                hash: ProofRequest.Hash(index: FlatTree.leaf(index), nodes: levels),
                seek: peer.supportsSeeks ? proof : nil), to: peer)
        return true
    }

    // MARK: Copies

    /// Asks an idle peer for blocks that others were asked for longer ago than it would need; spec 30 E.5.
    private func requestCopies(from peer: ReplicationPeer, limit: Int) {
        let limit = max(RequestWindow.least, limit / 2)
        while peer.requests.count + peer.heldCount < limit, peer.requests.hasRoom {
            let index =
                takeSwapCandidate(
                    from: &singleCopies, limit: ReplicationLimits.swapCandidatesWithOneCopy, for: peer,
                    isValid: { self.inFlight.contains($0) && !self.inFlightTwice.contains($0) })
                ?? takeSwapCandidate(
                    from: &doubleCopies, limit: ReplicationLimits.swapCandidatesWithTwoCopies, for: peer,
                    isValid: { self.inFlightTwice.contains($0) && !self.inFlightThrice.contains($0) })
            guard let index else { return }
            requestBlock(index, priority: wanted.contains(index) ? 1 : 0, from: peer)
        }
    }

    private func takeSwapCandidate(
        from queue: inout Deque<SwapCandidate>, limit: Int, for peer: ReplicationPeer, isValid: (UInt64) -> Bool
    ) -> UInt64? {
        while let first = queue.first, !isValid(first.index) { queue.removeFirst() }
        let end = min(requestableEnd(at: peer), head.length)
        let delay = peer.window.answerTime ?? .zero
        for position in 0..<min(limit, queue.count) {
            let candidate = queue[position]
            let index = candidate.index
            guard isValid(index), !verifyingBlocks.contains(index), !local.contains(index) else { continue }
            guard index < end, peer.has(index), !peer.inFlight.contains(index) else { continue }
            let due = candidate.sentAt + delay
            if due > now {
                peer.swapDeadline = peer.swapDeadline.map { min($0, due) } ?? due
                continue
            }
            queue.remove(at: position)
            return index
        }
        return nil
    }

    func noteSwapCandidate(_ candidate: SwapCandidate, copies: Int) {
        if copies == 1 { singleCopies.append(candidate) } else { doubleCopies.append(candidate) }
        // Outdated entries behind a slow first one are swept out once they may be the majority.
        let most = 2 * unansweredCount + 1024
        if singleCopies.count > most {
            singleCopies = Deque(
                singleCopies.filter { inFlight.contains($0.index) && !inFlightTwice.contains($0.index) })
        }
        if doubleCopies.count > most { doubleCopies = Deque(doubleCopies.filter { inFlightTwice.contains($0.index) }) }
    }

    /// Collects the blocks in flight when a second peer comes: with one there is nothing to swap.
    func rebuildSwapCandidates() {
        singleCopies = []
        doubleCopies = []
        for peer in peers.values {
            for request in peer.requests.pending.sorted(by: { $0.sequence < $1.sequence }) {
                guard case .block(let index) = request.purpose else { continue }
                noteSwapCandidate(SwapCandidate(index: index, sentAt: request.sentAt), copies: 1)
            }
        }
    }
}
