import DequeModule

/// The newest samples of what moved, for plots.
public struct TrafficHistory: Sendable {
    /// One moment.
    public struct Sample: Sendable, Hashable {
        /// When, in milliseconds since 1970.
        public let milliseconds: UInt64
        /// Bytes of blocks that came in a second.
        public let downloadRate: UInt64
        /// Bytes of blocks that went in a second.
        public let uploadRate: UInt64
        /// Connections.
        public let peerCount: Int
    }

    /// The samples, oldest first.
    public var samples: [Sample] { Array(ring) }

    private var ring = Deque<Sample>()

    init() {}

    mutating func add(_ sample: Sample) {
        if ring.count == DaemonConstants.historyCount { ring.removeFirst() }
        ring.append(sample)
    }
}
