extension DDatabase {
    // MARK: Values

    /// Appends one value as a block and returns its index.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue` (cannot be encoded), and as ``append(_:)-([UInt8])``.
    @discardableResult
    public func append<Value: Sendable>(
        _ value: Value, as coding: BlockCoding<Value>
    ) async throws(DDatabaseError) -> UInt64 {
        try await append(try coding.encoded(value))
    }

    /// Appends values as blocks with a single signature and a single write, and returns their indices.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue` (one cannot be encoded; then none is appended), and as
    ///   ``append(_:)-([[UInt8]])``.
    @discardableResult
    public func append<Value: Sendable>(
        contentsOf values: [Value], as coding: BlockCoding<Value>
    ) async throws(DDatabaseError) -> Range<UInt64> {
        var blocks: [[UInt8]] = []
        blocks.reserveCapacity(values.count)
        for value in values { blocks.append(try coding.encoded(value)) }
        return try await append(blocks)
    }

    /// The value in the block at `index`.
    ///
    /// - Throws: ``DDatabaseError`` with code `invalidValue` for other bytes, and as ``block(at:_:)``.
    public func value<Value: Sendable>(
        at index: UInt64, as coding: BlockCoding<Value>, _ options: ReadOptions = ReadOptions()
    ) async throws(DDatabaseError) -> Value {
        try coding.decode(try await block(at: index, options))
    }

    /// The values in the blocks from `index` to the end of the log; see ``blocks(from:live:_:)``.
    public nonisolated func values<Value: Sendable>(
        from index: UInt64 = 0, as coding: BlockCoding<Value>, live: Bool = false,
        _ options: ReadOptions = ReadOptions()
    ) -> Values<Value> {
        Values(blocks: blocks(from: index, live: live, options), coding: coding)
    }

    /// The values of a log in order, as an asynchronous sequence.
    public struct Values<Value: Sendable>: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Value
        /// How the sequence fails.
        public typealias Failure = DDatabaseError

        let blocks: Blocks
        let coding: BlockCoding<Value>

        /// An independent pass over the values.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(base: blocks.makeAsyncIterator(), coding: coding)
        }

        /// One pass over the values.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: Blocks.AsyncIterator
            let coding: BlockCoding<Value>

            /// The index of the block that the next call decodes.
            public var index: UInt64 { base.index }

            /// The next value, or nil at the end of a sequence that is not live.
            ///
            /// - Throws: ``DDatabaseError`` as ``DDatabase/value(at:as:_:)`` does. The sequence can go on after an
            ///   `invalidValue`, with the block behind it.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDatabaseError) -> Value? {
                guard let block = try await base.next(isolation: actor) else { return nil }
                return try coding.decode(block)
            }
        }
    }
}
