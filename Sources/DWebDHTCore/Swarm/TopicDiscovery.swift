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
    /// Waits for the current query.
    var flushes: [SwarmFlushID] = []

    init(topic: Bytes32) { self.topic = topic }

    /// What the sessions want together.
    var wantedRoles: SwarmRoles { sessions.values.reduce(into: []) { $0.formUnion($1) } }

    /// Whether a query runs or is about to.
    var isRefreshing: Bool { activeRefresh != nil || isRefreshHeld }

    /// The kind of the query that is due now. Notes that a first announcement happened.
    mutating func takeKind() -> SwarmRefreshKind {
        if activeRoles.contains(.announce) {
            defer {
                isFirstAnnounce = false
                needsUnannounce = true
            }
            return .announce(clears: isFirstAnnounce)
        }
        return needsUnannounce ? .lookupAndUnannounce : .lookup
    }

    /// Sets the time of the next query: the interval and a random part, or only the random part when `isLate`.
    mutating func scheduleNext(isLate: Bool, random: inout SecureRandom, now: MonotonicTime) {
        let jitter = Int64.random(in: 0...SwarmConstants.refreshJitter.wholeNanoseconds, using: &random)
        nextRefresh = now + (isLate ? .zero : SwarmConstants.refreshInterval) + .nanoseconds(jitter)
    }
}
