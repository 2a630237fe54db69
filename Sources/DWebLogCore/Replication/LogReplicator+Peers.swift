package import DWebBase
import DequeModule
import OrderedCollections

extension LogReplicator {
    // MARK: Coming and going

    /// Adds a peer to which a channel was opened. Nothing is sent before ``peerOpened(_:supportsSeeks:now:)``.
    package func addPeer(_ id: ReplicationPeerID, transport: PeerTransport, now: MonotonicTime) {
        precondition(peers[id] == nil, "the number of a peer is used once")
        self.now = now
        hadPeer = true
        peers[id] = ReplicationPeer(id: id, transport: transport, window: RequestWindow(policy: options.inFlight))
    }

    /// The peer's open arrived and its capability is right: the log's state is told.
    package func peerOpened(_ id: ReplicationPeerID, supportsSeeks: Bool, now: MonotonicTime) {
        self.now = now
        guard let peer = peers[id], !peer.isOpen else { return }
        guard !isFrozen else {
            close(peer)
            return
        }
        peer.isOpen = true
        peer.supportsSeeks = supportsSeeks
        guard !isDamaged else {
            requestRoots(from: peer)
            return
        }
        peer.canUpgrade = canUpgrade(peer)
        sendSync(to: peer)
        announceAll(to: peer)
        if peers.count == 2 { rebuildSwapCandidates() }
    }

    /// Tells the peer of all blocks from the first one on.
    func announceAll(to peer: ReplicationPeer) {
        let available = min(head.length, contiguousLength)
        guard available > 0 else { return }
        if available == head.length { peer.announcedFullLength = available }
        send(.range(RangeMessage(start: 0, length: available)), to: peer)
    }

    /// The peer's stream is gone: what it was asked for is asked of others.
    package func removePeer(_ id: ReplicationPeerID, now: MonotonicTime) {
        self.now = now
        if let peer = peers[id] { remove(peer) }
    }

    /// The peer closed this log's channel. If it did so only because neither side seemed to want anything, a new
    /// channel is asked for.
    package func peerClosedChannel(_ id: ReplicationPeerID, now: MonotonicTime) {
        self.now = now
        guard let peer = peers[id] else { return }
        let wantsMore = peer.isOpen && !peer.isDownloading && isActive && !isFrozen
        remove(peer)
        if wantsMore { outputs.append(.reopenChannel(id)) }
    }

    /// The stream measured another round-trip time.
    package func setPeer(_ id: ReplicationPeerID, roundTripTime: Duration) {
        peers[id]?.transport.roundTripTime = roundTripTime
    }

    /// The peer's stream takes messages (true) or is full (false): then no answers are produced.
    package func setPeer(_ id: ReplicationPeerID, isDrained: Bool, now: MonotonicTime) {
        self.now = now
        guard let peer = peers[id], peer.isDrained != isDrained else { return }
        peer.isDrained = isDrained
        guard isDrained else { return }
        while let want = peer.delayedWants.popFirst() { answer(want, to: peer) }
        serveQueued(peer)
    }

    /// What is known of a peer; nil once it is gone.
    package func peerState(_ id: ReplicationPeerID) -> PeerState? {
        guard let peer = peers[id] else { return nil }
        let contiguousLength =
            peer.contiguousLength < peer.length
            ? peer.blocks.firstAbsent(in: peer.contiguousLength..<peer.length) ?? peer.length : peer.contiguousLength
        return PeerState(
            isSynced: peer.isSynced, head: LogHead(fork: peer.fork, length: peer.length),
            contiguousLength: contiguousLength, isUploading: peer.isUploading, isDownloading: peer.isDownloading,
            isPaused: peer.isPaused, unansweredRequestCount: peer.requests.count,
            roundTripTime: peer.transport.roundTripTime ?? peer.window.answerTime)
    }

    /// The blocks that a peer announced beside those from the first one on; nil once it is gone.
    package func announcedBlocks(of id: ReplicationPeerID) -> AvailabilityMap? { peers[id]?.blocks }

