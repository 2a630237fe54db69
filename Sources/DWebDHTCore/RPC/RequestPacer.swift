import DWebBase

/// Spaces requests out that nobody waits for, such as those of thousands of topics that are announced together.
struct RequestPacer: Sendable {
    private let interval: Duration
    private let tolerance: Duration
    /// When the next request would leave if all were evenly spaced.
    private var nextSlot = MonotonicTime.zero

    /// At most `burst` requests at once, and `rate` per second in the long run: never more than both together in a
    /// second.
    init(rate: Int, burst: Int) {
        interval = .nanoseconds(1_000_000_000 / Int64(rate))
        tolerance = .nanoseconds(interval.wholeNanoseconds * Int64(burst - 1))
    }

    /// Whether a request may leave now; counts it if so.
    mutating func take(now: MonotonicTime) -> Bool {
        guard nextSlot <= now + tolerance else { return false }
        nextSlot = max(nextSlot, now) + interval
        return true
    }

    /// When ``take(now:)`` succeeds next.
    var nextTime: MonotonicTime { nextSlot - tolerance }
}
