/// Where a stream's loss recovery stands; spec 10 section 8.
package enum RecoveryPhase: Sendable {
    /// Nothing is known to be lost.
    case open
    /// Losses were found by acknowledgements.
    case recovery
    /// The retransmission timer ran out.
    case loss
}

/// What a congestion controller may look at.
package struct CongestionContext {
    /// The current moment in nanoseconds.
    package var now: Int64 = 0
    /// Packets in flight.
    package var inFlight = 0
    /// Packets delivered since the stream began.
    package var delivered = 0
    /// Data packets sent since the stream began, again or for the first time.
    package var sent = 0
    /// When the last packet was found delivered, in nanoseconds.
    package var deliveredTime: Int64 = 0
    /// The smoothed round-trip time in nanoseconds; 0 before the first measurement.
    package var smoothedRoundTripTime: Int64 = 0
    /// The payload of a full packet in bytes.
    package var payloadByteCount = 1_152
    /// Whether the sender has too little to send.
    package var isAppLimited = false
    /// Where loss recovery stands.
    package var phase = RecoveryPhase.open
}

/// Decides how much of a stream may be in flight and how fast it leaves. Windows count packets; rates count bytes per
/// millisecond; times are nanoseconds.
package protocol CongestionController: AnyObject {
    /// The most packets in flight.
    var congestionWindow: Int { get }
    /// The pacing rate in bytes per millisecond.
    var pacingRate: Double { get }
    /// Whether the current stretch of sending has to be marked as limited by the sender, because the controller holds
    /// it back to measure.
    var marksAppLimited: Bool { get }

    /// An acknowledgement arrived while packets were in flight.
    func acknowledge(_ sample: RateSample, _ context: CongestionContext)
    /// Fast recovery begins.
    func enterRecovery(_ context: CongestionContext)
    /// The path reported congestion without losing packets; at most once per round trip.
    func experienceCongestion(_ context: CongestionContext)
    /// Recovery, fast or after a timeout, is over.
    func leaveRecovery(_ context: CongestionContext)
    /// The retransmission timer ran out.
    func retransmissionTimedOut(_ context: CongestionContext)
    /// A packet is sent while nothing was in flight.
    func startSending(_ context: CongestionContext)
}

/// Numbers that controllers share; spec 10 section 9.2.
enum CongestionConstants {
    static let initialWindow = 10
    static let minimumWindow = 4
}
