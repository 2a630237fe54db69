package import DWebBase
import OrderedCollections

extension SwarmPolicy {
    // MARK: Peers

    /// Asks for a peer by its key; it is dialled again and again until ``leavePeer(_:)``.
    package mutating func joinPeer(_ key: PublicKey, relayAddresses: [SocketAddress] = [], now: MonotonicTime) {
        guard !isClosed, upsert(key, relayAddresses: relayAddresses) else { return }
        peers[key]!.isExplicit = true
        explicitPeers.append(key)
        guard byKey[key] == nil else { return }
        enqueue(key)
        attemptConnections(now: now)
    }

    /// Ends ``joinPeer(_:relayAddresses:now:)``. A connection stays.
    package mutating func leavePeer(_ key: PublicKey) {
        guard explicitPeers.remove(key) != nil else { return }
        peers[key]?.isExplicit = false
        forgetIfUnused(key)
    }

    /// Bans a peer, or lifts the ban. A ban closes its connection.
    package mutating func setBanned(_ isBanned: Bool, _ key: PublicKey) {
        guard isBanned != (peers[key]?.isBanned ?? false) else { return }
        if isBanned {
            guard bannedCount < SwarmLimits.bannedPeers, upsert(key, relayAddresses: []) else { return }
            peers[key]!.isBanned = true
            bannedCount += 1
            statistics.bannedCount += 1
            if let id = byKey[key] { requestClose(id, .banned) }
        } else {
            peers[key]!.isBanned = false
            bannedCount -= 1
            forgetIfUnused(key)
        }
    }

    /// Whether a peer is dialled again after its connection closed.
    package mutating func setReconnecting(_ isReconnecting: Bool, _ key: PublicKey) {
        peers[key]?.isReconnecting = isReconnecting
    }

    /// The application's firewall refused a peer: it is banned from now on.
    package mutating func firewallRefused(_ key: PublicKey) {
        guard key != publicKey else { return }
        let wasBanned = peers[key]?.isBanned ?? false
        setBanned(true, key)
        if !wasBanned { outputs.append(.banned(key)) }
    }

    mutating func discovered(
        _ key: PublicKey, relayAddresses: [SocketAddress], topic: Bytes32, now: MonotonicTime
    ) {
        guard upsert(key, relayAddresses: relayAddresses) else { return }
        peers[key]!.noteTopic(topic)
        guard byKey[key] == nil else { return }
        if peers[key]!.priority < .normal || !peers[key]!.isClient { peers[key]!.resetCounters() }
        enqueue(key)
        attemptConnections(now: now)
    }

    /// A peer announces a topic in the local network; it is dialled there first.
    package mutating func foundNearby(
        _ key: PublicKey, at address: SocketAddress, topic: Bytes32, now: MonotonicTime
    ) {
        guard !isSuspended, !isClosed, let discovery = topics[topic], discovery.wantedRoles.contains(.lookup) else {
            return
        }
        guard upsert(key, relayAddresses: []) else { return }
        peers[key]!.noteNearby(address)
        discovered(key, relayAddresses: [], topic: topic, now: now)
    }

    // MARK: Connections

    /// An attempt succeeded. Answers ``SwarmOutput/connect(_:_:relayAddresses:forcesRelay:)``.
    package mutating func opened(_ id: SwarmConnectionID, now: MonotonicTime) {
        guard let connection = connections[id], connection.isInitiator, !connection.isOpen, !connection.isClosing
        else { return }
        connections[id]!.isOpen = true
        connectingCount -= 1
        statistics.clientConnectionCount += 1
        peers[connection.key]?.noteConnected(now: now)
        peers[connection.key]?.isClient = true
        outputs.append(.deliver(id))
        finishAttempt(of: connection.key)
        attemptConnections(now: now)
    }

    /// The open connection, or the attempt, with a peer.
    package func connection(with key: PublicKey) -> SwarmConnectionID? { byKey[key] }

