import DWebTree

extension DDrive {
    /// One step of a drive's history.
    public struct Change: Sendable, Hashable {
        /// The path that changed.
        public let path: String
        /// The block of the drive's tree that records the change.
        public let sequence: UInt64
        /// What was put at the path; nil if it was removed, or if what was put cannot be read.
        public let entry: Entry?
        /// Whether the path was removed.
        public let isRemoval: Bool
    }

    /// Changes in the order they were made; see ``DDrive/history(_:isReversed:limit:isLive:_:)``.
    public struct History: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Change
        /// How the sequence fails.
        public typealias Failure = DDriveError

        let prefix: [UInt8]
        let base: DTree.History
        let limit: Int?

        /// An independent pass over the changes.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(prefix: prefix, base: base.makeAsyncIterator(), rest: Swift.max(0, limit ?? .max))
        }

        /// One pass over the changes.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let prefix: [UInt8]
            var base: DTree.History.AsyncIterator
            var rest: Int

            /// The next change; nil at the end of a history that is not live. What is no path of a file is left out.
            ///
            /// - Throws: ``DDriveError`` as ``DDrive/entry(at:links:_:)``.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(DDriveError) -> Change? {
                while rest > 0 {
                    let step: DTree.Change?
                    do throws(DTreeError) { step = try await base.next() } catch { throw DDriveError(error) }
                    guard let step else { return nil }
                    let key = step.entry.key
                    guard key.starts(with: prefix), let path = try? DrivePath(stored: key.dropFirst(prefix.count))
                    else { continue }
                    rest -= 1
                    var record: EntryRecord?
                    if !step.isDeletion { record = try? EntryRecord(decoding: step.entry.value ?? []) }
                    return Change(
                        path: path.text, sequence: step.entry.sequence,
                        entry: record.map { Entry(path: path.text, sequence: step.entry.sequence, record: $0) },
                        isRemoval: step.isDeletion)
                }
                return nil
            }
        }
    }
}
