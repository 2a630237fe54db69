/// Spreads packets over time: a bucket of bytes that fills at the controller's rate; spec 10 section 9.4.
///
/// Finer than the reference's one refill per millisecond. What leaves at once after a pause is at most one segmented send,
/// or what some milliseconds bring, since more would fill the queues of a slow path. But where packets were waiting and a
/// busy host comes late, nothing of the rate is lost.
struct Pacer {
    private static let initialByteCount = 25_000.0
    private static let burstByteCount = 16.0 * 1_500
    private static let burstNanoseconds = 8.0 * 1e6
    private static let latenessNanoseconds = 100.0 * 1e6
    private static let quantumByteCount = 16.0 * 1_500
    private static let quantumNanoseconds = 1e6

    private var available = Pacer.initialByteCount
    private var refilledAt: Int64?
    private var isAwaited = false
    /// Bytes per nanosecond.
    private var rate = 1.0

    /// Whether a packet may be sent.
    var isOpen: Bool { available > 0 }

    /// Brings the bucket up to date; `rate` is in bytes per millisecond.
    mutating func refill(rate bytesPerMillisecond: Double, now: Int64) {
        rate = bytesPerMillisecond / 1e6
        if let last = refilledAt {
            let span = isAwaited ? Pacer.latenessNanoseconds : Pacer.burstNanoseconds
            let capacity = max(Pacer.burstByteCount, rate * span)
            available = min(capacity, available + Double(max(0, now - last)) * rate)
        }
        refilledAt = now
        isAwaited = false
    }

    /// Takes out a packet's bytes.
    @inline(__always)
    mutating func spend(_ byteCount: Int) { available -= Double(byteCount) }

    /// When a burst worth sending will have come together.
    mutating func reopening(now: Int64) -> Int64 {
        isAwaited = true
        let quantum = min(Pacer.quantumByteCount, max(1, rate * Pacer.quantumNanoseconds))
        let delay = min((quantum - available) / rate, 1e9)
        return now + max(1, Int64(delay.rounded(.up)))
    }
}
