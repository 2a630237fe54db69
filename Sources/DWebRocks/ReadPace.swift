/// Whether reads of the medium are quick, which they are where the system holds the files in memory: then they are made
/// at once, since a hop to another thread and back takes several times longer than they do. One slow read ends that, and
/// so does a large value: copying and checking those is work that another thread can do meanwhile.
struct ReadPace {
    private var quickCount = 0

    /// Reads from the system's memory take about 10 us, a hop and back 50, a good medium 100, a slow one 10,000. With a
    /// higher limit, replication waits for reads that another thread could have made: measured, docs/benchmarks.md.
    static let quickTime: Duration = .microseconds(40)
    /// Values of this size lie in files of their own; spec 40 section 16.2.
    static let largeByteCount = 4_096
    private static let enoughCount = 64
    private static let scanCount = 32

    var isQuick: Bool { quickCount >= ReadPace.enoughCount }

    /// Takes note of reads that took `time` together.
    mutating func note(_ count: Int, _ time: Duration, isLarge: Bool) {
        note(count, isQuick: !isLarge && time <= ReadPace.quickTime * count)
    }

    /// Takes note of a scan of `count` entries that took `time`: from memory, some dozens of them take as long as one
    /// read.
    mutating func note(scanOf count: Int, _ time: Duration, isLarge: Bool) {
        note(count, isQuick: !isLarge && time <= ReadPace.quickTime * (2 + count / ReadPace.scanCount))
    }

    private mutating func note(_ count: Int, isQuick: Bool) {
        quickCount = isQuick ? min(ReadPace.enoughCount, quickCount + count) : 0
    }
}
