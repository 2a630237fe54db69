/// What one acknowledgement says about the path; spec 10 section 9.1.
package struct RateSample {
    /// Packets delivered over ``interval``; -1 if nothing was delivered.
    package var delivered = -1
    /// Nanoseconds; -1 if it cannot be used.
    package var interval: Int64 = -1
    /// The delivered counter when the sample's packet was sent.
    package var priorDelivered = 0
    /// Packets newly acknowledged, cumulatively or selectively.
    package var newlyAcknowledged = 0
    /// Packets newly found lost.
    package var newlyLost = 0
    /// The round-trip time in nanoseconds; -1 if none was measured.
    package var roundTripTime: Int64 = -1
    /// Whether the sender had too little to send when the packet was sent.
    package var isAppLimited = false
}

/// Estimates the delivery rate; spec 10 section 9.1.
struct DeliveryRate {
    /// Packets delivered so far.
    private(set) var delivered = 0
    /// When the last packet was found delivered.
    private(set) var deliveredTime: Int64 = 0
    private var firstSentTime: Int64 = 0
    /// Whether the current stretch of sending is limited by the application, until ``delivered`` passes the mark.
    private(set) var isAppLimited = true
    private var appLimitedMark = -1

    private var priorTime: Int64 = 0
    private var sendInterval: Int64 = 0
    private var sampleTimeSent: Int64 = -1
    private var sample = RateSample()

    /// Notes that the sender has nothing more to send than is in flight.
    mutating func markAppLimited(inFlight: Int) {
        isAppLimited = true
        appLimitedMark = max(1, delivered + inFlight)
    }

    /// Stamps a packet that is about to be sent.
    mutating func stamp(_ packet: inout SentPacket, isFirst: Bool, now: Int64) {
        if isFirst {
            firstSentTime = now
            deliveredTime = now
        }
        packet.firstSentTime = firstSentTime
        packet.deliveredTime = deliveredTime
        packet.delivered = delivered
        packet.isAppLimited = isAppLimited
    }

    /// Starts the sample of one incoming packet.
    mutating func begin() {
        sample = RateSample()
        sampleTimeSent = -1
    }

    /// Takes in a packet found delivered.
    mutating func add(_ packet: SentPacket) {
        delivered += 1
        sample.newlyAcknowledged += 1
        guard packet.timeSent > sampleTimeSent else { return }
        sampleTimeSent = packet.timeSent
        sample.priorDelivered = packet.delivered
        sample.isAppLimited = packet.isAppLimited
        priorTime = packet.deliveredTime
        firstSentTime = packet.timeSent
        sendInterval = max(0, packet.timeSent - packet.firstSentTime)
    }

    /// Notes a measured round-trip time.
    mutating func addRoundTripTime(_ nanoseconds: Int64) { sample.roundTripTime = nanoseconds }

    /// Finishes the sample.
    mutating func finish(newlyLost: Int, minimumRoundTripTime: Int64, now: Int64) -> RateSample {
        if isAppLimited, delivered > appLimitedMark { isAppLimited = false }
        sample.newlyLost = newlyLost
        guard sample.newlyAcknowledged > 0 else { return sample }
        deliveredTime = now
        sample.delivered = delivered - sample.priorDelivered
        sample.interval = max(sendInterval, now - priorTime)
        if sample.interval < minimumRoundTripTime { sample.interval = -1 }
        return sample
    }
}
