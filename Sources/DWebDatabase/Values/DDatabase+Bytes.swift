extension DDatabase {
    /// The bytes of a log from a position on, in pieces as its blocks have them.
    ///
    /// - Parameters:
    ///   - byteOffset: The first byte, counted from the start of the log.
    ///   - byteCount: How many bytes; nil for all up to the log's end as it is when the sequence is begun.
    ///   - options: How long to wait for each missing block.
    public nonisolated func bytes(
        from byteOffset: UInt64 = 0, count byteCount: UInt64? = nil, _ options: ReadOptions = ReadOptions()
    ) -> ByteChunks {
        ByteChunks(database: self, byteOffset: byteOffset, byteCount: byteCount, options: options)
    }

    /// A part of a log's bytes as an asynchronous sequence of non-empty pieces.
    public struct ByteChunks: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = [UInt8]
        /// How the sequence fails.
        public typealias Failure = DDatabaseError

        let database: DDatabase
        let byteOffset: UInt64
        let byteCount: UInt64?
        let options: ReadOptions

        /// An independent pass over the bytes.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(chunks: self) }

        /// One pass over the bytes.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let chunks: ByteChunks
            private var blocks: Blocks.AsyncIterator?
            private var skippedByteCount = 0
            private var remainingByteCount: UInt64 = 0

            init(chunks: ByteChunks) { self.chunks = chunks }

            /// The next piece, or nil at the end.
            ///
            /// - Throws: ``DDatabaseError`` with code `outOfBounds` if the log is shorter than the part asked for, and
            ///   as ``DDatabase/block(at:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDatabaseError) -> [UInt8]? {
                if blocks == nil { try await begin() }
                while remainingByteCount > 0, var chunk = try await blocks?.next(isolation: actor) {
                    if skippedByteCount > 0 {
                        chunk.removeFirst(Swift.min(skippedByteCount, chunk.count))
                        skippedByteCount = 0
                    }
                    if UInt64(chunk.count) > remainingByteCount {
                        chunk.removeLast(chunk.count - Int(remainingByteCount))
                    }
                    remainingByteCount -= UInt64(chunk.count)
                    if !chunk.isEmpty { return chunk }
                }
                return nil
            }

            private mutating func begin() async throws(DDatabaseError) {
                let database = chunks.database
                let start = try await database.seek(toByte: chunks.byteOffset, chunks.options)
                let available = database.byteLength - Swift.min(database.byteLength, chunks.byteOffset)
                let count = chunks.byteCount ?? available
                guard count <= available else {
                    throw DDatabaseError(
                        .outOfBounds, "The log has \(available) bytes from \(chunks.byteOffset) on, not \(count)")
                }
                remainingByteCount = count
                skippedByteCount = Int(start.byteOffset)
                blocks = database.blocks(from: start.blockIndex, chunks.options).makeAsyncIterator()
            }
        }
    }
}
