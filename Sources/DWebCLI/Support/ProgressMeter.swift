import DWebEssentials

/// Turns counts into a line that people can watch: bytes, share, rate, time left, peers.
struct ProgressMeter {
    private let label: String
    private let total: UInt64?
    private let started: Date
    private var lastTime: Date
    private var lastBytes: UInt64
    private var rate = 0.0
    // Weight of the newest interval in the smoothed rate: follows a change within a few seconds.
    private static let smoothing = 0.3

    init(label: String, total: UInt64?, alreadyDone: UInt64 = 0, now: Date = Date()) {
        self.label = label
        self.total = total
        started = now
        lastTime = now
        lastBytes = alreadyDone
    }

    /// The line for `bytes` done so far.
    mutating func line(bytes: UInt64, peers: Int?, now: Date = Date()) -> String {
        let interval = now.timeIntervalSince(lastTime)
        if interval > 0 {
            let current = Double(bytes &- min(bytes, lastBytes)) / interval
            rate = rate == 0 ? current : rate * (1 - ProgressMeter.smoothing) + current * ProgressMeter.smoothing
            lastTime = now
            lastBytes = bytes
        }
        var parts = ["\(label) \(Format.bytes(bytes))"]
        if let total, total > 0 {
            parts[0] += " of \(Format.bytes(total)) (\(bytes * 100 / total) %)"
        }
        parts.append(Format.rate(rate))
        if let total, rate > 0, bytes < total {
            parts.append("\(Format.duration(seconds: Double(total - bytes) / rate)) left")
        }
        if let peers { parts.append(peers == 1 ? "1 peer" : "\(peers) peers") }
        return parts.joined(separator: ", ")
    }

    /// The rate over the whole time, in bytes per second.
    func averageRate(bytes: UInt64, now: Date = Date()) -> Double {
        Double(bytes) / max(0.001, now.timeIntervalSince(started))
    }
}
