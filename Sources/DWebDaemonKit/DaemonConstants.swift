/// Bounds and intervals of the daemon. None of them is prescribed by the network.
package enum DaemonConstants {
    /// How often counters are read, rates computed and plans checked.
    package static let tickInterval: Duration = .seconds(2)
    /// How many ticks are remembered for plots: ten minutes.
    static let historyCount = 300
    /// How often the bytes of a log that is not whole are counted, at most: counting walks its tree.
    static let measureInterval: Duration = .seconds(10)
    /// The wait before a seed or list that failed is tried again: the first, and the longest.
    static let retryInterval: (first: Duration, last: Duration) = (.seconds(5), .seconds(300))
    /// How long a wait for a first block goes on before it is begun anew.
    static let firstBlockWait: Duration = .seconds(3_600)
    /// Topics that are joined at the same time: each is a query of its own to many nodes.
    static let parallelJoinCount = 16
    /// How often a disk that refused is tried again.
    static let reopenInterval: Duration = .seconds(15)
    /// How often the times of last activity are written.
    static let activityInterval: Duration = .seconds(600)
    /// Bytes of a note.
    static let noteByteCount = 1_024
    /// Topics that may be configured, besides those of seeds.
    static let topicCount = 100_000
    /// Lists that may be followed.
    static let listCount = 64
    /// Events that wait for one watcher.
    static let eventCount = 256
    /// Holders that a report lists per seed.
    static let holderCount = 64
}
