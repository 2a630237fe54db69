/// A part of the key space, in unsigned byte order; spec 50 section 3.7.
///
/// A bound of zero bytes is a real bound: nothing is below it.
public struct KeyRange: Sendable, Hashable {
    /// One end of a range.
    public enum Bound: Sendable, Hashable {
        /// The key itself belongs to the range.
        case including([UInt8])
        /// The key itself does not.
        case excluding([UInt8])

        /// The key.
        public var key: [UInt8] {
            switch self {
            case .including(let key), .excluding(let key): key
            }
        }
    }

    /// Where the range starts; nil starts at the smallest key.
    public var lower: Bound?
    /// Where the range ends; nil ends after the largest key.
    public var upper: Bound?

    /// A range with explicit ends.
    public init(lower: Bound? = nil, upper: Bound? = nil) {
        self.lower = lower
        self.upper = upper
    }

    /// Every key.
    public static let all = KeyRange()

    /// Ends by the names that the living network uses: `gt` wins over `gte`, and `lt` over `lte`.
    public init(gt: [UInt8]? = nil, gte: [UInt8]? = nil, lt: [UInt8]? = nil, lte: [UInt8]? = nil) {
        lower = gt.map { .excluding($0) } ?? gte.map { .including($0) }
        upper = lt.map { .excluding($0) } ?? lte.map { .including($0) }
    }

    /// Every key that starts with `prefix`.
    public init(prefix: [UInt8]) {
        lower = .including(prefix)
        upper = KeyOrder.successor(ofPrefix: prefix).map { .excluding($0) }
    }

    /// Whether `key` lies in the range.
    public func contains(_ key: [UInt8]) -> Bool { !isBelow(key) && !isAbove(key) }

    /// Whether `key` comes before the range.
    package func isBelow(_ key: [UInt8]) -> Bool {
        switch lower {
        case nil: false
        case .including(let bound): KeyOrder.compare(key, bound) < 0
        case .excluding(let bound): KeyOrder.compare(key, bound) <= 0
        }
    }

    /// Whether `key` comes after the range.
    package func isAbove(_ key: [UInt8]) -> Bool {
        switch upper {
        case nil: false
        case .including(let bound): KeyOrder.compare(key, bound) > 0
        case .excluding(let bound): KeyOrder.compare(key, bound) >= 0
        }
    }

    /// The range as keys of a tree in which every key of this range has `prefix` before it.
    package func prefixed(_ prefix: [UInt8]) -> KeyRange {
        guard !prefix.isEmpty else { return self }
        var result = KeyRange(prefix: prefix)
        if let lower { result.lower = lower.prefixed(prefix) }
        if let upper { result.upper = upper.prefixed(prefix) }
        return result
    }
}

extension KeyRange.Bound {
    fileprivate func prefixed(_ prefix: [UInt8]) -> KeyRange.Bound {
        switch self {
        case .including(let key): .including(prefix + key)
        case .excluding(let key): .excluding(prefix + key)
        }
    }
}
