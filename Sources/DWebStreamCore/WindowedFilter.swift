/// A running minimum or maximum over a window of time or rounds, after Kathleen Nichols: the best three values in
/// order.
struct WindowedFilter<Value: Comparable> {
    /// Which extreme is kept.
    enum Extreme {
        case minimum
        case maximum
    }

    private struct Entry {
        var time: Int64
        var value: Value
    }

    private let extreme: Extreme
    private var best: Entry
    private var second: Entry
    private var third: Entry

    /// Starts with `initial`.
    init(_ extreme: Extreme, initial: Value) {
        let entry = Entry(time: 0, value: initial)
        (best, second, third) = (entry, entry, entry)
        self.extreme = extreme
    }

    private func isBetter(_ left: Value, _ right: Value) -> Bool {
        switch extreme {
        case .minimum: left <= right
        case .maximum: left >= right
        }
    }

    /// The best value of the window.
    var value: Value { best.value }

    /// Forgets the past.
    mutating func reset(_ value: Value, at time: Int64) {
        let entry = Entry(time: time, value: value)
        (best, second, third) = (entry, entry, entry)
    }

    /// Takes in a measurement.
    mutating func update(_ value: Value, at time: Int64, window: Int64) {
        let entry = Entry(time: time, value: value)
        if isBetter(value, best.value) || time - third.time > window {
            (best, second, third) = (entry, entry, entry)
            return
        }
        if isBetter(value, second.value) {
            (second, third) = (entry, entry)
        } else if isBetter(value, third.value) {
            third = entry
        }
        let age = time - best.time
        if age > window {
            (best, second, third) = (second, third, entry)
            if time - best.time > window { (best, second, third) = (second, third, entry) }
        } else if second.time == best.time, age > window / 4 {
            (second, third) = (entry, entry)
        } else if third.time == second.time, age > window / 2 {
            third = entry
        }
    }
}
