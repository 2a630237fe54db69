#if Daemon
    /// Byte counts as people read them.
    enum ByteCountText {
        /// For example `12.3 MB`.
        static func text(_ count: UInt64) -> String {
            let units = ["B", "kB", "MB", "GB", "TB", "PB"]
            var value = Double(count)
            var unit = 0
            while value >= 1_000, unit < units.count - 1 {
                value /= 1_000
                unit += 1
            }
            if unit == 0 { return "\(count) B" }
            let tenths = (value * 10).rounded() / 10
            return "\(tenths) \(units[unit])"
        }
    }
#endif
