import DWebBase
import DequeModule

/// Spaces requests out that nobody waits for, such as those of thousands of topics that are announced together, and keeps
/// what a node sends meanwhile below a limit in any second.
struct RequestPacer: Sendable {
    private static let window = Duration.seconds(1)

    private let interval: Duration
    private let tolerance: Duration
    private let pacedLimit: Int
    private let limit: Int
    /// When the next request would leave if all were evenly spaced.
    private var nextSlot = MonotonicTime.zero
    // When the requests of the last second left.
    private var times = Deque<MonotonicTime>()
    private var lastPaced: MonotonicTime?
    private var lastWait: MonotonicTime?

    /// At most `burst` paced requests at once and `rate` per second in the long run. While some of them wait, at most
    /// `pacedLimit` in any second, the others included, and `limit` with the others that leave beyond that.
    init(rate: Int, burst: Int, pacedLimit: Int, limit: Int) {
        precondition(pacedLimit <= limit, "paced requests are part of all")
        interval = .nanoseconds(1_000_000_000 / Int64(rate))
        tolerance = .nanoseconds(interval.wholeNanoseconds * Int64(burst - 1))
        self.pacedLimit = pacedLimit
        self.limit = limit
    }

    /// Whether a paced request may leave now; counts it if so.
    mutating func take(now: MonotonicTime) -> Bool {
        guard nextTime <= now else {
            lastWait = now
            return false
        }
        lastPaced = now
        nextSlot = max(nextSlot, now) + interval
        count(now)
        return true
    }

    /// Whether another request may leave now; counts it if so. It takes the place of a paced one, and only waits when the
    /// node sends as much as it may.
    mutating func takeUrgent(now: MonotonicTime) -> Bool {
        guard !isBusy(now: now) || nextUrgentTime <= now else { return false }
        // Of what leaves long before paced ones come, only the last second matters to them.
        if let lastPaced, now - lastPaced <= RequestPacer.window { nextSlot = max(nextSlot, now) + interval }
        count(now)
        return true
    }

    /// Whether paced requests had to wait within the last second: there are many of them.
    func isBusy(now: MonotonicTime) -> Bool { lastWait.map { now - $0 <= RequestPacer.window } ?? false }

    private mutating func count(_ now: MonotonicTime) {
        while let first = times.first, now - first > RequestPacer.window { times.removeFirst() }
        times.append(now)
    }

    /// When ``take(now:)`` succeeds next.
    var nextTime: MonotonicTime { max(nextSlot - tolerance, time(below: pacedLimit)) }

    /// When ``takeUrgent(now:)`` succeeds at the latest.
    var nextUrgentTime: MonotonicTime { time(below: limit) }

    /// When fewer than `limit` have left within a second.
    private func time(below limit: Int) -> MonotonicTime {
        guard times.count >= limit else { return .zero }
        return times[times.count - limit] + RequestPacer.window + .nanoseconds(1)
    }
}