    /// The blocks of `range` that a peer announced, as ascending ranges.
    package func announcedRanges(of id: ReplicationPeerID, in range: Range<UInt64>) -> [Range<UInt64>] {
        guard let peer = peers[id] else { return [] }
        let range = range.clamped(to: 0..<max(peer.length, peer.contiguousLength))
        var result: [Range<UInt64>] = []
        var position = range.lowerBound
        if position < peer.contiguousLength {
            position = min(peer.contiguousLength, range.upperBound)
            result.append(range.lowerBound..<position)
        }
        while let start = peer.blocks.firstPresent(in: position..<range.upperBound) {
            let end = peer.blocks.firstAbsent(in: start..<range.upperBound) ?? range.upperBound
            if let last = result.last, last.upperBound == start {
                result[result.count - 1] = last.lowerBound..<end
            } else {
                result.append(start..<end)
            }
            position = end
        }
        return result
    }

    /// The peers that take part, for statistics.
    package var openPeerCount: Int { peers.values.count { $0.isOpen } }

    func close(_ peer: ReplicationPeer) {
        remove(peer)
        outputs.append(.closeChannel(peer.id))
    }

    func destroyStream(of peer: ReplicationPeer, _ fault: PeerFault) {
        remove(peer)
        outputs.append(.destroyStream(peer.id, fault))
    }

    private func remove(_ peer: ReplicationPeer) {
        peer.isRemoved = true
        peers[peer.id] = nil
        for request in peer.requests.pending {
            unansweredCount -= 1
            giveUp(request, at: peer)
        }
        for answers in peer.held.values {
            for answer in answers { giveUp(answer.request, at: peer) }
        }
        peer.held = [:]
        peer.heldCount = 0
        updatesNeedChecking = true
        // What it alone was asked for, such as an upgrade whose proof was refused, is now somebody else's to answer.
        markAllDirty()
        discardOrphanedForks()
    }

    // MARK: Messages

    /// A message came on the peer's channel. Messages of unknown peers, and of peers whose open did not arrive, are
    /// ignored.
    package func handle(_ message: LogMessage, from id: ReplicationPeerID, now: MonotonicTime) {
        self.now = now
        guard let peer = peers[id], peer.isOpen, !isFrozen else { return }
        if isDamaged {
            handleWhileDamaged(message, from: peer)
            return
        }
        switch message {
        case .sync(let sync): receive(sync, from: peer)
        case .request(let request): receive(request, from: peer)
        case .cancel(let cancel): receive(cancel, from: peer)
        case .data(let data): receive(data, from: peer)
        case .noData(let noData): receive(noData, from: peer)
        case .want(let want): receive(want, from: peer)
        case .unwant(let want): peer.wants.remove(want)
        case .bitfield(let bitfield): receive(bitfield, from: peer)
        case .range(let range): receive(range, from: peer)
        case .extensionMessage(let message): receive(message, from: peer)
        }
    }

    private func receive(_ message: ExtensionMessage, from peer: ReplicationPeer) {
        if !message.name.isEmpty {
            guard message.name.utf8.count <= ReplicationLimits.extensionNameByteCount else { return }
            peer.lastExtensionReceived = message.name
        }
        outputs.append(
            .extensionMessage(from: peer.id, name: peer.lastExtensionReceived, payload: message.message))
    }

    /// Sends an extension message. The name is left out where it is that of the previous one; spec 30 C.2.
    package func sendExtension(_ name: String, payload: [UInt8], to id: ReplicationPeerID) {
        guard let peer = peers[id], peer.isOpen else { return }
        let isRepeated = name == peer.lastExtensionSent
        peer.lastExtensionSent = name
        send(.extensionMessage(ExtensionMessage(name: isRepeated ? "" : name, message: payload)), to: peer)
    }

    // MARK: Syncs

    private func receive(_ sync: SyncMessage, from peer: ReplicationPeer) {
        let wasLonger = peer.isSynced && peer.length > head.length && peer.fork == head.fork
        note(sync, of: peer)
        if !peer.isDownloading && !isDownloading {
            close(peer)
            return
        }
        updateCanUpgrade(peer)
        if peer.fork == head.fork && head.length > peer.length { peer.needsSync = true }
        if peer.fork > head.fork { considerFork(of: peer) }
        if !wasLonger, peer.fork > head.fork || peer.fork == head.fork && peer.length > head.length {
            emit(.upgradeAvailable(peer.id, LogHead(fork: peer.fork, length: peer.length)))
        }
        peer.scanEpoch += 1
        updatesNeedChecking = true
        markDirty(peer)
    }

