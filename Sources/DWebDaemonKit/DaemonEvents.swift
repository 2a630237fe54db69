public import DWebBase
import Synchronization

/// Something that happened in a daemon.
public enum DaemonEvent: Sendable, Equatable {
    /// A peer connected.
    case peerAdded(PublicKey)
    /// A peer's last connection ended.
    case peerRemoved(PublicKey)
    /// The announcement and first lookup of a log are done.
    case topicJoined(DiscoveryKey)
    /// The state of a seed changed.
    case seedChanged(PublicKey)
    /// Something went wrong, in one sentence.
    case problem(String)
}

/// Events of a daemon from a moment on; whoever takes them too slowly misses the oldest.
public struct DaemonEvents: AsyncSequence, Sendable {
    /// What the sequence gives.
    public typealias Element = DaemonEvent
    /// How the sequence fails.
    public typealias Failure = Never

    let stream: AsyncStream<DaemonEvent>

    /// The one pass over the events.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }

    /// The one pass over the events.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncStream<DaemonEvent>.Iterator

        /// The next event; nil once the daemon is closed or the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> DaemonEvent? {
            await base.next(isolation: actor)
        }
    }
}

/// Hands every event to all who listen, each with a bounded buffer of its own.
final class DaemonEventHub: Sendable {
    private struct State {
        var listeners: [Int: AsyncStream<DaemonEvent>.Continuation] = [:]
        var nextNumber = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    func listen() -> DaemonEvents {
        let (stream, continuation) = AsyncStream.makeStream(
            of: DaemonEvent.self, bufferingPolicy: .bufferingNewest(DaemonConstants.eventCount))
        let number: Int? = state.withLock { state in
            guard !state.isClosed else { return nil }
            defer { state.nextNumber += 1 }
            state.listeners[state.nextNumber] = continuation
            return state.nextNumber
        }
        if let number {
            continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[number] = nil } }
        } else {
            continuation.finish()
        }
        return DaemonEvents(stream: stream)
    }

    func send(_ event: DaemonEvent) {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(event) }
    }

    func close() {
        let listeners = state.withLock { state in
            state.isClosed = true
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
