import Synchronization

/// Hands every event to all who listen, each with a bounded buffer of its own.
final class EventHub: Sendable {
    private struct State {
        var listeners: [Int: AsyncStream<SwarmNetworker.Event>.Continuation] = [:]
        var nextID = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    func listen(bufferingNewest limit: Int) -> SwarmNetworker.Events {
        let (stream, continuation) = AsyncStream.makeStream(
            of: SwarmNetworker.Event.self, bufferingPolicy: .bufferingNewest(limit))
        let id: Int? = state.withLock { state in
            guard !state.isClosed else { return nil }
            defer { state.nextID += 1 }
            state.listeners[state.nextID] = continuation
            return state.nextID
        }
        if let id {
            continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[id] = nil } }
        } else {
            continuation.finish()
        }
        return SwarmNetworker.Events(stream: stream)
    }

    func send(_ event: SwarmNetworker.Event) {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.yield(event) }
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
