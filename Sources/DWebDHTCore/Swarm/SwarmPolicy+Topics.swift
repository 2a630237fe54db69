package import DWebBase
import HeapModule
import OrderedCollections

extension SwarmPolicy {
    /// Adds an interest in `topic`; queries at once.
    ///
    /// - Parameter limit: New peers taken per query; nil for any number. The last session's limit holds.
    package mutating func join(
        _ topic: Bytes32, as roles: SwarmRoles, limit: Int? = nil, now: MonotonicTime
    ) -> SwarmSessionID {
        precondition(!roles.isEmpty, "a topic is joined to announce, to look up, or both")
        let session = SwarmSessionID(sequence: makeSequence())
        guard !isClosed else { return session }
        if topics[topic] == nil {
            topics[topic] = TopicDiscovery(topic: topic)
            topics[topic]!.isUnannouncing = leavingTopics.contains(topic)
        }
        topics[topic]!.sessions[session] = roles
        topics[topic]!.limit = limit
        sessionTopics[session] = topic
        refresh(topic, now: now)
        return session
    }

    /// Changes what a session wants; queries at once if that is news.
    package mutating func update(_ session: SwarmSessionID, roles: SwarmRoles, now: MonotonicTime) {
        guard let topic = sessionTopics[session], !roles.isEmpty else { return }
        topics[topic]?.sessions[session] = roles
        refresh(topic, now: now)
    }

    /// Ends one interest; the last one leaves the topic.
    package mutating func leave(_ session: SwarmSessionID, now: MonotonicTime) {
        guard let topic = sessionTopics.removeValue(forKey: session) else { return }
        topics[topic]?.sessions[session] = nil
        if topics[topic]?.sessions.isEmpty == true {
            leave(topic: topic, now: now)
        } else if let discovery = topics[topic], discovery.needsUnannounce,
            !discovery.wantedRoles.contains(.announce)
        {
            refresh(topic, now: now)
        }
    }

    /// Ends all interest in `topic`: stops its query and removes the announcement.
    package mutating func leave(topic: Bytes32, now: MonotonicTime) {
        guard let discovery = topics[topic] else { return }
        if let active = discovery.activeRefresh {
            refreshTopics[active] = nil
            outputs.append(.cancelRefresh(active))
        }
        finishTopicFlushes(topic, succeeded: false)
        defer { startWaitingTopics() }
        topics[topic] = nil
        if topics.isEmpty { topicTimers = [] }
        for session in discovery.sessions.keys { sessionTopics[session] = nil }
        if discovery.needsUnannounce, !leavingTopics.contains(topic) {
            leavingTopics.append(topic)
            outputs.append(.unannounce(topic: topic))
        }
    }

    /// Whether the announcement of a topic that was left is still being removed.
    package func isLeaving(topic: Bytes32) -> Bool { leavingTopics.contains(topic) }

    /// Whether there is any interest in `topic`.
    package func isJoined(topic: Bytes32) -> Bool { topics[topic] != nil }

    /// Queries for `topic` now; if a query for the same roles runs already, that one serves.
    package mutating func refresh(_ topic: Bytes32, now: MonotonicTime) {
        guard !isSuspended, !isClosed, let discovery = topics[topic] else { return }
        let wanted = discovery.wantedRoles
        if discovery.isRefreshing, wanted == discovery.activeRoles, !discovery.isSecondLook { return }
        if let active = discovery.activeRefresh {
            refreshTopics[active] = nil
            topics[topic]!.activeRefresh = nil
            outputs.append(.cancelRefresh(active))
        }
        topics[topic]!.activeRoles = wanted
        topics[topic]!.nextRefresh = nil
        topics[topic]!.nextSecondLook = nil
        topics[topic]!.isSecondLook = false
        startOrHold(topic)
        startWaitingTopics()
    }

    /// The answer to ``SwarmOutput/listen``.
    package mutating func listening(_ succeeded: Bool, now: MonotonicTime) {
        guard !isSuspended, !isClosed else { return }
        isListening = succeeded
        hasAskedToListen = succeeded
        for topic in topics.keys where topics[topic]!.isRefreshHeld {
            if succeeded {
                startOrHold(topic)
            } else if topics[topic]!.activeRoles.contains(.announce) {
                topics[topic]!.isRefreshHeld = false
                scheduleNext(topic, isLate: false, now: now)
                finishTopicFlushes(topic, succeeded: false)
            }
        }
    }

    /// The answer to ``SwarmOutput/unannounce(topic:)``, whether it worked or not.
    package mutating func unannounceFinished(topic: Bytes32, now: MonotonicTime) {
        leavingTopics.remove(topic)
        guard topics[topic] != nil else { return }
        topics[topic]!.isUnannouncing = false
        if topics[topic]!.isRefreshHeld, !isSuspended { startOrHold(topic) }
    }

    /// A query found a peer that announced itself.
    package mutating func found(
        _ key: PublicKey, relayAddresses: [SocketAddress], in refresh: SwarmRefreshID, now: MonotonicTime
    ) {
        guard !isSuspended, let topic = refreshTopics[refresh], topics[topic]!.activeRoles.contains(.lookup) else {
            return
        }
        if let remaining = topics[topic]!.remaining, byKey[key] == nil {
            guard remaining > 0 else { return }
            topics[topic]!.remaining = remaining - 1
        }
        if key != publicKey { topics[topic]!.hasFoundPeers = true }
        discovered(key, relayAddresses: relayAddresses, topic: topic, now: now)
    }

