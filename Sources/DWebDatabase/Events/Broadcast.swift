import Synchronization

/// Hands every element to all who listen, each with a bounded buffer of its own that drops what is oldest.
final class Broadcast<Element: Sendable>: Sendable {
    private struct Listener {
        let session: SessionID
        let continuation: AsyncStream<Element>.Continuation
    }

    private struct State {
        var listeners: [Int: Listener] = [:]
        var nextNumber = 0
        var isFinished = false
    }

    private let state = Mutex(State())
    private let listenerCount = Atomic<Int>(0)
    private let dropped = Atomic<Int>(0)

    init() {}

    /// Whether nobody listens; cheap, so that elements need not even be made.
    var isIdle: Bool { listenerCount.load(ordering: .relaxed) == 0 }

    /// How many elements were dropped because somebody did not take them in time.
    var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// A sequence of what is sent from now on, until the session or the log is closed.
    func listen(bufferingNewest limit: Int, for session: SessionID) -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self, bufferingPolicy: .bufferingNewest(max(1, limit)))
        let number: Int? = state.withLock { state in
            guard !state.isFinished else { return nil }
            defer { state.nextNumber += 1 }
            state.listeners[state.nextNumber] = Listener(session: session, continuation: continuation)
            return state.nextNumber
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        listenerCount.add(1, ordering: .relaxed)
        continuation.onTermination = { [weak self] _ in self?.remove(number) }
        return stream
    }

    /// Gives an element to all who listen.
    func send(_ element: Element) {
        let listeners = state.withLock { $0.listeners.values.map(\.continuation) }
        for listener in listeners {
            if case .dropped = listener.yield(element) { dropped.add(1, ordering: .relaxed) }
        }
    }

    /// Ends the sequences of one session.
    func finish(_ session: SessionID) {
        let ended = state.withLock { $0.listeners.values.filter { $0.session == session }.map(\.continuation) }
        for continuation in ended { continuation.finish() }
    }

    /// Ends all sequences, also those asked for later.
    func finish() {
        let ended = state.withLock { state in
            state.isFinished = true
            return state.listeners.values.map(\.continuation)
        }
        for continuation in ended { continuation.finish() }
    }

    private func remove(_ number: Int) {
        let isRemoved = state.withLock { $0.listeners.removeValue(forKey: number) != nil }
        if isRemoved { listenerCount.subtract(1, ordering: .relaxed) }
    }
}
