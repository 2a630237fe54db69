import DWebBase

/// Working through acknowledgements; spec 10 section 6 steps 11 to 20 and section 8.1.
extension UDXMachine {
    mutating func handleAcknowledgement(
        _ header: UDXHeader, _ bytes: [UInt8], _ extensionStart: Int, rest: Int, _ priorAcknowledged: UInt32,
        _ hadOutstanding: Bool, _ now: Int64
    ) {
        let acknowledgement = header.acknowledgement
        updatePeerWindow(header, now)
        // Step 12.
        if let change = remoteChangeSequence, !acknowledgement.precedes(change) {
            remoteChangeSequence = nil
            events.append(.remoteChanged)
        }
        // Step 13.
        if let probe = tailLossProbe {
            let distance = acknowledgement.serialDistance(from: probe.endMark)
            if distance > 0 || (probe.isNewData && distance == 0) { tailLossProbe = nil }
        }
        if phase != .open, recoverySequence.precedes(acknowledgement) {
            phase = .open
            congestion.leaveRecovery(context(at: now))
        }
        // Step 14.
        var foundLost = 0
        if hadOutstanding { rate.begin() }
        let deliveredBefore = rate.delivered
        let advanced = priorAcknowledged.precedes(acknowledgement)
        if advanced, acknowledgeCumulatively(acknowledgement, now) { return }
        // Step 15.
        if header.flags.contains(.sack), isOutstanding {
            acknowledgeSelectively(header, bytes, extensionStart, rest, now)
        } else if header.flags.isDisjoint(with: [.data, .end, .message]) {
            isReportCutShort = false
        }
        // Step 16.
        if rate.delivered != deliveredBefore {
            mtu.noteAcknowledgement(now: now)
            if isOutstanding {
                retransmissionDue = now + roundTrip.timeout
                timer = .retransmission
                timerDeadline = retransmissionDue
                foundLost = detectLosses(now)
                // Step 17.
                if advanced, timer != .reordering { armTailLossProbe(now) }
            } else {
                armIdleTimer(now)
            }
            if isWriterBlocked, !isAboveWriteLimit {
                isWriterBlocked = false
                events.append(.drained)
            }
        }
        if notification.reacts(to: header.flags, acknowledgement: acknowledgement, nextSequence: nextSequence) {
            statistics.congestionMarks += 1
            congestion.experienceCongestion(context(at: now))
            congestionWindow = congestion.congestionWindow
        }
        // Step 19.
        if hadOutstanding {
            let sample = rate.finish(newlyLost: foundLost, minimumRoundTripTime: roundTrip.minimum, now: now)
            congestion.acknowledge(sample, context(at: now))
            congestionWindow = congestion.congestionWindow
            if congestion.marksAppLimited { rate.markAppLimited(inFlight: packets.inFlight.count) }
            // What is due now may leave before the pause that was planned at the former rate.
            paceDeadline = .max
        }
    }

    /// Step 11; spec 10 section 5.4.
    private mutating func updatePeerWindow(_ header: UDXHeader, _ now: Int64) {
        guard !header.acknowledgement.precedes(remoteAcknowledged) else { return }
        let isNewer =
            windowUpdateSequence.precedes(header.sequence)
            || (windowUpdateSequence == header.sequence
                && !header.acknowledgement.precedes(windowUpdateAcknowledgement))
        guard isNewer else { return }
        peerWindow = Int(header.window)
        windowUpdateSequence = header.sequence
        windowUpdateAcknowledgement = header.acknowledgement
        if peerWindow > 0 {
            wantsProbeOfWindow = false
            if timer == .zeroWindow { armIdleTimer(now) }
        }
    }