    /// A query ended by itself; a cancelled one is not reported.
    package mutating func finished(_ refresh: SwarmRefreshID, succeeded: Bool, now: MonotonicTime) {
        guard let topic = refreshTopics.removeValue(forKey: refresh) else { return }
        topics[topic]!.activeRefresh = nil
        if topics[topic]!.isSecondLook {
            topics[topic]!.isSecondLook = false
            topics[topic]!.secondLookCount += 1
            if topics[topic]!.activeRoles.contains(.announce) {
                planSecondLook(topic, now: now)
            } else {
                planLonelyLook(topic, now: now)
            }
        } else {
            noteRefreshed(topic, succeeded: succeeded, now: now)
        }
        finishTopicFlushes(topic, succeeded: succeeded)
        startWaitingTopics()
    }

    private mutating func noteRefreshed(_ topic: Bytes32, succeeded: Bool, now: MonotonicTime) {
        let kind = topics[topic]!.activeKind
        if succeeded, kind == .lookupAndUnannounce { topics[topic]!.needsUnannounce = false }
        if succeeded {
            topics[topic]!.failureCount = 0
            scheduleNext(topic, isLate: false, now: now)
        } else {
            topics[topic]!.scheduleRetry(random: &random, now: now)
            if let due = topics[topic]!.nextRefresh { topicTimers.insert(TopicTimer(deadline: due, topic: topic)) }
        }
        if !topics[topic]!.activeRoles.contains(.announce) {
            topics[topic]!.secondLookCount = 0
            planLonelyLook(topic, now: now)
        }
        guard succeeded, case .announce = kind, topics[topic]!.isNewlyAnnounced else { return }
        topics[topic]!.isNewlyAnnounced = false
        topics[topic]!.secondLookCount = 0
        if topics[topic]!.activeRoles.contains(.lookup) { planSecondLook(topic, now: now) }
    }

    private mutating func planSecondLook(_ topic: Bytes32, now: MonotonicTime) {
        topics[topic]!.planSecondLook(random: &random, now: now)
        if let due = topics[topic]!.nextSecondLook { topicTimers.insert(TopicTimer(deadline: due, topic: topic)) }
    }

    private mutating func planLonelyLook(_ topic: Bytes32, now: MonotonicTime) {
        let isConnected = byKey.keys.contains { peers[$0]?.topics.contains(topic) == true }
        guard !isConnected else { return }
        topics[topic]!.planLonelyLook(random: &random, now: now)
        if let due = topics[topic]!.nextSecondLook { topicTimers.insert(TopicTimer(deadline: due, topic: topic)) }
    }

    private mutating func scheduleNext(_ topic: Bytes32, isLate: Bool, now: MonotonicTime) {
        topics[topic]!.scheduleNext(isLate: isLate, random: &random, now: now)
        if let due = topics[topic]!.nextRefresh { topicTimers.insert(TopicTimer(deadline: due, topic: topic)) }
    }

    mutating func wakeTopic(_ topic: Bytes32, now: MonotonicTime) {
        if let due = topics[topic]?.nextSecondLook, due <= now {
            topics[topic]!.nextSecondLook = nil
            if !topics[topic]!.isRefreshing {
                topics[topic]!.isSecondLook = true
                startOrHold(topic)
            }
        }
        guard let due = topics[topic]?.nextRefresh, due <= now else { return }
        if now - due > SwarmConstants.refreshGrace {
            scheduleNext(topic, isLate: true, now: now)
        } else {
            refresh(topic, now: now)
        }
    }

    private mutating func startOrHold(_ topic: Bytes32) {
        let discovery = topics[topic]!
        if discovery.isUnannouncing {
            topics[topic]!.isRefreshHeld = true
            return
        }
        if discovery.activeRoles.contains(.announce), !discovery.isSecondLook, !isListening {
            topics[topic]!.isRefreshHeld = true
            if !hasAskedToListen {
                hasAskedToListen = true
                outputs.append(.listen)
            }
            return
        }
        guard refreshTopics.count < refreshLimit else {
            topics[topic]!.isRefreshHeld = true
            waitingTopics.append(topic, isNew: discovery.isNewlyAnnounced)
            return
        }
        let id = SwarmRefreshID(sequence: makeSequence())
        let kind =
            discovery.isSecondLook ? .lookup : topics[topic]!.takeKind(isAmongMany: !waitingTopics.isEmpty)
        topics[topic]!.isRefreshHeld = false
        topics[topic]!.activeRefresh = id
        topics[topic]!.activeKind = kind
        topics[topic]!.remaining = discovery.limit
        refreshTopics[id] = topic
        outputs.append(.startRefresh(id, topic: topic, kind))
    }

    private var refreshLimit: Int {
        waitingTopics.count > SwarmLimits.refreshes ? SwarmLimits.refreshesAmongMany : SwarmLimits.refreshes
    }

    /// Starts what waits for its turn, as far as there is room.
    mutating func startWaitingTopics() {
        guard !isSuspended, !isClosed else { return }
        // One round: what is held again for another reason waits for that, and is not to be tried for ever.
        for _ in 0..<waitingTopics.count where refreshTopics.count < refreshLimit {
            guard let topic = waitingTopics.popFirst() else { return }
            if topics[topic]?.isRefreshHeld == true { startOrHold(topic) }
        }
    }
}
