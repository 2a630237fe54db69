import DWebBase
import DequeModule

/// Building packets; spec 10 section 7.
extension UDXMachine {
    /// Appends whatever may leave now, up to about `budget` packets, and ends the turn: a partial packet leaves too.
    ///
    /// Returns the number of packets.
    mutating func transmit(into output: inout UDXOutput, now: Int64, budget: Int) -> Int {
        guard let destination else { return 0 }
        var count = 0
        while let control = controls.popFirst() {
            emit(control, to: destination, into: &output)
            count += 1
        }
        queuedMessageCount = 0
        guard closeReason == nil else {
            count += emitDueAcknowledgement(destination, into: &output)
            return count
        }
        if wantsProbeOfWindow { count += probePeerWindow(destination, now, into: &output) }
        // Bytes that leave now carry the acknowledgement; gaps need a packet of their own.
        if receiving.hasGap || options.acknowledgesEveryPacket {
            count += emitDueAcknowledgement(destination, into: &output)
        }
        if isTailLossProbeDue { count += sendTailLossProbe(destination, now, into: &output) }
        if !packets.lost.isEmpty || hasUnsent {
            count += sendPaced(destination, now, budget: max(1, budget - count), into: &output)
        }
        count += emitDueAcknowledgement(destination, into: &output)
        if !isOutstanding, timer == .none || (timer == .keepAlive && peerWindow == 0 && hasUnsent) {
            armIdleTimer(now)
        }
        if let idleNanoseconds, idleDeadline == .max { idleDeadline = now &+ idleNanoseconds }
        return count
    }

    private mutating func emit(_ control: ControlPacket, to destination: UDXDestination, into output: inout UDXOutput) {
        // What was read since the packet was queued counts already.
        announcedWindow = receiveWindow
        var header = control.header
        header.window = UInt32(clamping: announcedWindow)
        if notification.isEnabled { header.flags.formUnion(notification.takeFlags()) }
        output.append(on: destination.socket, to: destination.address) { bytes in
            header.append(to: &bytes)
            for block in control.blocks { block.append(to: &bytes) }
            if !control.payload.isEmpty { bytes.append(contentsOf: control.payload) }
        }
        statistics.packetsSent += 1
        statistics.bytesSent +=
            UDXHeader.byteCount + control.blocks.count * SACKBlock.byteCount + control.payload.count
    }

    private mutating func emitDueAcknowledgement(_ destination: UDXDestination, into output: inout UDXOutput) -> Int {
        guard isAcknowledgementDue else { return 0 }
        isAcknowledgementDue = false
        inOrderSinceAcknowledgement = 0
        var count = 0
        repeat {
            emit(acknowledgement(), to: destination, into: &output)
            count += 1
        } while receiving.hasUnreported && count < UDXLimits.sackPacketsPerAnswer
        return count
    }

    /// Spec 10 section 8.6.
    private mutating func probePeerWindow(
        _ destination: UDXDestination, _ now: Int64, into output: inout UDXOutput
    ) -> Int {
        wantsProbeOfWindow = false
        guard peerWindow == 0, !isOutstanding else { return 0 }
        armIdleTimer(now)
        emit(ControlPacket(header: controlHeader(.heartbeat)), to: destination, into: &output)
        return 1
    }

    /// Spec 10 section 8.4: one new packet, or else the last outstanding one again.
    private mutating func sendTailLossProbe(
        _ destination: UDXDestination, _ now: Int64, into output: inout UDXOutput
    ) -> Int {
        isTailLossProbeDue = false
        guard isOutstanding else { return 0 }
        if hasUnsent, nextSequence.serialDistance(from: remoteAcknowledged) < UDXLimits.outstandingPackets {
            let sequence = nextSequence
            sendNew(destination, now, mayProbe: false, into: &output)
            tailLossProbe = (sequence, true)
        } else {
            let last = nextSequence &- 1
            guard packets[last].state == .inFlight else { return 0 }
            packets.removeInFlight(last)
            resend(last, now, into: &output)
            tailLossProbe = (last, false)
        }
        statistics.tailLossProbes += 1
        return 1
    }

