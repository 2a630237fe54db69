import DWebEssentials

/// Numbers as people read them.
enum Format {
    /// Bytes with a decimal unit, for example `12.3 MB`.
    static func bytes(_ count: UInt64) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while value >= 1_000, unit < units.count - 1 {
            value /= 1_000
            unit += 1
        }
        return unit == 0 ? "\(count) B" : "\(value.text(decimals: 1)) \(units[unit])"
    }

    /// A rate, for example `12.3 MB/s`.
    static func rate(_ bytesPerSecond: Double) -> String { bytes(UInt64(max(0, bytesPerSecond))) + "/s" }

    /// A duration, for example `1 h 02 min`, `3 min 20 s`, `4.2 s`.
    static func duration(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "-" }
        if seconds < 10 { return seconds.text(decimals: 1) + " s" }
        let whole = Int(seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3_600 { return "\(whole / 60) min \(whole % 60) s" }
        let minutes = whole / 60 % 60
        return "\(whole / 3_600) h \(minutes < 10 ? "0" : "")\(minutes) min"
    }

    /// A count of things, for example `1 peer`, `2 peers`.
    static func count(_ count: some BinaryInteger, _ noun: String) -> String {
        "\(Format.count(UInt64(count))) \(noun)\(count == 1 ? "" : "s")"
    }

    /// Counts with a thin separator, for example `100 000`.
    static func count(_ value: UInt64) -> String {
        var digits = Array(String(value))
        var index = digits.count - 3
        while index > 0 {
            digits.insert("\u{202f}", at: index)
            index -= 3
        }
        return String(digits)
    }
}
