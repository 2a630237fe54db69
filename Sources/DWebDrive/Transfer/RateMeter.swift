import DWebBase
import DequeModule

/// The rate of something that is counted, over the last few seconds.
struct RateMeter {
    private static let window: Duration = .seconds(5)
    private static let spacing: Duration = .milliseconds(200)
    private static let sampleLimit = 32

    private var samples: Deque<(time: MonotonicTime, count: UInt64)> = []

    /// Takes the count of a moment.
    mutating func note(_ count: UInt64, now: MonotonicTime) {
        if let last = samples.last, now - last.time < RateMeter.spacing {
            return
        }
        samples.append((now, count))
        while samples.count > RateMeter.sampleLimit
            || (samples.count > 2 && now - samples[0].time > RateMeter.window)
        {
            samples.removeFirst()
        }
    }

    /// Units in a second.
    func rate(_ count: UInt64, now: MonotonicTime) -> Double {
        guard let first = samples.first else { return 0 }
        let elapsed = (now - first.time) / .seconds(1)
        guard elapsed > 0.05, count > first.count else { return 0 }
        return Double(count - first.count) / elapsed
    }
}
