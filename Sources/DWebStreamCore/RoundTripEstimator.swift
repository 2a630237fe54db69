/// Round-trip times and the retransmission timeout; spec 10 section 8.1. Times are in nanoseconds.
struct RoundTripEstimator {
    private static let capNanoseconds = 30_000 * Int64.millisecond
    private static let suspicious = 5_000 * Int64.millisecond
    private static let minimumWindow = 300_000 * Int64.millisecond

    /// The smoothed round-trip time; 0 before the first measurement.
    private(set) var smoothed: Int64 = 0
    private(set) var variation: Int64 = 0
    /// The retransmission timeout.
    private(set) var timeout = 1_000 * Int64.millisecond
    private var minimumFilter = WindowedFilter<Int64>(.minimum, initial: 0)

    /// The smallest round-trip time of the last five minutes; 0 before the first measurement.
    var minimum: Int64 { smoothed == 0 ? 0 : minimumFilter.value }

    /// Limits a measurement, so that a suspended host does not ruin the estimate.
    func clamped(_ sample: Int64) -> Int64 {
        let sample = max(1, sample)
        if smoothed == 0 { return min(sample, RoundTripEstimator.capNanoseconds) }
        let limit = smoothed + 5 * variation
        if sample > RoundTripEstimator.suspicious, sample > limit {
            return min(limit, RoundTripEstimator.capNanoseconds)
        }
        return sample
    }

    /// Takes in a clamped measurement of a packet that was sent once.
    mutating func update(_ sample: Int64, now: Int64) {
        if smoothed == 0 {
            minimumFilter.reset(sample, at: now)
            smoothed = sample
            variation = sample / 2
        } else {
            minimumFilter.update(sample, at: now, window: RoundTripEstimator.minimumWindow)
            variation = (3 * variation + abs(smoothed - sample)) / 4
            smoothed = max(1, (7 * smoothed + sample) / 8)
        }
        timeout = min(30_000 * Int64.millisecond, max(1_000 * Int64.millisecond, smoothed + 4 * variation))
    }
}

extension Int64 {
    /// Nanoseconds in a millisecond.
    static let millisecond: Int64 = 1_000_000
}