    /// A peer's connection arrived and is ready for use.
    ///
    /// - Parameters:
    ///   - isExistingEstablished: Whether the connection that ``connection(with:)`` names has read and written data;
    ///     spec 30 section G.4.
    ///   - address: Where it comes from; nil where that is not known, as through a relay.
    /// - Returns: The connection's name in the outputs that follow.
    package mutating func arrived(
        from key: PublicKey, isExistingEstablished: Bool, address: SocketAddress? = nil, now: MonotonicTime
    ) -> SwarmConnectionID {
        let host = address?.unmapped.with(port: 0)
        let id = SwarmConnectionID(sequence: makeSequence())
        if isClosed || isSuspended {
            outputs.append(.close(id, isClosed ? .closed : .suspended))
        } else if !admits(key) {
            outputs.append(.close(id, .banned))
        } else if let existing = byKey[key] {
            // For an arrival, "initiated by us" is false: it stays iff this node is not the one expected to dial.
            if isExistingEstablished || publicKey <= key {
                replace(existing, by: id, key: key, host: host)
            } else {
                if connections[existing]!.isOpen { outputs.append(.sendKeepAlive(existing)) }
                outputs.append(.close(id, .duplicate))
                statistics.duplicateCount += 1
            }
        } else {
            accept(id, from: key, host: host, now: now)
        }
        return id
    }

    /// A connection or attempt is gone, for whatever reason. Not to be called for arrivals that were refused.
    package mutating func closed(_ id: SwarmConnectionID, failure: SwarmFailure? = nil, now: MonotonicTime) {
        if let (key, _) = replacements.removeValue(forKey: id) {
            if let existing = byKey[key], connections[existing]!.replacement == id {
                connections[existing]!.replacement = nil
            }
            return
        }
        guard let connection = connections.removeValue(forKey: id) else { return }
        byKey[connection.key] = nil
        if connection.isInitiator {
            clientCount -= 1
            if !connection.isOpen {
                connectingCount -= 1
                statistics.failedAttemptCount += 1
            }
            noteClientClosed(connection, failure: failure, now: now)
        } else {
            serverCount -= 1
            if let host = connection.host, let count = hostCounts[host] {
                hostCounts[host] = count > 1 ? count - 1 : nil
            }
            peers[connection.key]?.connectedAt = nil
        }
        forgetIfUnused(connection.key)
        if let replacement = connection.replacement {
            let host = replacements.removeValue(forKey: replacement)?.host
            if isClosed || isSuspended {
                outputs.append(.close(replacement, isClosed ? .closed : .suspended))
            } else if admits(connection.key) {
                accept(replacement, from: connection.key, host: host, now: now)
            } else {
                outputs.append(.close(replacement, .banned))
            }
        }
        finishAttempt(of: connection.key)
        attemptConnections(now: now)
    }

    mutating func requestClose(_ id: SwarmConnectionID, _ reason: SwarmCloseReason) {
        guard let connection = connections[id], !connection.isClosing else { return }
        connections[id]!.isClosing = true
        outputs.append(.close(id, reason))
    }

    private mutating func accept(
        _ id: SwarmConnectionID, from key: PublicKey, host: SocketAddress?, now: MonotonicTime
    ) {
        let fromHost = host.map { hostCounts[$0, default: 0] } ?? 0
        guard serverCount < configuration.serverLimit, fromHost < configuration.serverLimitPerHost,
            upsert(key, relayAddresses: [])
        else {
            statistics.limitRefusalCount += 1
            outputs.append(.close(id, .limitReached))
            return
        }
        connections[id] = Connection(key: key, isInitiator: false, host: host, isOpen: true)
        if let host { hostCounts[host, default: 0] += 1 }
        byKey[key] = id
        serverCount += 1
        statistics.serverConnectionCount += 1
        peers[key]!.isClient = false
        outputs.append(.deliver(id))
    }

    private mutating func replace(
        _ existing: SwarmConnectionID, by id: SwarmConnectionID, key: PublicKey, host: SocketAddress?
    ) {
        statistics.duplicateCount += 1
        if let earlier = connections[existing]!.replacement {
            // Two arrivals wait: the same rule decides between them, and neither has carried data.
            guard publicKey <= key else {
                outputs.append(.close(id, .duplicate))
                return
            }
            replacements[earlier] = nil
            outputs.append(.close(earlier, .duplicate))
        }
        connections[existing]!.replacement = id
        replacements[id] = (key, host)
        requestClose(existing, .duplicate)
    }

