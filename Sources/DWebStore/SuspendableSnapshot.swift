import DWebPorts
import Synchronization

/// A snapshot that does not hold a store open which is put down or closed: from then on it reports `closed`.
final class SuspendableSnapshot: KeyValueSnapshot {
    private struct State {
        var base: (any KeyValueSnapshot)?
        var readerCount = 0
        var emptied: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>

    init(_ base: any KeyValueSnapshot) { state = Mutex(State(base: base)) }

    /// Ends the view and waits for those who are reading from it.
    func end() async {
        close()
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.readerCount > 0 { state.emptied = continuation }
                return state.readerCount == 0
            }
            if isEmpty { continuation.resume() }
        }
    }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        guard let base = state.withLock({ $0.base }) else { throw SuspendableSnapshot.endedError }
        return try base.readImmediately(key)
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        let base = try enter()
        defer { leave() }
        return try await base.read(keys)
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        let base = try enter()
        defer { leave() }
        return try await base.entries(from: start, to: end, limit: limit, isReversed: isReversed)
    }

    func close() {
        let base = state.withLock { state in
            defer { state.base = nil }
            return state.base
        }
        base?.close()
    }

    private static let endedError = PortError(.closed, "The snapshot has ended")

    private func enter() throws(PortError) -> any KeyValueSnapshot {
        let base = state.withLock { state in
            if state.base != nil { state.readerCount += 1 }
            return state.base
        }
        guard let base else { throw SuspendableSnapshot.endedError }
        return base
    }

    private func leave() {
        let emptied = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.readerCount -= 1
            guard state.readerCount == 0 else { return nil }
            defer { state.emptied = nil }
            return state.emptied
        }
        emptied?.resume()
    }
}
