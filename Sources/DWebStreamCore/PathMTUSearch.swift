/// Searches the largest packet that reaches the peer, with padded data packets, and notices when a path has shrunk;
/// spec
/// 10 section 10.1 and RFC 8899. Sizes are those of IP packets, in bytes; times are nanoseconds.
struct PathMTUSearch {
    enum Phase {
        case base
        case searching
        case complete
    }

    /// Every path is expected to carry packets of this size.
    static let base = 1_200
    private static let step = 32
    private static let tryCount = 3
    /// How long to be content before looking whether the path has grown.
    private static let raiseInterval = 600_000 * Int64.millisecond
    /// Times that large packets were found lost, with none of them arriving in between, that mean a smaller path.
    private static let lossLimit = 3
    private static let lossLimitAtTimeout = 2

    private(set) var phase = Phase.base
    /// The largest IP packet that is used for ordinary data.
    private(set) var mtu = PathMTUSearch.base
    /// Whether a probe of ``probeSize`` should be sent with the next suitable packet.
    private(set) var isProbeWanted = false
    private(set) var probeSize = PathMTUSearch.base
    /// Times that the path was found to have shrunk.
    private(set) var fallbackCount = 0
    private var failures = 0
    private var raiseTime = Int64.max
    private var largeLosses = 0
    private let maximum: Int

    init(linkMTU: Int) {
        maximum = min(1_500, max(PathMTUSearch.base, linkMTU))
        if maximum == PathMTUSearch.base { phase = .complete }
    }

    /// Starts again from the base, for another path.
    mutating func reset() {
        let count = fallbackCount
        self = PathMTUSearch(linkMTU: maximum)
        fallbackCount = count
    }

    /// Something was acknowledged: the first time, that proves that the base works well enough to look further.
    @inline(__always)
    mutating func noteAcknowledgement(now: Int64) {
        switch phase {
        case .base: search(from: PathMTUSearch.base)
        case .searching: break
        case .complete: if now >= raiseTime { search(from: mtu + PathMTUSearch.step) }
        }
    }

    private mutating func search(from size: Int) {
        phase = .searching
        probeSize = min(size, maximum)
        failures = 0
        isProbeWanted = true
        raiseTime = .max
    }

    private mutating func complete(now: Int64) {
        phase = .complete
        raiseTime = mtu < maximum ? now + PathMTUSearch.raiseInterval : .max
    }

    /// A probe leaves.
    mutating func noteProbeSent() { isProbeWanted = false }

    /// The probe of `size` arrived.
    mutating func noteProbeAcknowledged(size: Int, now: Int64) {
        // A probe of before a fallback says nothing about the path of today.
        guard phase == .searching, size == probeSize else { return }
        mtu = max(mtu, size)
        failures = 0
        if probeSize == maximum {
            complete(now: now)
        } else {
            probeSize = min(probeSize + PathMTUSearch.step, maximum)
            isProbeWanted = true
        }
    }

    /// The probe of `size` was lost, which says nothing about congestion.
    mutating func noteProbeLost(size: Int, now: Int64) {
        guard phase == .searching, size == probeSize else { return }
        failures += 1
        if failures >= PathMTUSearch.tryCount { complete(now: now) } else { isProbeWanted = true }
    }

    /// A packet larger than the base arrived in one piece.
    @inline(__always)
    mutating func noteLargePacketAcknowledged() { largeLosses = 0 }

    /// Packets larger than the base were found lost together; true if the path no longer carries them, so that
    /// everything starts again from the base.
    mutating func noteLargePacketsLost(atTimeout: Bool) -> Bool {
        guard mtu > PathMTUSearch.base else { return false }
        largeLosses += 1
        let limit = atTimeout ? PathMTUSearch.lossLimitAtTimeout : PathMTUSearch.lossLimit
        guard largeLosses >= limit else { return false }
        reset()
        fallbackCount += 1
        return true
    }
}
