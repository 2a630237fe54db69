/// BBR version 1 in packets and nanoseconds, with the constants of the living network; spec 10 section 9.
///
/// Where the specification lists an oddity of the reference, the plain algorithm is followed: the window is saved on
/// entering recovery and restored on leaving it, and the phase of bandwidth probing starts at random. Beyond it, startup
/// also ends once it makes a queue overflow, instead of pouring into it for three more rounds.
package final class BBRController: CongestionController {
    private enum Mode {
        case startup
        case drain
        case probeBandwidth
        case probeRoundTripTime
    }

    private static let highGain = 2.88539
    private static let drainGain = 1 / 2.88539
    private static let windowGain = 2.0
    private static let cycleGains = [1.25, 0.75, 1, 1, 1, 1, 1, 1]
    private static let bandwidthWindowRounds: Int64 = 10
    private static let minimumRoundTripInterval = 10_000 * Int64.millisecond
    private static let probeRoundTripDuration = 200 * Int64.millisecond
    private static let fullPipeGrowth = 1.25
    private static let fullPipeRounds = 3
    // Chance loses less than this share of a round's packets; a queue that overflows at several times its rate, more.
    private static let overflowShare = 0.15
    private static let overflowPacketCount = 100
    private static let pacingMargin = 0.99
    private static let aggregationRounds = 5
    private static let aggregationCapMilliseconds = 100.0

    package private(set) var congestionWindow = CongestionConstants.initialWindow
    package private(set) var pacingRate: Double
    package private(set) var marksAppLimited = false

    private var mode = Mode.startup
    private var bandwidth = WindowedFilter<Double>(.maximum, initial: 0)
    private var round: Int64 = 0
    private var isRoundStart = false
    private var nextRoundDelivered = 0
    private var minimumRoundTripTime: Int64?
    private var minimumStamp: Int64 = 0
    private var pacingGain = BBRController.highGain
    private var windowGain = BBRController.highGain
    private var cycleIndex = 0
    private var cycleStart: Int64 = 0
    private var phaseSeed: UInt32
    private var fullBandwidth = 0.0
    private var fullCount = 0
    private var isPipeFull = false
    private var roundLost = 0
    private var roundDelivered = 0
    private var savedWindow = 0
    private var probeDoneTime: Int64?
    private var isProbeRoundDone = false
    private var isIdleRestart = false
    private var hasRoundTripTime = false
    private var conservesPackets = false
    private var markedRound: Int64 = -2
    private var previousPhase = RecoveryPhase.open

    private var aggregation = (0, 0)
    private var aggregationSlot = 0
    private var aggregationRoundCount = 0
    private var aggregationEpochStart: Int64 = 0
    private var aggregationEpochAcknowledged = 0

    /// A controller for a new path. `phaseSeed` chooses where bandwidth probing starts its cycle.
    package init(phaseSeed: UInt32, payloadByteCount: Int = 1_152) {
        self.phaseSeed = phaseSeed
        pacingRate = Double(CongestionConstants.initialWindow * payloadByteCount) * BBRController.highGain
    }

    var state: String {
        "\(mode) bw \(bottleneck) full \(isPipeFull) cycle \(cycleIndex) agg \(aggregation) cons \(conservesPackets) saved \(savedWindow)"
    }
    /// Packets per millisecond.
    private var bottleneck: Double { bandwidth.value }

    /// The bandwidth-delay product times `gain`, in packets.
    private func product(_ gain: Double) -> Int {
        guard let minimum = minimumRoundTripTime else { return CongestionConstants.initialWindow }
        return Int(min(bottleneck * Double(minimum) / 1e6 * gain, 1e9))
    }

    package func acknowledge(_ sample: RateSample, _ context: CongestionContext) {
        updateBandwidth(sample, context)
        updateAggregation(sample, context)
        updateCycle(sample, context)
        checkFullPipe(sample)
        checkDrain(context)
        updateMinimumRoundTripTime(sample, context)
        switch mode {
        case .startup: (pacingGain, windowGain) = (BBRController.highGain, BBRController.highGain)
        case .drain: (pacingGain, windowGain) = (BBRController.drainGain, BBRController.highGain)
        case .probeBandwidth:
            (pacingGain, windowGain) = (BBRController.cycleGains[cycleIndex], BBRController.windowGain)
        case .probeRoundTripTime: (pacingGain, windowGain) = (1, 1)
        }
        if isMarked {
            pacingGain = min(pacingGain, 1)
            windowGain = min(windowGain, 1)
        }
        updatePacingRate(context)
        updateWindow(sample, context)
    }

    /// Whether the path reported congestion in this round or the last.
    private var isMarked: Bool { round - markedRound <= 1 }

    private func updateBandwidth(_ sample: RateSample, _ context: CongestionContext) {
        isRoundStart = false
        guard sample.delivered >= 0, sample.interval > 0 else { return }
        if sample.priorDelivered >= nextRoundDelivered {
            nextRoundDelivered = context.delivered
            round += 1
            isRoundStart = true
            conservesPackets = false
        }
        let rate = Double(sample.delivered) * 1e6 / Double(sample.interval)
        if !sample.isAppLimited || rate >= bottleneck {
            bandwidth.update(rate, at: round, window: BBRController.bandwidthWindowRounds)
        }
    }

    private func updateAggregation(_ sample: RateSample, _ context: CongestionContext) {
        guard sample.delivered >= 0, sample.interval > 0, sample.newlyAcknowledged > 0 else { return }
        if isRoundStart {
            aggregationRoundCount += 1
            if aggregationRoundCount >= BBRController.aggregationRounds {
                aggregationRoundCount = 0
                aggregationSlot = 1 - aggregationSlot
                if aggregationSlot == 0 { aggregation.0 = 0 } else { aggregation.1 = 0 }
            }
        }
        let elapsed = Double(context.deliveredTime - aggregationEpochStart) / 1e6
        var expected = Int(min(max(0, bottleneck * elapsed), 1e9))
        if aggregationEpochAcknowledged <= expected {
            aggregationEpochAcknowledged = 0
            aggregationEpochStart = context.deliveredTime
            expected = 0
        }
        aggregationEpochAcknowledged += sample.newlyAcknowledged
        let extra = min(aggregationEpochAcknowledged - expected, congestionWindow)
        if aggregationSlot == 0 {
            aggregation.0 = max(aggregation.0, extra)
        } else {
            aggregation.1 = max(aggregation.1, extra)
        }
    }

    private func updateCycle(_ sample: RateSample, _ context: CongestionContext) {
        guard mode == .probeBandwidth else { return }
        let isLong = context.deliveredTime - cycleStart > (minimumRoundTripTime ?? 0)
        let gain = BBRController.cycleGains[cycleIndex]
        let advances =
            gain == 1
            ? isLong
            : gain > 1
                ? isLong && (sample.newlyLost > 0 || context.inFlight > product(gain))
                : isLong || context.inFlight <= product(1)
        if advances { advanceCycle(context) }
    }

    private func advanceCycle(_ context: CongestionContext) {
        cycleIndex = (cycleIndex + 1) % BBRController.cycleGains.count
        cycleStart = context.deliveredTime
    }

    private func checkFullPipe(_ sample: RateSample) {
        guard !isPipeFull else { return }
        roundLost += sample.newlyLost
        roundDelivered += sample.newlyAcknowledged
        guard isRoundStart else { return }
        let isOverflowing =
            roundLost >= BBRController.overflowPacketCount
            && Double(roundLost) > BBRController.overflowShare * Double(roundLost + roundDelivered)
        roundLost = 0
        roundDelivered = 0
        guard !sample.isAppLimited else { return }
        if isOverflowing {
            isPipeFull = true
        } else if bottleneck >= fullBandwidth * BBRController.fullPipeGrowth {
            fullBandwidth = bottleneck
            fullCount = 0
        } else {
            fullCount += 1
            isPipeFull = fullCount >= BBRController.fullPipeRounds
        }
    }

    private func checkDrain(_ context: CongestionContext) {
        if mode == .startup, isPipeFull { mode = .drain }
        if mode == .drain, context.inFlight <= product(1) { startProbingBandwidth(context) }
    }

    private func startProbingBandwidth(_ context: CongestionContext) {
        mode = .probeBandwidth
        // Any phase but the draining one, which advancing lands on only from the first.
        phaseSeed = phaseSeed &* 1_664_525 &+ 1_013_904_223
        cycleIndex = BBRController.cycleGains.count - 1 - Int(phaseSeed >> 16) % 7
        advanceCycle(context)
    }

    private func updateMinimumRoundTripTime(_ sample: RateSample, _ context: CongestionContext) {
        let isExpired = context.now > minimumStamp + BBRController.minimumRoundTripInterval
        if sample.roundTripTime >= 0,
            minimumRoundTripTime == nil || sample.roundTripTime < minimumRoundTripTime! || isExpired
        {
            // Below a millisecond the turns of the two loops, not the path, set the pace.
            minimumRoundTripTime = max(Int64.millisecond, sample.roundTripTime)
            minimumStamp = context.now
        }
        if isExpired, !isIdleRestart, mode != .probeRoundTripTime, hasRoundTripTime {
            mode = .probeRoundTripTime
            saveWindow(context)
            probeDoneTime = nil
        }
        marksAppLimited = mode == .probeRoundTripTime
        if mode == .probeRoundTripTime {
            if let done = probeDoneTime {
                if isRoundStart { isProbeRoundDone = true }
                if isProbeRoundDone, context.now > done {
                    minimumStamp = context.now
                    congestionWindow = max(congestionWindow, savedWindow)
                    marksAppLimited = false
                    resumeAfterProbe(context)
                }
            } else if context.inFlight <= CongestionConstants.minimumWindow {
                probeDoneTime = context.now + BBRController.probeRoundTripDuration
                isProbeRoundDone = false
                nextRoundDelivered = context.delivered
            }
        }
        if sample.delivered > 0 { isIdleRestart = false }
    }

    private func resumeAfterProbe(_ context: CongestionContext) {
        if isPipeFull { startProbingBandwidth(context) } else { mode = .startup }
    }

    private func updatePacingRate(_ context: CongestionContext) {
        if !hasRoundTripTime, context.smoothedRoundTripTime > 0 {
            hasRoundTripTime = true
            pacingRate =
                Double(congestionWindow * context.payloadByteCount) * BBRController.highGain
                / (Double(max(context.smoothedRoundTripTime, Int64.millisecond)) / 1e6)
        }
        setPacingRate(gain: pacingGain, context)
    }

    private func setPacingRate(gain: Double, _ context: CongestionContext) {
        let rate = max(1, bottleneck * Double(context.payloadByteCount) * gain * BBRController.pacingMargin)
        if isPipeFull || rate > pacingRate { pacingRate = rate }
    }

    private func updateWindow(_ sample: RateSample, _ context: CongestionContext) {
        defer {
            if mode == .probeRoundTripTime {
                congestionWindow = min(congestionWindow, CongestionConstants.minimumWindow)
            }
        }
        guard sample.newlyAcknowledged > 0 else { return }
        let acknowledged = sample.newlyAcknowledged
        if sample.newlyLost > 0 { congestionWindow = max(1, congestionWindow - sample.newlyLost) }
        if context.phase == .recovery, previousPhase != .recovery {
            conservesPackets = true
            nextRoundDelivered = context.delivered
            congestionWindow = context.inFlight + acknowledged
        } else if context.phase == .open, previousPhase != .open {
            congestionWindow = max(congestionWindow, savedWindow)
            conservesPackets = false
        }
        previousPhase = context.phase
        if conservesPackets {
            congestionWindow = max(congestionWindow, context.inFlight + acknowledged)
        } else {
            var target = product(windowGain)
            if isPipeFull {
                let cap = Int(min(bottleneck * BBRController.aggregationCapMilliseconds, 1e9))
                target += min(max(aggregation.0, aggregation.1), cap)
                congestionWindow = min(congestionWindow + acknowledged, target)
            } else if congestionWindow < target || context.delivered < CongestionConstants.initialWindow {
                congestionWindow += acknowledged
            }
        }
        congestionWindow = max(CongestionConstants.minimumWindow, congestionWindow)
    }

    private func saveWindow(_ context: CongestionContext) {
        if previousPhase == .open, mode != .probeRoundTripTime {
            savedWindow = congestionWindow
        } else {
            savedWindow = max(savedWindow, congestionWindow)
        }
    }

    package func enterRecovery(_ context: CongestionContext) { saveWindow(context) }

    package func experienceCongestion(_ context: CongestionContext) {
        // The queue is beginning to fill: what is in flight goes back to what the path holds without one.
        markedRound = round
        isPipeFull = true
    }

    package func leaveRecovery(_ context: CongestionContext) {
        // The next acknowledgement, which sees the phase change, restores the window.
    }

    package func retransmissionTimedOut(_ context: CongestionContext) {
        saveWindow(context)
        previousPhase = .loss
        fullBandwidth = 0
        isRoundStart = true
    }

    package func startSending(_ context: CongestionContext) {
        guard context.isAppLimited else { return }
        isIdleRestart = true
        aggregationEpochStart = context.now
        aggregationEpochAcknowledged = 0
        switch mode {
        case .probeBandwidth:
            setPacingRate(gain: 1, context)
        case .probeRoundTripTime:
            if let done = probeDoneTime, context.now > done {
                minimumStamp = context.now
                congestionWindow = max(congestionWindow, savedWindow)
                marksAppLimited = false
                resumeAfterProbe(context)
            }
        case .startup, .drain:
            break
        }
    }
}
