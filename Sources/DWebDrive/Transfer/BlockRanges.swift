/// A bounded number of ranges of blocks, merged where they touch.
struct BlockRanges: Sendable {
    private(set) var ranges: [Range<UInt64>] = []
    private let limit: Int

    /// At most `limit` ranges; further ones are left out.
    init(limit: Int) { self.limit = limit }

    /// Adds a range. Ranges that come in order are merged at once.
    mutating func add(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        if let last = ranges.last, last.lowerBound <= range.lowerBound, last.upperBound >= range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else if ranges.count < limit {
            ranges.append(range)
        }
    }

    /// The ranges in ascending order, without overlaps.
    var merged: [Range<UInt64>] {
        var result: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, last.upperBound >= range.lowerBound {
                result[result.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                result.append(range)
            }
        }
        return result
    }
}