    /// Lost packets first, then new ones, as far as window, congestion window and pace allow; spec 10 section 5.4.
    private mutating func sendPaced(
        _ destination: UDXDestination, _ now: Int64, budget: Int, into output: inout UDXOutput
    ) -> Int {
        pacer.refill(rate: congestion.pacingRate, now: now)
        paceDeadline = .max
        var count = 0
        while !packets.lost.isEmpty, packets.inFlight.count < congestionWindow, pacer.isOpen, count < budget {
            let sequence = packets.lost.head
            packets.removeLost(sequence)
            resend(sequence, now, into: &output)
            pacer.spend(packets[sequence].byteCount)
            count += 1
        }
        let payloadLimit = payloadByteCount
        let windowPackets = peerWindow == 0 ? 0 : max(1, peerWindow / payloadLimit)
        let limit = min(congestionWindow, windowPackets)
        // What waits behind a hole fills the peer's memory though it is no longer in flight.
        let outstandingLimit = min(windowPackets + UDXLimits.packetsBeyondWindow, UDXLimits.outstandingPackets)
        var sentNew = 0
        while hasUnsent, packets.inFlight.count < limit, pacer.isOpen, count < budget,
            nextSequence.serialDistance(from: remoteAcknowledged) < outstandingLimit
        {
            let sequence = nextSequence
            sendNew(destination, now, mayProbe: true, into: &output)
            pacer.spend(packets[sequence].byteCount)
            count += 1
            sentNew += 1
        }
        if sentNew > 0 {
            isAcknowledgementDue = false
            inOrderSinceAcknowledgement = 0
            announcedWindow = receiveWindow
            if timer != .reordering, tailLossProbe == nil { armTailLossProbe(now) }
        }
        if !pacer.isOpen, !packets.lost.isEmpty || hasUnsent { paceDeadline = pacer.reopening(now: now) }
        return count
    }

    /// Sends the next new packet.
    private mutating func sendNew(
        _ destination: UDXDestination, _ now: Int64, mayProbe: Bool, into output: inout UDXOutput
    ) {
        let sequence = nextSequence
        packets.reserve(nextSequence.serialDistance(from: remoteAcknowledged) + 1, from: remoteAcknowledged)
        let payload = writing.take(payloadByteCount)
        var packet = SentPacket()
        packet.streamOffset = payload.streamOffset
        packet.chunkIndex = payload.chunkIndex
        packet.payloadCount = UInt16(payload.count)
        packet.destination = UInt16(destinationIndex)
        if payload.count > 0 { packet.flags.insert(.data) }
        if isEnding, writing.unsentCount == 0 {
            packet.flags.insert(.end)
            isEndSent = true
        }
        if mayProbe, mtu.isProbeWanted, payload.count > 0, remoteChangeSequence == nil {
            let padding = mtu.probeSize - destination.overhead - payload.count
            if padding >= 0, padding <= 255 {
                packet.padding = UInt8(padding)
                packet.isProbe = true
                mtu.noteProbeSent()
            }
        }
        packets[sequence] = packet
        if !isOutstanding {
            congestion.startSending(context(at: now))
            retransmissionDue = now + roundTrip.timeout
        }
        nextSequence &+= 1
        dispatch(sequence, isFirst: nextSequence &- remoteAcknowledged == 1, now, into: &output)
    }

    /// Sends a packet again that is in no list.
    private mutating func resend(_ sequence: UInt32, _ now: Int64, into output: inout UDXOutput) {
        packets[sequence].isRetransmitted = true
        packets[sequence].padding = 0
        packets[sequence].isProbe = false
        // A packet keeps its number and so its bytes. Where it may have become too large, it may be cut.
        packets[sequence].isFragmentable =
            ipByteCount(of: packets[sequence]) > mtu.mtu || (phase == .loss && isLarge(packets[sequence]))
        statistics.retransmissions += 1
        dispatch(sequence, isFirst: false, now, into: &output)
    }

    private mutating func dispatch(_ sequence: UInt32, isFirst: Bool, _ now: Int64, into output: inout UDXOutput) {
        if writing.unsentCount < payloadByteCount, packets.lost.isEmpty, packets.inFlight.count < congestionWindow {
            rate.markAppLimited(inFlight: packets.inFlight.count)
        }
        rate.stamp(&packets[sequence], isFirst: isFirst, now: now)
        lastTimeSent = max(now, lastTimeSent + 1)
        packets[sequence].timeSent = lastTimeSent
        packets.appendInFlight(sequence)
        dataPacketsSent += 1
        let mark = notification.mark
        packets[sequence].isMarkable = mark != .notCapable
        let packet = packets[sequence]
        let target = destinations[Int(packet.destination)]
        let header = UDXHeader(
            flags: packet.flags.union(notification.takeFlags()), dataOffset: packet.padding, streamID: target.remoteID,
            window: UInt32(clamping: receiveWindow), sequence: sequence, acknowledgement: receiving.nextSequence)
        output.append(
            on: target.socket, to: target.address, congestionMark: mark, isFragmentable: packet.isFragmentable
        ) { bytes in
            header.append(to: &bytes)
            if packet.padding > 0 { bytes.append(contentsOf: repeatElement(0, count: Int(packet.padding))) }
            if packet.payloadCount > 0 {
                writing.copy(
                    Int(packet.payloadCount), from: packet.streamOffset, chunkIndex: packet.chunkIndex, into: &bytes)
            }
        }
        statistics.packetsSent += 1
        statistics.bytesSent += packet.byteCount + Int(packet.padding)
    }
}
