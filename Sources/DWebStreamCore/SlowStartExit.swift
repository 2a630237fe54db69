/// Finds the end of a stream's first slow start by round-trip times that grow, before a queue overflows: HyStart++,
/// RFC 9406. When they do, the window goes on for some rounds at a fraction of its growth; if they shrink again, it was a
/// disturbance.
struct SlowStartExit {
    // Section 4.3 recommends these.
    private static let sampleCount = 8
    private static let conservativeRounds = 5
    private static let conservativeDivisor = 4.0
    private static let smallestIncrease = 4 * Int64.millisecond
    private static let largestIncrease = 16 * Int64.millisecond
    private static let increaseDivisor: Int64 = 8

    private var roundEnd = 0
    private var samples = 0
    private var smallest = Int64.max
    private var smallestBefore = Int64.max
    /// The round-trip time that raised suspicion, and the rounds since.
    private var suspicion: (roundTripTime: Int64, rounds: Int)?

    /// Takes in an acknowledgement, with the packets delivered so far. Returns how much the window may grow, in packets; nil
    /// once slow start is over.
    mutating func growth(_ sample: RateSample, delivered: Int) -> Double? {
        if sample.priorDelivered >= roundEnd {
            roundEnd = delivered
            smallestBefore = smallest
            smallest = .max
            samples = 0
            suspicion?.rounds += 1
            if let suspicion, suspicion.rounds >= SlowStartExit.conservativeRounds { return nil }
        }
        if sample.roundTripTime >= 0 {
            smallest = min(smallest, sample.roundTripTime)
            samples += 1
        }
        if samples >= SlowStartExit.sampleCount { judge() }
        let acknowledged = Double(sample.newlyAcknowledged)
        return suspicion == nil ? acknowledged : acknowledged / SlowStartExit.conservativeDivisor
    }

    private mutating func judge() {
        if let suspicion {
            if smallest < suspicion.roundTripTime { self.suspicion = nil }
        } else if smallestBefore != .max {
            let increase = min(
                max(smallestBefore / SlowStartExit.increaseDivisor, SlowStartExit.smallestIncrease),
                SlowStartExit.largestIncrease)
            if smallest >= smallestBefore + increase { suspicion = (smallest, 0) }
        }
    }
}
