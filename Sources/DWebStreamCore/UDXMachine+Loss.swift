import DWebBase

/// Loss detection and timers; spec 10 sections 8.2 to 8.7.
extension UDXMachine {
    private static let initialTailLossDelay = 1_000 * Int64.millisecond
    private static let singlePacketDelay = 2 * Int64.millisecond
    /// Shorter than this a probe would only find a busy peer.
    private static let minimumTailLossDelay = 5 * Int64.millisecond
    private static let timeoutLimit: UInt8 = 6

    /// Spec 10 section 8.2.
    private var reorderWindow: Int64 {
        if !isReorderingSeen, phase != .open || selectivelyAcknowledgedCount >= 3 { return 0 }
        return min(roundTrip.minimum / 4, roundTrip.smoothed)
    }

    /// Spec 10 section 8.3; returns how many packets were found lost. Arms the reordering timer if some may be.
    mutating func detectLosses(_ now: Int64) -> Int {
        guard rackTime >= 0, !packets.inFlight.isEmpty else { return 0 }
        let slack = rackRoundTripTime + reorderWindow - now
        var lostCount = 0
        var probeCount = 0
        var hasLostLarge = false
        var delay: Int64 = 0
        var remaining = packets.inFlight.count
        var sequence = packets.inFlight.head
        while remaining > 0, packets[sequence].timeSent < rackTime {
            let next = packets[sequence].next
            let wait = packets[sequence].timeSent + slack
            if wait > 0 {
                delay = max(delay, wait)
            } else if isReportCutShort, !sequence.precedes(highestAcknowledged), !packets[sequence].isRetransmitted {
                // It may have arrived: the peer's report, which has no more than 50 blocks, did not get that far.
            } else {
                if packets[sequence].isProbe {
                    probeCount += 1
                } else if isLarge(packets[sequence]) {
                    hasLostLarge = true
                }
                markLost(sequence, now)
                lostCount += 1
            }
            sequence = next
            remaining -= 1
        }
        if lostCount > probeCount, phase == .open {
            phase = .recovery
            recoverySequence = nextSequence
            tailLossProbe = nil
            isTailLossProbeDue = false
            statistics.fastRecoveries += 1
            congestion.enterRecovery(context(at: now))
            congestionWindow = congestion.congestionWindow
        }
        if hasLostLarge { noteLargeLoss(atTimeout: false) }
        if delay > 0 {
            timer = .reordering
            timerDeadline = now + delay
        }
        return max(0, lostCount - probeCount)
    }

    private mutating func markLost(_ sequence: UInt32, _ now: Int64) {
        packets.removeInFlight(sequence)
        if packets[sequence].isProbe {
            let size = ipByteCount(of: packets[sequence])
            packets[sequence].isProbe = false
            packets[sequence].padding = 0
            if destinations.count == 1 { mtu.noteProbeLost(size: size, now: now) }
        }
        packets.appendLost(sequence)
    }

    /// The size of the IP packet that carries `packet` to the current remote.
    func ipByteCount(of packet: SentPacket) -> Int {
        (destination?.overhead ?? 48) + Int(packet.payloadCount) + Int(packet.padding)
    }

    /// Whether a path that only carries what every path does would lose `packet`.
    @inline(__always)
    func isLarge(_ packet: SentPacket) -> Bool { ipByteCount(of: packet) > PathMTUSearch.base }

    /// Falls back to small packets if the large ones do not arrive any more. What was numbered already keeps its size,
    /// so that it is sent again in a form that routers may cut; spec 10 section 10.1.
    private mutating func noteLargeLoss(atTimeout: Bool) {
        guard destinations.count == 1 else { return }
        _ = mtu.noteLargePacketsLost(atTimeout: atTimeout)
    }

    /// Spec 10 section 8.4: waits for the end of a flight, or else for the retransmission timer.
    mutating func armTailLossProbe(_ now: Int64) {
        guard phase == .open, selectivelyAcknowledgedCount == 0, isOutstanding else {
            armRetransmission()
            return
        }
        var delay = UDXMachine.initialTailLossDelay
        if roundTrip.smoothed > 0 {
            delay = max(2 * roundTrip.smoothed, UDXMachine.minimumTailLossDelay)
            if nextSequence &- remoteAcknowledged == 1 { delay += UDXMachine.singlePacketDelay }
        }
        timer = .tailLoss
        timerDeadline = min(now + delay, retransmissionDue)
    }

    private mutating func armRetransmission() {
        timer = .retransmission
        timerDeadline = retransmissionDue
    }

    /// The timer of a stream that has nothing outstanding; spec 10 sections 8.6 and 8.7.
    mutating func armIdleTimer(_ now: Int64) {
        if peerWindow == 0, hasUnsent {
            if timer != .zeroWindow {
                timer = .zeroWindow
                timerDeadline = now + roundTrip.timeout
            }
        } else if let interval = keepAliveNanoseconds, destination != nil {
            timer = .keepAlive
            timerDeadline = now + interval
        } else {
            timer = .none
            timerDeadline = .max
        }
    }

    /// Runs what is due.
    mutating func wake(now: Int64) {
        if paceDeadline <= now { paceDeadline = .max }
        if idleDeadline <= now {
            destroy(.timedOut)
            return
        }
        // A tail loss probe that is not permitted falls back to a timer that may be due as well.
        for _ in 0..<2 where timerDeadline <= now && closeReason == nil {
            switch timer {
            case .none:
                timerDeadline = .max
            case .retransmission:
                retransmissionTimedOut(now)
            case .reordering:
                armRetransmission()
                _ = detectLosses(now)
            case .tailLoss:
                armRetransmission()
                guard tailLossProbe == nil, isTailLossProbePermitted else { continue }
                isTailLossProbeDue = true
                isTailLossProbePermitted = false
                retransmissionDue = now + roundTrip.timeout
                armRetransmission()
            case .zeroWindow:
                wantsProbeOfWindow = true
                timerDeadline = now + 2 * roundTrip.timeout
            case .keepAlive:
                controls.append(ControlPacket(header: controlHeader(.heartbeat)))
                armIdleTimer(now)
            }
        }
    }

    /// Spec 10 section 8.5.
    private mutating func retransmissionTimedOut(_ now: Int64) {
        statistics.retransmissionTimeouts += 1
        let slack = rackRoundTripTime + (isReorderingSeen ? reorderWindow : 0) - now
        let context = context(at: now)
        recoverySequence = nextSequence
        phase = .loss
        tailLossProbe = nil
        isTailLossProbeDue = false
        notification.noteTimeout()
        packets.resetLost()
        var hasLostLarge = false
        var sequence = remoteAcknowledged
        var isOldest = true
        while sequence != nextSequence {
            switch packets[sequence].state {
            case .lost:
                packets.appendLost(sequence)
                isOldest = false
            case .inFlight:
                if isOldest || packets[sequence].timeSent + slack < 0 {
                    guard packets[sequence].timeoutCount < UDXMachine.timeoutLimit else {
                        close(.timedOut)
                        return
                    }
                    packets[sequence].timeoutCount += 1
                    if isOldest, !packets[sequence].isProbe, isLarge(packets[sequence]) { hasLostLarge = true }
                    markLost(sequence, now)
                }
                isOldest = false
            case .absent, .selectivelyAcknowledged:
                break
            }
            sequence &+= 1
        }
        if hasLostLarge { noteLargeLoss(atTimeout: true) }
        congestion.retransmissionTimedOut(context)
        congestionWindow = congestion.congestionWindow
        retransmissionDue = now + 2 * roundTrip.timeout
        armRetransmission()
    }
}
