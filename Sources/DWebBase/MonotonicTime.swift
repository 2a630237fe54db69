/// A moment on a clock that only goes forward: nanoseconds since an origin that the runtime chose.
///
/// Cores receive it as `now`; they never read a clock.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Nanoseconds since the origin.
    public var nanoseconds: Int64

    /// The origin.
    public static let zero = MonotonicTime(nanoseconds: 0)
    /// Later than every moment that occurs.
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    /// A moment by nanoseconds since the origin.
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// A moment by milliseconds since the origin.
    public init(milliseconds: Int64) { self.nanoseconds = milliseconds * 1_000_000 }

    /// Whole milliseconds since the origin.
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }

    /// The moment that lies `duration` later.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &+ duration.wholeNanoseconds)
    }

    /// The moment that lies `duration` earlier.
    public static func - (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &- duration.wholeNanoseconds)
    }

    /// The duration from `earlier` to `later`; negative if they are the other way round.
    public static func - (later: MonotonicTime, earlier: MonotonicTime) -> Duration {
        .nanoseconds(later.nanoseconds - earlier.nanoseconds)
    }

    /// Earlier is less.
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Duration {
    /// The duration in nanoseconds, without its fraction below one; saturates at the ends of `Int64`.
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in seconds as a floating-point number.
    public var seconds: Double { Double(wholeNanoseconds) / 1e9 }
}
