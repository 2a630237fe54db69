import DWebBase

/// Taking in packets; spec 10 section 6, whose step numbers are given.
extension UDXMachine {
    /// Processes the packet in `datagram` of `bytes`, whose header was decoded.
    mutating func handle(
        _ header: UDXHeader, in bytes: [UInt8], _ datagram: Range<Int>, mark: CongestionMark = .notCapable, now: Int64
    ) {
        guard closeReason == nil else { return }
        statistics.packetsReceived += 1
        statistics.bytesReceived += datagram.count
        let flags = header.flags
        if let idleNanoseconds { idleDeadline = now &+ idleNanoseconds }
        if notification.isEnabled, notification.noteArrival(flags, mark) { requestAcknowledgement() }
        // Step 4.
        let priorAcknowledged = remoteAcknowledged
        let hadOutstanding = isOutstanding
        // Step 5.
        if flags.contains(.heartbeat) {
            requestAcknowledgement()
            return
        }
        // Step 6.
        let extensionStart = datagram.lowerBound + UDXHeader.byteCount
        let rest = datagram.upperBound - extensionStart
        guard Int(header.dataOffset) <= rest else { return }
        let payload = (extensionStart + Int(header.dataOffset))..<datagram.upperBound
        // Steps 7 to 9.
        let carriesNumber = !flags.isDisjoint(with: [.data, .end])
        if flags.rawValue & 0x1b != 0 {
            if carriesNumber,
                header.sequence.serialDistance(from: receiving.nextSequence) >= UDXLimits.reorderDistance
            {
                // Nothing of it is used, but like every data packet it is answered; spec 10 section 12.
                requestAcknowledgement()
                return
            }
            guard takeIn(header, bytes, payload) else { return }
        }
        // Step 10: it acknowledges what was never sent.
        guard !nextSequence.precedes(header.acknowledgement) else { return }
        handleAcknowledgement(header, bytes, extensionStart, rest: rest, priorAcknowledged, hadOutstanding, now)
        guard closeReason == nil else { return }
        // Step 18.
        if carriesNumber {
            window.noteArrival(
                readCount: receiving.deliveredCount - receiving.unreadCount, roundTripTime: roundTrip.minimum, now: now)
            requestAcknowledgement()
            deliverEndIfReached()
        }
    }

    /// Steps 7 to 9; false if the stream closed.
    private mutating func takeIn(_ header: UDXHeader, _ bytes: [UInt8], _ payload: Range<Int>) -> Bool {
        let flags = header.flags
        let sequence = header.sequence
        if !sequence.precedes(receiving.nextSequence) {
            if !flags.isDisjoint(with: [.data, .end]) { takeInNumbered(flags, sequence, bytes, payload) }
            if flags.contains(.destroy) {
                close(.reset)
                return false
            }
        } else if !flags.isDisjoint(with: [.data, .end]) {
            statistics.duplicatesReceived += 1
        }
        if flags.contains(.message), messageEventCount < UDXLimits.messageEvents {
            messageEventCount += 1
            events.append(.message(Array(bytes[payload])))
        }
        return true
    }

    private mutating func takeInNumbered(
        _ flags: UDXPacketFlags, _ sequence: UInt32, _ bytes: [UInt8], _ payload: Range<Int>
    ) {
        guard !isRemoteEnded else { return }
        if let end = remoteEndSequence, end.precedes(sequence) { return }
        let expected = receiving.nextSequence
        let unread = receiving.unreadCount
        if sequence == expected, !receiving.contains(sequence) {
            // Only a peer that disregards the window gets there.
            guard unread + payload.count <= receiveLimit else { return }
            // An end without data has nothing to deliver: whatever follows its header is not stream bytes.
            receiving.appendInOrder(
                bytes, flags.contains(.data) ? payload : payload.upperBound..<payload.upperBound)
        } else if receiving.contains(sequence) {
            statistics.duplicatesReceived += 1
        } else {
            let kept = flags.contains(.data) ? bytes[payload] : []
            guard receiving.insert(sequence, payload: kept, limit: receiveLimit) else { return }
        }
        if flags.contains(.end), remoteEndSequence == nil { remoteEndSequence = sequence }
        if receiving.hasGap, receiving.nextSequence != expected { receiving.drain(upTo: remoteEndSequence) }
        if receiving.unreadCount > unread, !isReadableReported {
            isReadableReported = true
            events.append(.readable)
        }
    }

    /// Makes sure that an acknowledgement leaves with the next transmission.
    ///
    /// One covers a whole batch of packets in order, but no more than 64; the strict policy keeps one for each.
    mutating func requestAcknowledgement() {
        inOrderSinceAcknowledgement += 1
        let limit = options.acknowledgesEveryPacket ? 1 : 64
        if inOrderSinceAcknowledgement >= limit, destination != nil {
            for _ in 0..<UDXLimits.sackPacketsPerAnswer {
                controls.append(acknowledgement())
                if !receiving.hasUnreported { break }
            }
            isAcknowledgementDue = false
            inOrderSinceAcknowledgement = 0
        } else {
            isAcknowledgementDue = true
        }
    }

    /// An acknowledgement of everything received so far, as far as it fits into one packet.
    mutating func acknowledgement() -> ControlPacket {
        var packet = ControlPacket(header: controlHeader(receiving.hasGap ? .sack : []))
        if receiving.hasGap { packet.blocks = receiving.takeReport(limit: UDXLimits.sackBlocksSentPerPacket) }
        return packet
    }
}
