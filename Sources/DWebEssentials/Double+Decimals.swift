extension Double {
    /// The number with `count` digits after the point, rounded to the nearest; at most nine digits.
    public func text(decimals count: Int) -> String {
        let digits = Swift.min(Swift.max(0, count), 9)
        guard isFinite, magnitude < 1e9 else { return "\(self)" }
        let scale = (0..<digits).reduce(UInt64(1)) { scale, _ in scale * 10 }
        let scaled = UInt64((magnitude * Double(scale)).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let rest = String(scaled % scale)
        return "\(sign)\(scaled / scale)." + String(repeating: "0", count: digits - rest.count) + rest
    }

    /// The same, with spaces before it up to `width` characters.
    public func text(decimals count: Int, width: Int) -> String { text(decimals: count).aligned(to: width) }
}
