extension DDatabase {
    /// The blocks of a log in order, as an asynchronous sequence; see ``DDatabase/blocks(from:live:_:)``.
    ///
    /// Blocks that are stored are read ahead in groups; missing ones are asked of peers ahead of the reader.
    public struct Blocks: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = [UInt8]
        /// How the sequence fails.
        public typealias Failure = DDatabaseError

        let database: DDatabase
        let start: UInt64
        let isLive: Bool
        let options: ReadOptions

        /// An independent pass over the blocks.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

        /// One pass over the blocks.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let sequence: Blocks
            private var nextIndex: UInt64
            private var ahead: [[UInt8]] = []
            private var aheadOffset = 0
            private var isFinished = false

            // Large enough to make the cost of a read call vanish, small enough to bound what a slow reader holds.
            private static let readAheadBlockCount: UInt64 = 64

            init(_ sequence: Blocks) {
                self.sequence = sequence
                nextIndex = sequence.start
            }

            /// The index of the block that the next call returns.
            public var index: UInt64 { nextIndex - UInt64(ahead.count - aheadOffset) }

            /// The next block, or nil at the end of a sequence that is not live.
            ///
            /// - Throws: ``DDatabaseError`` as ``DDatabase/block(at:_:)`` does.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDatabaseError) -> [UInt8]? {
                if aheadOffset < ahead.count { return take() }
                guard !isFinished else { return nil }
                let database = sequence.database
                if nextIndex >= database.length {
                    guard sequence.isLive else {
                        isFinished = true
                        return nil
                    }
                    while nextIndex >= database.length { try await database.waitForGrowth(beyond: nextIndex) }
                }
                ahead = try await database.readAhead(
                    from: nextIndex, to: Swift.min(database.length, nextIndex + AsyncIterator.readAheadBlockCount),
                    sequence.options)
                aheadOffset = 0
                nextIndex += UInt64(ahead.count)
                return take()
            }

            private mutating func take() -> [UInt8]? {
                guard aheadOffset < ahead.count else { return nil }
                defer {
                    aheadOffset += 1
                    if aheadOffset == ahead.count {
                        ahead = []
                        aheadOffset = 0
                    }
                }
                return ahead[aheadOffset]
            }
        }
    }
}
