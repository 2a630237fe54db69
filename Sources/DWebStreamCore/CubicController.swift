/// CUBIC after RFC 9438, in packets and nanoseconds, paced a little faster than the window per round-trip time.
///
/// One stream behaves as two connections do, which QUIC's first implementations did as well: of two, one backs off at a
/// loss. Twice as many losses of half the weight also bring two streams to equal shares sooner, since less is left to
/// which of them a full queue hits.
package final class CubicController: CongestionController {
    private static let connections = 2.0
    // One of the connections goes back to 0.7 of its part, RFC 9438 section 4.6.
    private static let multiplicativeDecrease = (connections - 1 + 0.7) / connections
    // A mark comes earlier than a loss, from shorter queues, and one goes back to 0.85: RFC 8511.
    private static let markedDecrease = (connections - 1 + 0.85) / connections
    // What as many connections of Reno gain in a round trip if each loss takes that much: RFC 9438 section 4.3.
    private static let renoIncrease =
        3 * connections * connections * (1 - multiplicativeDecrease) / (1 + multiplicativeDecrease)
    private static let aggressiveness = 0.4

    package var congestionWindow: Int { recoveryWindow ?? Int(window) }
    package private(set) var pacingRate: Double
    package var marksAppLimited: Bool { false }

    private var window = Double(CongestionConstants.initialWindow)
    private var slowStartThreshold = Double.infinity
    private var windowBeforeLoss = 0.0
    private var epochStart: Int64?
    private var plateauSeconds = 0.0
    private var renoWindow = 0.0
    private var windowAtReduction = 0.0
    private var slowStartExit = SlowStartExit()

    // Proportional rate reduction, RFC 6937: recovery sends in step with what arrives.
    private var recoveryWindow: Int?
    private var recoveryFlight = 1
    private var recoveryDelivered = 0
    private var sentAtRecovery = 0

    /// A controller for a new path.
    package init(payloadByteCount: Int = 1_152) {
        pacingRate = Double(CongestionConstants.initialWindow * payloadByteCount) * 2
    }

    package func acknowledge(_ sample: RateSample, _ context: CongestionContext) {
        defer { updatePacingRate(context) }
        if recoveryWindow != nil { reduceProportionally(sample.newlyAcknowledged, context) }
        guard sample.newlyAcknowledged > 0, context.phase != .recovery, !sample.isAppLimited else { return }
        let acknowledged = Double(sample.newlyAcknowledged)
        // A window that something else keeps from being used says nothing about the path.
        guard Double(context.inFlight) + acknowledged >= window / 2 else { return }
        if window < slowStartThreshold {
            growInSlowStart(sample, context)
            return
        }
        let start = beginEpoch(context)
        let elapsed = Double(context.now - start + context.smoothedRoundTripTime) / 1e9
        let offset = elapsed - plateauSeconds
        let target = CubicController.aggressiveness * offset * offset * offset + windowBeforeLoss
        // Beyond the window that was reduced, what Reno gains: RFC 9438 section 4.3.
        let renoGain =
            renoWindow >= windowAtReduction ? CubicController.connections : CubicController.renoIncrease
        renoWindow += renoGain * acknowledged / window
        if target > window {
            window += min((target - window) / window * acknowledged, acknowledged / 2)
        } else {
            window += 0.01 * acknowledged / window
        }
        window = min(max(window, renoWindow), 1e6)
    }

    private func growInSlowStart(_ sample: RateSample, _ context: CongestionContext) {
        guard slowStartThreshold == .infinity else {
            // Up to a threshold that a loss has set.
            window = min(window + Double(sample.newlyAcknowledged), max(slowStartThreshold, window))
            return
        }
        if let growth = slowStartExit.growth(sample, delivered: context.delivered) {
            window += growth
        } else {
            slowStartThreshold = window
        }
    }

    private func reduceProportionally(_ acknowledged: Int, _ context: CongestionContext) {
        recoveryDelivered += acknowledged
        let sent = context.sent - sentAtRecovery
        let target = Int(window)
        var allowance: Int
        if context.inFlight > target {
            allowance = (recoveryDelivered * target + recoveryFlight - 1) / recoveryFlight - sent
        } else {
            allowance = min(target - context.inFlight, max(recoveryDelivered - sent, acknowledged) + 1)
        }
        // The first packet found lost is sent again at once.
        if sent == 0 { allowance = max(allowance, 1) }
        recoveryWindow = context.inFlight + max(0, allowance)
    }

    private func beginEpoch(_ context: CongestionContext) -> Int64 {
        if let start = epochStart { return start }
        epochStart = context.now
        renoWindow = window
        if windowBeforeLoss > window {
            plateauSeconds = CubicController.cubeRoot(
                (windowBeforeLoss - window) / CubicController.aggressiveness)
        } else {
            windowBeforeLoss = window
            plateauSeconds = 0
        }
        return context.now
    }

    private func reduce(_ decrease: Double = CubicController.multiplicativeDecrease) {
        windowAtReduction = window
        // Fast convergence: leave room for streams that start.
        windowBeforeLoss = window < windowBeforeLoss ? window * (1 + decrease) / 2 : window
        slowStartThreshold = max(window * decrease, 2)
        epochStart = nil
    }

    private func updatePacingRate(_ context: CongestionContext) {
        guard context.smoothedRoundTripTime > 0 else { return }
        let milliseconds = Double(max(context.smoothedRoundTripTime, Int64.millisecond)) / 1e6
        let gain = window < slowStartThreshold ? 2 : 1.25
        pacingRate = max(1, window * Double(context.payloadByteCount) * gain / milliseconds)
    }

    package func enterRecovery(_ context: CongestionContext) {
        recoveryFlight = max(1, context.inFlight, Int(window))
        reduce()
        window = max(slowStartThreshold, Double(CongestionConstants.minimumWindow))
        recoveryDelivered = 0
        sentAtRecovery = context.sent
        recoveryWindow = context.inFlight + 1
    }

    package func experienceCongestion(_ context: CongestionContext) {
        guard context.phase == .open else { return }
        reduce(CubicController.markedDecrease)
        window = max(slowStartThreshold, Double(CongestionConstants.minimumWindow))
    }

    package func leaveRecovery(_ context: CongestionContext) { recoveryWindow = nil }

    package func retransmissionTimedOut(_ context: CongestionContext) {
        if context.phase != .loss { reduce() }
        window = Double(CongestionConstants.minimumWindow)
        recoveryWindow = nil
        epochStart = nil
    }

    package func startSending(_ context: CongestionContext) {
        guard context.isAppLimited else { return }
        epochStart = nil
    }

    private static func cubeRoot(_ value: Double) -> Double {
        var root = max(1, value / 3)
        for _ in 0..<40 { root -= (root * root * root - value) / (3 * root * root) }
        return root
    }
}
