import DWebDatabase

extension DTree {
    /// Entries in the order of keys; see ``DTree/entries(in:isReversed:limit:_:)``.
    public struct Entries: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Entry
        /// How the sequence fails.
        public typealias Failure = DTreeError

        let tree: DTree
        let range: KeyRange
        let isReversed: Bool
        let limit: Int?
        let options: ReadOptions

        /// An independent pass over the entries.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

        /// One pass over the entries.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let sequence: Entries
            private var walk: (cursor: TreeCursor, view: TreeView)?
            private let readAhead = ScanAhead()
            private var rest: Int
            private var ahead: [Entry] = []
            private var aheadOffset = 0
            // Grows from one, so that a reader of few entries does not pay for many.
            private var chunkCount = 4
            private var givenCount = 0

            init(_ sequence: Entries) {
                self.sequence = sequence
                rest = Swift.max(0, sequence.limit ?? .max)
            }

            /// The next entry, or nil at the end.
            ///
            /// - Throws: ``DTreeError`` as ``DTree/get(_:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DTreeError) -> Entry? {
                if aheadOffset == ahead.count {
                    guard rest > 0 else { return nil }
                    try await fill()
                    guard !ahead.isEmpty else {
                        rest = 0
                        return nil
                    }
                }
                defer { aheadOffset += 1 }
                return sequence.tree.local(ahead[aheadOffset])
            }

            private mutating func fill() async throws(DTreeError) {
                let engine = sequence.tree.engine
                var current: (cursor: TreeCursor, view: TreeView)
                if let walk {
                    current = walk
                } else {
                    let view = try await engine.prepare(sequence.tree.view, sequence.options)
                    current = (
                        TreeCursor(version: view.version, range: sequence.range, isReversed: sequence.isReversed), view
                    )
                }
                walk = nil
                let count = Swift.min(rest, chunkCount)
                // A few times what was taken so far, so that nobody pays for much more than he takes.
                let horizon = Swift.min(Swift.max(16, 4 * givenCount), TreeLimits.scanHorizon)
                let (cursor, entries) = try await engine.scan(
                    current.cursor, current.view, readAhead, limit: count, horizon: Swift.min(rest, horizon),
                    sequence.options)
                current.cursor = cursor
                walk = current
                chunkCount = Swift.min(chunkCount * 4, TreeLimits.scanEntryCount)
                givenCount += entries.count
                rest -= entries.count
                ahead = entries
                aheadOffset = 0
            }
        }
    }

    /// Keys in which two versions differ; see ``DTree/differences(from:in:limit:_:)``.
    public struct Differences: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Difference
        /// How the sequence fails.
        public typealias Failure = DTreeError

        let tree: DTree
        let from: UInt64
        let range: KeyRange
        let limit: Int?
        let options: ReadOptions

        /// An independent pass over the differences.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

        /// One pass over the differences.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let sequence: Differences
            private var walk: (difference: TreeDifference, view: TreeView)?
            private var rest: Int
            private var ahead: [Difference] = []
            private var aheadOffset = 0
            private var chunkCount = 4

            init(_ sequence: Differences) {
                self.sequence = sequence
                rest = Swift.max(0, sequence.limit ?? .max)
            }

            /// The next difference, or nil at the end.
            ///
            /// - Throws: ``DTreeError`` as ``DTree/get(_:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DTreeError) -> Difference? {
                if aheadOffset == ahead.count {
                    guard rest > 0 else { return nil }
                    try await fill()
                    guard !ahead.isEmpty else {
                        rest = 0
                        return nil
                    }
                }
                defer { aheadOffset += 1 }
                let tree = sequence.tree
                let step = ahead[aheadOffset]
                return Difference(left: step.left.map { tree.local($0) }, right: step.right.map { tree.local($0) })
            }

            private mutating func fill() async throws(DTreeError) {
                let engine = sequence.tree.engine
                var current: (difference: TreeDifference, view: TreeView)
                if let walk {
                    current = walk
                } else {
                    let left = try await engine.prepare(sequence.tree.view, sequence.options)
                    // Both sides are read through the newer of the two versions.
                    let view = TreeView(version: Swift.max(left.version, sequence.from), fork: left.fork)
                    current = (
                        TreeDifference(left: left.version, right: sequence.from, range: sequence.range), view
                    )
                }
                walk = nil
                let (difference, steps) = try await engine.compare(
                    current.difference, current.view, limit: Swift.min(rest, chunkCount), sequence.options)
                current.difference = difference
                walk = current
                chunkCount = Swift.min(chunkCount * 4, TreeLimits.scanEntryCount)
                rest -= steps.count
                ahead = steps
                aheadOffset = 0
            }
        }
    }

    /// Changes in the order they were made; see ``DTree/history(_:isReversed:limit:isLive:_:)``.
    public struct History: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Change
        /// How the sequence fails.
        public typealias Failure = DTreeError

        let tree: DTree
        let range: HistoryRange
        let isReversed: Bool
        let limit: Int?
        let isLive: Bool
        let options: ReadOptions

        /// An independent pass over the changes.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

        /// One pass over the changes.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let sequence: History
            private var walk: (blocks: Range<UInt64>, view: TreeView)?
            private var rest: Int
            private var ahead: [Change] = []
            private var aheadOffset = 0

            init(_ sequence: History) {
                self.sequence = sequence
                rest = Swift.max(0, sequence.limit ?? .max)
            }

            /// The next change, or nil at the end of a history that is not live.
            ///
            /// - Throws: ``DTreeError`` with code `invalidArgument` for a live history that is reversed, and as
            ///   ``DTree/get(_:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DTreeError) -> Change? {
                guard !(sequence.isLive && sequence.isReversed) else {
                    throw DTreeError(.invalidArgument, "A live history cannot be reversed")
                }
                if aheadOffset == ahead.count {
                    guard rest > 0 else { return nil }
                    try await fill()
                    guard !ahead.isEmpty else {
                        rest = 0
                        return nil
                    }
                }
                defer { aheadOffset += 1 }
                return ahead[aheadOffset]
            }

            private mutating func fill() async throws(DTreeError) {
                let engine = sequence.tree.engine
                var current: (blocks: Range<UInt64>, view: TreeView)
                if let walk {
                    current = walk
                } else {
                    let view = try await engine.prepare(sequence.tree.view, sequence.options)
                    current = (sequence.range.resolved(version: view.version, isLive: sequence.isLive), view)
                }
                if sequence.isLive, !current.blocks.isEmpty {
                    while engine.database.length <= current.blocks.lowerBound {
                        do throws(DDatabaseError) {
                            try await engine.database.waitForGrowth(beyond: current.blocks.lowerBound)
                        } catch {
                            throw DTreeError(error)
                        }
                    }
                    current.view = engine.currentView
                }
                let end =
                    sequence.isLive
                    ? Swift.min(current.blocks.upperBound, engine.database.length) : current.blocks.upperBound
                let known = current.blocks.lowerBound..<Swift.max(current.blocks.lowerBound, end)
                let count = UInt64(Swift.min(rest, 64))
                let part =
                    sequence.isReversed
                    ? (known.upperBound - Swift.min(count, UInt64(known.count)))..<known.upperBound
                    : known.lowerBound..<known.lowerBound + Swift.min(count, UInt64(known.count))
                ahead = try await engine.changes(
                    at: part, isReversed: sequence.isReversed, current.view, sequence.options)
                aheadOffset = 0
                rest -= ahead.count
                let taken = UInt64(ahead.count)
                current.blocks =
                    sequence.isReversed
                    ? current.blocks.lowerBound..<(current.blocks.upperBound - taken)
                    : (current.blocks.lowerBound + taken)..<current.blocks.upperBound
                walk = current
            }
        }
    }

    /// Pairs of versions between which something changed; see ``DTree/changes(in:_:)``.
    public struct Changes: AsyncSequence, Sendable {
        /// How the sequence fails.
        public typealias Failure = DTreeError

        /// Two versions, each a tree that can be read.
        public struct Element: Sendable {
            /// The newer version.
            public let current: DTree
            /// The version of the pair before, or that at the start.
            public let previous: DTree
        }

        let tree: DTree
        let range: KeyRange
        let options: ReadOptions

        /// An independent watch, which starts at the version of this moment.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

        /// One watch.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let sequence: Changes
            private var previous: DTree

            init(_ sequence: Changes) {
                self.sequence = sequence
                previous = sequence.tree.snapshot()
            }

            /// The next pair; nil only for a version that was checked out, which never changes.
            ///
            /// - Throws: ``DTreeError`` with code `cancelled`, `closed`, and as ``DTree/get(_:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DTreeError) -> Element? {
                guard sequence.tree.view == nil else { return nil }
                let database = sequence.tree.database
                while true {
                    let seen = previous.version
                    let seenFork = previous.view?.fork ?? 0
                    if database.fork == seenFork, Swift.max(1, database.length) <= seen {
                        do throws(DDatabaseError) {
                            try await database.waitForGrowth(beyond: seen == 1 ? database.length : seen)
                        } catch {
                            throw DTreeError(error)
                        }
                    }
                    let current = sequence.tree.snapshot()
                    let element = Element(current: current, previous: previous)
                    guard current.view?.fork == seenFork else {
                        previous = current
                        return element
                    }
                    guard current.version > seen else { continue }
                    let differences = current.differences(
                        from: seen, in: sequence.range, limit: 1, sequence.options)
                    var iterator = differences.makeAsyncIterator()
                    let isChanged = try await iterator.next() != nil
                    previous = current
                    if isChanged { return element }
                }
            }
        }
    }
}

