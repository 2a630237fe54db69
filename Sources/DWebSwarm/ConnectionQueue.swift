import DequeModule
import Synchronization

/// Connections on their way to the one task that takes them, each handed over once.
final class ConnectionQueue: Sendable {
    private struct State {
        var waiting = Deque<SwarmConnection>()
        var consumer: Promise<SwarmConnection?>?
        var isClosed = false
    }

    private let limit: Int
    private let state = Mutex(State())

    /// A queue for at most `limit` connections.
    init(limit: Int) { self.limit = limit }

    /// Whether one more fits.
    var hasRoom: Bool { state.withLock { !$0.isClosed && $0.waiting.count < limit } }

    /// Adds a connection; false if there is no room, or no use for it any more.
    func add(_ connection: SwarmConnection) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            while let consumer = state.consumer {
                state.consumer = nil
                // A consumer that was cancelled at this moment does not take it.
                if consumer.resolve(connection) { return true }
            }
            guard state.waiting.count < limit else { return false }
            state.waiting.append(connection)
            return true
        }
    }

    /// Takes a connection that ended before anyone took it out again.
    func remove(_ link: StreamLink) {
        // What is removed is released outside the lock: its end runs code of its own.
        let removed = state.withLock { state -> SwarmConnection? in
            guard let index = state.waiting.firstIndex(where: { $0.link === link }) else { return nil }
            return state.waiting.remove(at: index)
        }
        withExtendedLifetime(removed) {}
    }

    /// The next connection; nil once closed, or when the task is cancelled.
    func next() async -> SwarmConnection? {
        let promise = Promise<SwarmConnection?>()
        let (ready, isDone): (SwarmConnection?, Bool) = state.withLock { state in
            if let first = state.waiting.popFirst() { return (first, true) }
            guard !state.isClosed else { return (nil, true) }
            precondition(state.consumer == nil, "connections are taken by one task")
            state.consumer = promise
            return (nil, false)
        }
        if isDone { return ready }
        let connection = await promise.value(onCancel: nil)
        if connection == nil {
            state.withLock { if $0.consumer === promise { $0.consumer = nil } }
        }
        return connection
    }

    /// Ends the sequence; what waits is dropped, and thereby closed.
    func close() {
        let (consumer, dropped) = state.withLock { state in
            state.isClosed = true
            defer {
                state.consumer = nil
                state.waiting = []
            }
            return (state.consumer, state.waiting)
        }
        consumer?.resolve(nil)
        withExtendedLifetime(dropped) {}
    }
}

/// Connections as they come about, each exactly once. One task takes them; while it does not, at most a configured
/// number wait and further peers are not answered.
public struct SwarmConnections: AsyncSequence, Sendable {
    let queue: ConnectionQueue

    /// Takes the connections.
    public func makeAsyncIterator() -> Iterator { Iterator(queue: queue) }

    /// Takes one connection after the other.
    public struct Iterator: AsyncIteratorProtocol {
        let queue: ConnectionQueue

        /// The next connection; nil once the swarm is closed, or when the calling task is cancelled.
        public mutating func next() async -> SwarmConnection? { await queue.next() }

        /// The next connection; nil once the swarm is closed, or when the calling task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> SwarmConnection? {
            await queue.next()
        }
    }
}
