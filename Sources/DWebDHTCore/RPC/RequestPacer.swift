import DWebBase
import DequeModule

/// Spaces requests out that nobody waits for, such as those of thousands of topics that are announced together.
struct RequestPacer: Sendable {
    private let interval: Duration
    private let tolerance: Duration
    private let limitPerSecond: Int
    /// When the next request would leave if all were evenly spaced.
    private var nextSlot = MonotonicTime.zero
    // When the requests of the last second left.
    private var times = Deque<MonotonicTime>()

    /// At most `burst` requests at once, `rate` per second in the long run, and `limitPerSecond` in any second, those that
    /// are only noted included.
    init(rate: Int, burst: Int, limitPerSecond: Int) {
        interval = .nanoseconds(1_000_000_000 / Int64(rate))
        tolerance = .nanoseconds(interval.wholeNanoseconds * Int64(burst - 1))
        self.limitPerSecond = limitPerSecond
    }

    /// Whether a request may leave now; counts it if so.
    mutating func take(now: MonotonicTime) -> Bool {
        guard nextTime <= now else { return false }
        count(now)
        return true
    }

    /// Counts a request that did not wait for its turn: while others do, it takes the place of one of them.
    mutating func note(now: MonotonicTime) {
        if let last = times.last, now - last <= .seconds(1) { count(now) }
    }

    private mutating func count(_ now: MonotonicTime) {
        nextSlot = max(nextSlot, now) + interval
        while let first = times.first, now - first > .seconds(1) { times.removeFirst() }
        times.append(now)
    }

    /// When ``take(now:)`` succeeds next.
    var nextTime: MonotonicTime {
        let evenly = nextSlot - tolerance
        guard times.count >= limitPerSecond else { return evenly }
        return max(evenly, times[times.count - limitPerSecond] + .seconds(1) + .nanoseconds(1))
    }
}
