import DWebEssentials

/// What the system counts about this process and a measurement needs.
enum TransportFigures {
    /// The processor time used so far, by the program and by the kernel for it.
    static var cpuSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The calls of the allocator so far; nil unless a counter was preloaded (`Tests/netlab/allocations`).
    static var allocations: Int? {
        typealias Counter = @convention(c) () -> UInt64
        guard let symbol = dlsym(nil, "dweb_allocation_count") else { return nil }
        return Int(truncatingIfNeeded: unsafeBitCast(symbol, to: Counter.self)())
    }

    /// The memory that is resident now, in bytes; nil where the system does not tell.
    static var residentByteCount: Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}

/// The middle value, and others by their share.
struct TransportDistribution {
    private let sorted: [Double]

    init(_ values: [Double]) { sorted = values.sorted() }

    func quantile(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }

    var median: Double { quantile(0.5) }
}
