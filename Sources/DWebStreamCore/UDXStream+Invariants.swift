extension UDXStream {
    /// What should never be found, in words; nil if all is well. For tests and fuzzers: it looks at every list there is.
    package var brokenInvariant: String? { machine.brokenInvariant }
}

extension UDXMachine {
    var brokenInvariant: String? {
        let outstanding = nextSequence.serialDistance(from: remoteAcknowledged)
        let counted = packets.inFlight.count + packets.lost.count + selectivelyAcknowledgedCount
        if closeReason != nil {
            return counted == 0 && writing.unacknowledgedCount == 0 ? nil : "a closed stream keeps what it sent"
        }
        if outstanding < 0 || outstanding > UDXLimits.outstandingPackets { return "\(outstanding) numbers outstanding" }
        if counted != outstanding { return "\(counted) packets for \(outstanding) outstanding numbers" }
        if packets.bytesInFlight < 0 { return "\(packets.bytesInFlight) bytes in flight" }
        if (packets.bytesInFlight == 0) != packets.inFlight.isEmpty { return "bytes in flight without packets" }
        if selectivelyAcknowledgedByteCount < 0 { return "less than nothing acknowledged selectively" }
        if receiving.waitingByteCount < 0 || receiving.waitingByteCount > receiveLimit {
            return "\(receiving.waitingByteCount) bytes wait out of order"
        }
        // What waited in full and then became readable may come on top.
        if receiving.unreadCount > 2 * receiveLimit { return "\(receiving.unreadCount) bytes unread" }
        if window.byteCount > max(options.receiveWindowByteCount, options.initialReceiveWindowByteCount) {
            return "a receive window of \(window.byteCount) bytes"
        }
        if destinations.count > UDXLimits.destinations { return "\(destinations.count) destinations" }
        if messageEventCount > UDXLimits.messageEvents { return "\(messageEventCount) messages wait" }
        if congestionWindow < 1 { return "a congestion window of \(congestionWindow)" }
        if isOutstanding, timer == .none { return "packets outstanding without a timer" }
        return nil
    }
}
