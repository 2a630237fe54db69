import Synchronization

/// An extension message as it came from a peer.
struct ExtensionDelivery: Sendable {
    let peer: DDatabase.Peer.ID
    let payload: [UInt8]
}

/// Gives extension messages to those who listen to their name. Names that nobody listens to cost nothing, however many
/// a peer makes up.
final class ExtensionHub: Sendable {
    private struct State {
        var listeners: [String: Broadcast<ExtensionDelivery>] = [:]
        var isFinished = false
    }

    private let state = Mutex(State())

    init() {}

    func listen(to name: String, bufferingNewest limit: Int, for session: SessionID) -> AsyncStream<ExtensionDelivery> {
        let broadcast = state.withLock { state -> Broadcast<ExtensionDelivery> in
            state.listeners = state.listeners.filter { $0.key == name || !$0.value.isIdle }
            let broadcast = state.listeners[name] ?? Broadcast()
            state.listeners[name] = broadcast
            if state.isFinished { broadcast.finish() }
            return broadcast
        }
        return broadcast.listen(bufferingNewest: limit, for: session)
    }

    func send(_ delivery: ExtensionDelivery, to name: String) {
        let broadcast = state.withLock { $0.listeners[name] }
        broadcast?.send(delivery)
    }

    func finish(_ session: SessionID) {
        for broadcast in state.withLock({ Array($0.listeners.values) }) { broadcast.finish(session) }
    }

    func finish() {
        let listeners = state.withLock { state in
            state.isFinished = true
            return Array(state.listeners.values)
        }
        for broadcast in listeners { broadcast.finish() }
    }
}
