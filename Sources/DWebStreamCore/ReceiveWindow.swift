/// How many bytes a stream is willing to hold unread: enough for the rate at which they are read, no more; an extension,
/// docs/transport.md. Sizes are bytes, times nanoseconds.
///
/// What a reader takes within one round trip is what the path and the reader carry together. Twice that keeps both busy;
/// four times while it still grows, so that a sender that doubles its rate is never held back. It never shrinks: memory is
/// only used while a reader is slower than its sender.
struct ReceiveWindow {
    /// Below this the turns of the two loops, not the path, decide how much arrives at once.
    private static let shortestRound = Int64.millisecond
    /// The reference's window, and what sockets ask of the kernel: more under way than either holds would be lost.
    private static let unmeasuredByteCount = 4 << 20

    private(set) var byteCount: Int
    private let maximum: Int
    private var roundStart: Int64?
    private var roundReadCount = 0
    private var lastReadCount = 0

    init(initial: Int, maximum: Int) {
        self.maximum = maximum
        byteCount = min(initial, maximum)
    }

    /// Data arrived, after `readCount` bytes altogether were read.
    ///
    /// `roundTripTime` is 0 as long as none was measured, which is so at an end that never sent anything: a round is then
    /// the time that half a window takes, and the window ends at 4 MiB.
    @inline(__always)
    mutating func noteArrival(readCount: Int, roundTripTime: Int64, now: Int64) {
        guard byteCount < maximum else { return }
        guard let start = roundStart else {
            roundStart = now
            roundReadCount = readCount
            return
        }
        let taken = readCount - roundReadCount
        guard roundTripTime > 0 else {
            if taken >= byteCount / 2 {
                finishRound(min(taken, ReceiveWindow.unmeasuredByteCount / 4), readCount: readCount, now: now)
            }
            return
        }
        let round = max(roundTripTime, ReceiveWindow.shortestRound)
        let elapsed = now - start
        guard elapsed >= round else { return }
        // A reader that was busy with something else takes much at once, and not more often for that.
        finishRound(Int(Double(taken) * Double(round) / Double(elapsed)), readCount: readCount, now: now)
    }

    private mutating func finishRound(_ taken: Int, readCount: Int, now: Int64) {
        let isGrowing = taken > lastReadCount + lastReadCount / 2
        byteCount = min(maximum, max(byteCount, taken * (isGrowing ? 4 : 2)))
        lastReadCount = taken
        roundStart = now
        roundReadCount = readCount
    }
}
