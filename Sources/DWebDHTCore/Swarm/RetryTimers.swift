import DWebBase
import DWebCrypto

/// A timer that fires whole groups: what is added fires on the second tick after, between 0.66 and 1.32 times its
/// delay.
struct BulkTimer: Sendable {
    private let interval: Duration
    private var nextTick: MonotonicTime
    private var pending: [PublicKey] = []
    private var next: [PublicKey] = []

    init(delay: Duration, now: MonotonicTime) {
        interval = .milliseconds(max(1, Int64((delay.seconds * 1_000 * 0.66).rounded(.down))))
        nextTick = now + interval
    }

    var nextDeadline: MonotonicTime? { pending.isEmpty && next.isEmpty ? nil : nextTick }

    /// Adds an entry and returns when it will fire.
    mutating func add(_ key: PublicKey, now: MonotonicTime) -> MonotonicTime {
        // Ticks go on while nothing waits, so that their phase does not depend on what is added.
        if nextTick <= now, pending.isEmpty, next.isEmpty {
            let late = (now - nextTick).wholeNanoseconds / interval.wholeNanoseconds + 1
            nextTick = nextTick + .nanoseconds(late * interval.wholeNanoseconds)
        }
        pending.append(key)
        return nextTick + interval
    }

    /// When a waiting entry fires; nil if it does not wait here.
    func deadline(of key: PublicKey) -> MonotonicTime? {
        if next.contains(key) { return nextTick }
        return pending.contains(key) ? nextTick + interval : nil
    }

    /// The entries whose time has come.
    mutating func wake(now: MonotonicTime) -> [PublicKey] {
        var fired: [PublicKey] = []
        while nextTick <= now, !(pending.isEmpty && next.isEmpty) {
            fired += next
            next = pending
            pending = []
            nextTick = nextTick + interval
        }
        return fired
    }
}

/// The four retry timers of a swarm; spec 30 section G.2.
struct RetryTimers: Sendable {
    private var timers: [BulkTimer]

    init(_ configuration: SwarmPolicyConfiguration, random: inout SecureRandom, now: MonotonicTime) {
        let delays = configuration.retryDelays
        let bases: [(Duration, Int)] = [
            (delays.short, 1), (delays.medium, 2), (delays.long, 4), (delays.extraLong, 240),
        ]
        timers = bases.map { base, spread in
            let own = Double.random(in: 0..<1, using: &random) * Double(spread)
            let shared = Double.random(in: 0..<1, using: &random)
            let jitter = configuration.retryJitter.seconds * (own + shared)
            return BulkTimer(delay: base + .nanoseconds(Int64(jitter * 1e9)), now: now)
        }
    }

    var nextDeadline: MonotonicTime? { timers.compactMap(\.nextDeadline).min() }

    /// When a waiting peer is due; nil if it does not wait.
    func deadline(of key: PublicKey) -> MonotonicTime? { timers.lazy.compactMap { $0.deadline(of: key) }.first }

    /// Adds a peer to the timer that its history chooses; false if it is not to be retried.
    mutating func add(_ peer: SwarmPeer, now: MonotonicTime) -> Bool {
        guard let index = RetryTimers.timerIndex(for: peer) else { return false }
        _ = timers[index].add(peer.publicKey, now: now)
        return true
    }

    /// The peers whose time has come.
    mutating func wake(now: MonotonicTime) -> [PublicKey] {
        var fired: [PublicKey] = []
        for index in timers.indices { fired += timers[index].wake(now: now) }
        return fired
    }

    private static func timerIndex(for peer: SwarmPeer) -> Int? {
        guard !peer.isBanned, peer.isReconnecting else { return nil }
        switch (peer.attemptCount, peer.isProven) {
        case (0, _): return 0
        case (1, true): return 0
        case (2, true), (1, false): return 1
        case (3, _), (2, false): return 2
        default: return peer.isExplicit ? 3 : nil
        }
    }
}
