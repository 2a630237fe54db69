extension DDatabase {
    /// Something that happened to a log.
    public enum Event: Sendable, Hashable {
        /// The log became longer, by appending here or because peers proved it.
        case appended(length: UInt64)
        /// The log was cut: only the first `sharedLength` blocks are left of its history before `fork`.
        case truncated(sharedLength: UInt64, fork: UInt64)
        /// A peer that knows the log's key is connected.
        case peerAdded(Peer.ID)
        /// A peer is gone.
        case peerRemoved(Peer.ID)
        /// A block was given to a peer.
        case uploaded(block: UInt64, byteCount: Int, to: Peer.ID)
        /// A block came from a peer, was verified and stored.
        case downloaded(block: UInt64, byteCount: Int, from: Peer.ID)
        /// The log's key signed two histories; nothing is sent or accepted any more.
        case conflict
    }

    /// What happens to a log from a moment on; ends when the session is closed.
    ///
    /// Each sequence has a buffer of its own. Whoever takes events too slowly loses the oldest ones.
    public struct Events: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = Event
        /// How the sequence fails.
        public typealias Failure = Never

        let stream: AsyncStream<Event>

        /// The one pass over the events.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }

        /// The one pass over the events.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: AsyncStream<Event>.Iterator

            /// The next event; nil once the session is closed or the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Event? {
                await base.next(isolation: actor)
            }
        }
    }

    /// What happens to the log from now on.
    ///
    /// - Parameter limit: The most events that are kept for a reader who is behind.
    public nonisolated func events(bufferingNewest limit: Int = 64) -> Events {
        Events(stream: engine.events.listen(bufferingNewest: limit, for: hold.session))
    }
}