    /// Remembers what a peer says of itself.
    func note(_ sync: SyncMessage, of peer: ReplicationPeer) {
        if sync.fork != peer.fork { peer.lastUpgradable = LogHead(fork: sync.fork, length: 0) }
        peer.isSynced = true
        peer.fork = sync.fork
        peer.length = sync.length
        peer.offersUpgrade = sync.canUpgrade
        peer.isUploading = sync.uploading
        peer.isDownloading = sync.downloading
        peer.hasManifest = sync.hasManifest
        peer.allowsPush = sync.allowPush
        peer.lengthAcknowledged = sync.fork == head.fork ? sync.remoteLength : 0
    }

    func sendSync(to peer: ReplicationPeer) {
        guard peer.isOpen, !peer.isRemoved, !isDamaged else { return }
        peer.needsSync = false
        send(
            .sync(
                SyncMessage(
                    fork: head.fork, length: head.length, remoteLength: peer.fork == head.fork ? peer.length : 0,
                    canUpgrade: peer.canUpgrade, uploading: true, downloading: isDownloading,
                    hasManifest: offersManifest, allowPush: options.allowsPush && isDownloading)), to: peer)
    }

    /// Tells all peers our state, at the next poll.
    func syncAll() {
        for peer in peers.values {
            updateCanUpgrade(peer)
            peer.needsSync = true
            peer.scanEpoch += 1
            markDirty(peer)
        }
    }

    /// Looks again at which peers our length can be proven to, after nodes became known or were stored some other way.
    package func reconsiderUpgrades(now: MonotonicTime) {
        self.now = now
        for peer in peers.values where peer.isOpen { updateCanUpgrade(peer) }
    }

    /// Recomputes whether we can prove our length to the peer; a change is told to it.
    func updateCanUpgrade(_ peer: ReplicationPeer) {
        let value = canUpgrade(peer)
        if value && peer.fork == head.fork { peer.lastUpgradable = LogHead(fork: peer.fork, length: peer.length) }
        guard value != peer.canUpgrade else { return }
        peer.canUpgrade = value
        peer.needsSync = true
        markDirty(peer)
    }

    private func canUpgrade(_ peer: ReplicationPeer) -> Bool {
        if peer.fork != head.fork { return false }
        if peer.length == 0 { return true }
        if peer.length >= head.length { return false }
        if peer.length <= contiguousLength { return true }
        return FlatTree.fullRoots(length: peer.length).allSatisfy { isNodeStored($0) }
    }

    // MARK: Activity

    /// Whether anybody uses the log. Without users it keeps downloading for a while, then tells peers that it does not;
    /// channels on which neither side downloads are closed.
    package func setActive(_ isActive: Bool, now: MonotonicTime) {
        self.now = now
        guard isActive != self.isActive else { return }
        self.isActive = isActive
        let linger = options.lingerTime.wholeNanoseconds
        let jitter = linger > 0 ? Int64.random(in: 0...linger, using: &random) : 0
        lingerDeadline = isActive || linger == 0 ? nil : now + .nanoseconds(linger) + .nanoseconds(jitter)
    }

    /// Whether blocks are wanted from peers, as told to them.
    var isDownloading: Bool {
        isActive || lingerDeadline != nil || unansweredCount > 0 || pendingVerificationCount > 0
    }

    /// Tells peers if we started or stopped downloading; true if so.
    func noteDownloading() -> Bool {
        guard isDownloading != announcedDownloading else { return false }
        announcedDownloading = isDownloading
        for peer in Array(peers.values) where peer.isOpen {
            if !isDownloading && peer.isSynced && !peer.isDownloading {
                sendSync(to: peer)
                close(peer)
            } else {
                peer.needsSync = true
                markDirty(peer)
            }
        }
        return true
    }

    func pause(_ peer: ReplicationPeer) {
        guard !peer.isPaused else { return }
        peer.isPaused = true
        updatesNeedChecking = true
        emit(.peerPaused(peer.id))
    }
}
