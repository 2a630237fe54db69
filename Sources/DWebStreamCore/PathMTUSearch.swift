/// Searches the largest packet that reaches the peer, with padded data packets; spec 10 section 10.1.
struct PathMTUSearch {
    enum Phase {
        case base
        case searching
        case complete
    }

    private static let base = 1_200
    private static let step = 32
    private static let tryCount = 3

    private(set) var phase = Phase.base
    /// The largest IP packet that is used for ordinary data.
    private(set) var mtu = PathMTUSearch.base
    /// Whether a probe of ``probeSize`` should be sent with the next suitable packet.
    private(set) var isProbeWanted = false
    private(set) var probeSize = PathMTUSearch.base
    private var failures = 0
    private let maximum: Int

    init(linkMTU: Int) {
        maximum = min(1_500, max(PathMTUSearch.base, linkMTU))
        if maximum == PathMTUSearch.base { phase = .complete }
    }

    /// Starts again from the base, for another path.
    mutating func reset() { self = PathMTUSearch(linkMTU: maximum) }

    /// The first acknowledgement of anything proves that the base works well enough to look further.
    mutating func noteAcknowledgement() {
        guard phase == .base else { return }
        phase = .searching
        isProbeWanted = true
    }

    /// A probe leaves.
    mutating func noteProbeSent() { isProbeWanted = false }

    /// The probe arrived.
    mutating func noteProbeAcknowledged() {
        guard phase == .searching else { return }
        mtu = max(mtu, probeSize)
        failures = 0
        if probeSize == maximum {
            phase = .complete
        } else {
            probeSize = min(probeSize + PathMTUSearch.step, maximum)
            isProbeWanted = true
        }
    }

    /// The probe was lost, which says nothing about congestion.
    mutating func noteProbeLost() {
        guard phase == .searching else { return }
        failures += 1
        if failures >= PathMTUSearch.tryCount { phase = .complete } else { isProbeWanted = true }
    }
}