/// A part of a tree's history, by the indices of blocks; spec 50 section 3.9.
///
/// Negative indices count from the version's end.
public struct HistoryRange: Sendable, Hashable {
    private struct Bound: Hashable {
        let value: Int64
        let isIncluded: Bool
    }

    private let lower: Bound?
    private let upper: Bound?

    /// All changes unless bounds are given: `gte` wins over `gt`, and `lt` over `lte`.
    public init(gt: Int64? = nil, gte: Int64? = nil, lt: Int64? = nil, lte: Int64? = nil) {
        lower = gte.map { Bound(value: $0, isIncluded: true) } ?? gt.map { Bound(value: $0, isIncluded: false) }
        upper = lt.map { Bound(value: $0, isIncluded: false) } ?? lte.map { Bound(value: $0, isIncluded: true) }
    }

    /// The blocks meant at a version. A live history without an upper bound never ends.
    package func resolved(version: UInt64, isLive: Bool) -> Range<UInt64> {
        let start = lower.map { HistoryRange.resolve($0.value, version) &+ ($0.isIncluded ? 0 : 1) } ?? 1
        var end: UInt64 = isLive ? .max : version
        if let upper {
            end = upper.value == 0 ? 0 : HistoryRange.resolve(upper.value, version) &+ (upper.isIncluded ? 1 : 0)
        }
        let first = max(1, start)
        return first..<max(first, end)
    }

    private static func resolve(_ value: Int64, _ version: UInt64) -> UInt64 {
        if value >= 0 { return UInt64(value) }
        return version > value.magnitude ? version - value.magnitude : 0
    }
}
