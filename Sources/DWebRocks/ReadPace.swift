/// Whether reads of the medium are quick, which they are where the system holds the files in memory: then they are made
/// at once, since a hop to another thread and back takes several times longer than they do.
///
/// Reads have an account: each is given ``quickTime`` and pays what it took. Once the account is full, reads are quick
/// until it is empty: single slow ones do not change that, and a medium that takes milliseconds does so with its first
/// read. A large value empties it too: copying and checking those is work that another thread can do meanwhile.
struct ReadPace {
    /// Reads from the system's memory take about 10 us, a hop and back 50, a good medium 100, a slow one 10,000. With a
    /// higher limit, replication waits for reads that another thread could have made: measured, docs/benchmarks.md.
    static let quickTime: Duration = .microseconds(40)
    /// Values of this size lie in files of their own; spec 40 section 16.2.
    static let largeByteCount = 4_096
    private static let scanCount = 32
    /// The most that the account holds: what 64 reads are given.
    static let fullBalance = quickTime * 64

    private var balance = Duration.zero
    private(set) var isQuick = false

    /// Takes note of reads that took `time` together.
    mutating func note(_ count: Int, _ time: Duration, isLarge: Bool) {
        balance = isLarge ? .zero : min(ReadPace.fullBalance, balance + ReadPace.quickTime * count - time)
        if balance <= .zero {
            balance = .zero
            isQuick = false
        } else if balance == ReadPace.fullBalance {
            isQuick = true
        }
    }

    /// Takes note of a scan of `count` entries that took `time`: from memory, some dozens of them take as long as one
    /// read.
    mutating func note(scanOf count: Int, _ time: Duration, isLarge: Bool) {
        note(2 + count / ReadPace.scanCount, time, isLarge: isLarge)
    }
}
