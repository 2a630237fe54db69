import DWebBase

/// How many requests may be unanswered at one peer; spec 30 E.5.
///
/// The adaptive policy doubles per round trip while answers come about as fast as the fastest ones, and shrinks by an
/// eighth per round trip while they take four times as long: then they queue somewhere on the way and asking further
/// ahead only makes cancelling late.
package struct RequestWindow {
    /// The fewest requests of the adaptive policy, and of the reference's range.
    static let least = 16
    private static let most = 512

    private let policy: InFlightPolicy
    private var size: Int
    private var fastest: Int64 = .max
    private var smoothed: Int64 = 0
    private var averageByteCount = 0
    private var answersUntilShrink = 0

    /// A window under this policy.
    package init(policy: InFlightPolicy) {
        self.policy = policy
        switch policy {
        case .reference: size = RequestWindow.least
        case .adaptive(let start, let most, _): size = min(start, most)
        }
    }

    /// The smoothed time from a request to its answer, once there was one.
    var answerTime: Duration? { fastest == .max ? nil : .nanoseconds(smoothed) }

    /// The most unanswered requests at this moment.
    package func limit(transport: PeerTransport, peerCount: Int) -> Int {
        switch policy {
        case .reference:
            guard transport.isUDX else { return min(RequestWindow.most, 3 * RequestWindow.least) }
            let milliseconds = (transport.roundTripTime ?? .zero).seconds * 1000
            if milliseconds <= 50 { return RequestWindow.least }
            let share = min(1, 2 / Double(max(1, peerCount)))
            // Clamped before the conversion: the round-trip time comes from outside.
            let scaled = min(Double(RequestWindow.most), Double(RequestWindow.least) * milliseconds / 50 * share)
            return max(RequestWindow.least, Int(scaled.rounded()))
        case .adaptive(_, _, let byteCount):
            guard averageByteCount > 0 else { return size }
            return max(min(RequestWindow.least, size), min(size, byteCount / averageByteCount))
        }
    }

    /// Learns from an answer of `byteCount` bytes while `inFlight` requests were unanswered.
    package mutating func noteAnswer(after time: Duration, byteCount: Int, inFlight: Int) {
        let nanoseconds = max(1, time.wholeNanoseconds)
        smoothed = fastest == .max ? nanoseconds : smoothed + (nanoseconds - smoothed) / 8
        fastest = min(fastest, nanoseconds)
        averageByteCount = averageByteCount == 0 ? byteCount : averageByteCount + (byteCount - averageByteCount) / 8
        guard case .adaptive(_, let most, _) = policy else { return }
        // Below 100 ms the queue is short enough whatever the ratio: on a loopback the fastest answer takes nothing.
        if smoothed > 100_000_000, smoothed / 4 > fastest {
            answersUntilShrink -= 1
            if answersUntilShrink <= 0 {
                size = max(min(RequestWindow.least, most), size - size / 8)
                answersUntilShrink = size
            }
        } else if inFlight >= size - size / 4 {
            size = min(most, size + 1)
        }
    }
}