    /// Step 14; true if the packet needs no more attention, because it completed this side's end.
    private mutating func acknowledgeCumulatively(_ acknowledgement: UInt32, _ now: Int64) -> Bool {
        var sequence = remoteAcknowledged
        while sequence != acknowledgement {
            markAcknowledged(sequence, isCumulative: true, now)
            sequence &+= 1
        }
        let last = packets[acknowledgement &- 1]
        writing.acknowledge(upTo: last.streamOffset + Int(last.payloadCount))
        remoteAcknowledged = acknowledgement
        if !isOutstanding {
            packets.shrinkIfLarge()
            if destinations.count > 1, let destination {
                destinations = [destination]
                destinationIndex = 0
            }
        }
        guard isEndSent, !isOutstanding, !isEndAcknowledged else { return false }
        isEndAcknowledged = true
        armIdleTimer(now)
        if isRemoteEnded {
            close(.finished)
        } else {
            requestAcknowledgement()
            deliverEndIfReached()
        }
        return true
    }

    /// Step 15. Blocks repeat from packet to packet: what is known of a block is passed over in few steps, because each of
    /// its packets knows a later one up to which all were acknowledged.
    private mutating func acknowledgeSelectively(
        _ header: UDXHeader, _ bytes: [UInt8], _ extensionStart: Int, _ rest: Int, _ now: Int64
    ) {
        let count = header.sackBlockCount(rest: rest)
        let outstanding = nextSequence.serialDistance(from: remoteAcknowledged)
        var visited = 0
        for index in 0..<count {
            let block = SACKBlock(bytes, at: extensionStart + index * SACKBlock.byteCount)
            // Valid blocks lie within what is outstanding; spec 10 section 12. They ascend, so that the work for a
            // whole packet is bounded by that too.
            let start = block.start.serialDistance(from: remoteAcknowledged)
            let end = block.end.serialDistance(from: remoteAcknowledged)
            guard start >= visited, start < end, end <= outstanding else { continue }
            visited = end
            var sequence = block.start
            while sequence.precedes(block.end) {
                if packets[sequence].state == .selectivelyAcknowledged {
                    sequence = packets[sequence].next
                } else {
                    markAcknowledged(sequence, isCumulative: false, now)
                    sequence &+= 1
                    packets[sequence &- 1].next = sequence
                }
            }
            if packets[block.start].next.precedes(block.end) { packets[block.start].next = block.end }
        }
        isReportCutShort = count >= UDXLimits.sackBlocksSentPerPacket
    }

    /// Spec 10 section 8.1.
    private mutating func markAcknowledged(_ sequence: UInt32, isCumulative: Bool, _ now: Int64) {
        switch packets[sequence].state {
        case .absent:
            return
        case .selectivelyAcknowledged:
            guard isCumulative else { return }
            selectivelyAcknowledgedCount -= 1
            selectivelyAcknowledgedByteCount -= Int(packets[sequence].payloadCount)
            packets[sequence].state = .absent
            return
        case .inFlight:
            packets.removeInFlight(sequence)
        case .lost:
            packets.removeLost(sequence)
        }
        packets[sequence].state = isCumulative ? .absent : .selectivelyAcknowledged
        if !isCumulative {
            selectivelyAcknowledgedCount += 1
            selectivelyAcknowledgedByteCount += Int(packets[sequence].payloadCount)
        }
        let packet = packets[sequence]
        rate.add(packet)
        let sample = roundTrip.clamped(now - packet.timeSent)
        if !packet.isRetransmitted {
            roundTrip.update(sample, now: now)
            isTailLossProbePermitted = true
        }
        if !packet.isRetransmitted || sample >= roundTrip.minimum {
            rackRoundTripTime = sample
            rate.addRoundTripTime(sample)
            rackTime = max(rackTime, packet.timeSent)
        }
        let distance = (sequence &+ 1).serialDistance(from: highestAcknowledged)
        if distance > 0 {
            highestAcknowledged = sequence &+ 1
        } else if distance < 0, !packet.isRetransmitted {
            isReorderingSeen = true
        }
        if packet.isMarkable { notification.noteDelivery() }
        guard destinations.count == 1 else { return }
        if packet.isProbe { mtu.noteProbeAcknowledged(size: ipByteCount(of: packet), now: now) }
        if !packet.isFragmentable, isLarge(packet) { mtu.noteLargePacketAcknowledged() }
    }
}
