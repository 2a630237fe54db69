import DWebBase
import DWebCrypto

/// The schedule of one topic: what its sessions want, the query that runs, and when the next one is due;
/// spec 30 section G.5.
struct TopicDiscovery: Sendable {
    let topic: Bytes32
    /// The interests, whose union is ``wantedRoles``.
    var sessions: [SwarmSessionID: SwarmRoles] = [:]
    /// The roles of the running or last query.
    var activeRoles: SwarmRoles = []
    /// New peers taken per query; nil for any number.
    var limit: Int?
    /// What is left of ``limit`` in the running query.
    var remaining: Int?
    var isFirstAnnounce = true
    /// Whether nodes may hold an announcement of this node.
    var needsUnannounce = false
    /// Whether an announcement of an earlier interest is still being removed.
    var isUnannouncing = false
    var activeRefresh: SwarmRefreshID?
    var activeKind = SwarmRefreshKind.lookup
    /// Whether a query is due as soon as what it waits for (listening, an old announcement's removal) is done.
    var isRefreshHeld = false
    var nextRefresh: MonotonicTime?
    /// When to look once more for peers that announced themselves at the same moment; nil if that is not planned.
    var nextSecondLook: MonotonicTime?
    /// Whether the running query is such a second look.
    var isSecondLook = false
    var secondLookCount = 0
    /// Whether the next announcement may coincide with those of others: it is the first, or the first after a rest.
    var isNewlyAnnounced = true
    /// Whether a query found another peer since then.
    var hasFoundPeers = false
    /// Queries that failed one after the other.
    var failureCount = 0
    /// Waits for the current query.
    var flushes: [SwarmFlushID] = []

    init(topic: Bytes32) { self.topic = topic }

    /// What the sessions want together.
    var wantedRoles: SwarmRoles { sessions.values.reduce(into: []) { $0.formUnion($1) } }

    /// Whether a query runs or is about to.
    var isRefreshing: Bool { activeRefresh != nil || isRefreshHeld }

    /// The kind of the query that is due now. Notes that a first announcement happened.
    ///
    /// - Parameter isAmongMany: Whether further topics wait for their turn.
    mutating func takeKind(isAmongMany: Bool) -> SwarmRefreshKind {
        if activeRoles.contains(.announce) {
            defer {
                isFirstAnnounce = false
                needsUnannounce = true
            }
            // A lookup cannot do without a search.
            return .announce(clears: isFirstAnnounce, isAmongMany: isAmongMany && activeRoles == .announce)
        }
        return needsUnannounce ? .lookupAndUnannounce : .lookup
    }

    /// Plans to look once more soon, after an announcement that others may have made at the same moment: each then looked
    /// before the other was to be found, and would meet it only with the next query.
    mutating func planSecondLook(random: inout SecureRandom, now: MonotonicTime) {
        let isFirst = secondLookCount == 0
        // Somebody who was found tells nothing about others of the same moment, so the first look is in any case due.
        guard isFirst || !hasFoundPeers, secondLookCount < SwarmConstants.secondLookLimit else { return }
        let pause = isFirst ? SwarmConstants.secondLookPause : SwarmConstants.thirdLookPause
        let jitter = Int64.random(in: 0...pause.wholeNanoseconds, using: &random)
        nextSecondLook = now + pause + .nanoseconds(jitter)
    }

    /// Plans to look again after a lookup that led to nobody, later each time: whoever announces the topic meanwhile is met
    /// within seconds, not with the next query.
    mutating func planLonelyLook(random: inout SecureRandom, now: MonotonicTime) {
        var pause = SwarmConstants.lonelyLookPause
        for _ in 0..<secondLookCount where pause < SwarmConstants.refreshInterval { pause *= 2 }
        guard pause < SwarmConstants.refreshInterval else { return }
        let jitter = Int64.random(in: 0...pause.wholeNanoseconds / 2, using: &random)
        nextSecondLook = now + pause + .nanoseconds(jitter)
    }

    /// Sets the time of the next query after one that failed: soon, and later each time. Nobody answered, and the network
    /// may be back any moment.
    mutating func scheduleRetry(random: inout SecureRandom, now: MonotonicTime) {
        var pause = SwarmConstants.failedRefreshPause
        for _ in 0..<failureCount where pause < SwarmConstants.refreshInterval { pause *= 2 }
        failureCount += 1
        guard pause < SwarmConstants.refreshInterval else {
            return scheduleNext(isLate: false, random: &random, now: now)
        }
        let jitter = Int64.random(in: 0...pause.wholeNanoseconds / 2, using: &random)
        nextRefresh = now + pause + .nanoseconds(jitter)
    }

    /// Sets the time of the next query: the interval and a random part, or only the random part when `isLate`.
    mutating func scheduleNext(isLate: Bool, random: inout SecureRandom, now: MonotonicTime) {
        if !isLate, case .announce(_, isAmongMany: true) = activeKind {
            // Turns spread them already, and one that came late for its own would wait for the next round.
            nextRefresh = now + SwarmConstants.refreshInterval
            return
        }
        let jitter = Int64.random(in: 0...SwarmConstants.refreshJitter.wholeNanoseconds, using: &random)
        nextRefresh = now + (isLate ? .zero : SwarmConstants.refreshInterval) + .nanoseconds(jitter)
    }
}