    private mutating func noteClientClosed(_ connection: Connection, failure: SwarmFailure?, now: MonotonicTime) {
        let key = connection.key
        guard peers[key] != nil else { return }
        if !connection.isOpen, let failure {
            peers[key]!.lastFailure = failure.detail
            peers[key]!.lastError = failure.error
            if failure.isAvoidableByRelay, configuration.hasRelay {
                peers[key]!.forcesRelay = true
                peers[key]!.attemptCount = 0
            }
        }
        peers[key]!.noteDisconnected(now: now)
        if mayRetry(key) {
            peers[key]!.isWaiting = timers.add(peers[key]!, now: now)
        } else {
            peers[key]!.isWaiting = false
        }
    }

    private func mayRetry(_ key: PublicKey) -> Bool {
        guard !isSuspended, !isClosed, let peer = peers[key] else { return false }
        return peer.isExplicit || peer.topics.contains { topics[$0] != nil }
    }

    // MARK: Dialling

    /// Whether another outgoing connection fits beside those that exist.
    var hasRoom: Bool {
        let factor =
            switch explicitPeers.count {
            case 0: 1
            case 1: 2
            case 2, 3: 3
            default: 4
            }
        return factor * byKey.count < configuration.peerLimit && clientCount < configuration.clientLimit ?? .max
    }

    mutating func attemptConnections(now: MonotonicTime) {
        guard !isSuspended, !isClosed else { return }
        for key in explicitPeers where connectingCount < configuration.parallelLimit {
            guard byKey[key] == nil, let due = explicitRetryTime(key), due <= now else { continue }
            dial(key, isFromQueue: false)
        }
        while connectingCount < configuration.parallelLimit, hasRoom, let key = queue.removeNext(random: &random) {
            peers[key]?.isQueued = false
            if byKey[key] == nil, admits(key) {
                dial(key, isFromQueue: true)
            } else {
                finishAttempt(of: key)
                forgetIfUnused(key)
            }
        }
        advanceFlushes()
    }

    /// When an explicit peer may be dialled outside the queue; nil if only the queue may.
    func explicitRetryTime(_ key: PublicKey) -> MonotonicTime? {
        guard let peer = peers[key], !peer.isBanned, peer.attemptCount < SwarmConstants.explicitAttemptLimit else {
            return nil
        }
        guard let disconnectedAt = peer.disconnectedAt else { return .zero }
        return disconnectedAt + SwarmConstants.explicitPause * peer.attemptCount
    }

    mutating func retry(_ key: PublicKey) {
        guard peers[key] != nil else { return }
        peers[key]!.isWaiting = false
        // Its topics may have been left since.
        if byKey[key] == nil, mayRetry(key) { enqueue(key) }
        forgetIfUnused(key)
    }

    private mutating func dial(_ key: PublicKey, isFromQueue: Bool) {
        let id = SwarmConnectionID(sequence: makeSequence())
        connections[id] = Connection(key: key, isInitiator: true, isFromQueue: isFromQueue)
        byKey[key] = id
        connectingCount += 1
        clientCount += 1
        statistics.attemptCount += 1
        let peer = peers[key]!
        outputs.append(
            .connect(
                id, key, relayAddresses: peer.nearbyAddresses + peer.relayAddresses, forcesRelay: peer.forcesRelay))
    }

    private mutating func enqueue(_ key: PublicKey) {
        guard peers[key]!.updatePriority() else { return }
        peers[key]!.isQueued = true
        queue.insert(key, priority: peers[key]!.priority)
    }

    /// Makes sure that there is an entry; false for this node's own key and beyond the limit.
    private mutating func upsert(_ key: PublicKey, relayAddresses: [SocketAddress]) -> Bool {
        guard key != publicKey else { return false }
        if peers[key] == nil {
            guard peers.count < SwarmLimits.knownPeers + SwarmLimits.bannedPeers else { return false }
            guard peers.count - bannedCount < SwarmLimits.knownPeers else { return false }
            peers[key] = SwarmPeer(publicKey: key)
        }
        if !relayAddresses.isEmpty {
            peers[key]!.relayAddresses = Array(relayAddresses.prefix(SwarmLimits.relayAddresses))
        }
        return true
    }

    mutating func forgetIfUnused(_ key: PublicKey) {
        guard let peer = peers[key], peer.isForgettable, byKey[key] == nil else { return }
        peers[key] = nil
    }
}
