import DWebPorts
import Synchronization

/// A store that can be put down and taken up again: while it is suspended its files are closed and its lock is free,
/// and whoever uses it waits.
final class SuspendableStore: KeyValueStore {
    private enum Phase {
        case open(any KeyValueStore)
        /// Nobody new gets in; the last one who leaves closes the files.
        case suspending(any KeyValueStore)
        case suspended
        case closed
    }

    private struct State {
        var phase: Phase
        var userCount = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var emptied: CheckedContinuation<Void, Never>?
        var snapshots: [WeakSnapshot] = []
    }

    private struct WeakSnapshot {
        weak var snapshot: SuspendableSnapshot?
    }

    private let state: Mutex<State>
    private let path: String
    private let provider: any StorageProvider
    private let options: StorageOptions

    init(
        _ store: any KeyValueStore, path: String, provider: any StorageProvider, options: StorageOptions
    ) {
        state = Mutex(State(phase: .open(store)))
        self.path = path
        self.provider = provider
        self.options = options
    }

    private static let closedError = PortError(.closed, "The store is closed")

    // MARK: Suspending

    /// Whether the files are closed, or about to be.
    var isSuspended: Bool {
        state.withLock { state in
            switch state.phase {
            case .suspending, .suspended: true
            case .open, .closed: false
            }
        }
    }

    /// Closes the files once nobody uses them. A store that is not open stays as it is.
    func suspend() async {
        let store = state.withLock { state -> (any KeyValueStore)? in
            guard case .open(let store) = state.phase else { return nil }
            state.phase = .suspending(store)
            return store
        }
        guard let store else { return }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.userCount > 0 { state.emptied = continuation }
                return state.userCount == 0
            }
            if isEmpty { continuation.resume() }
        }
        await endSnapshots()
        await store.close()
        state.withLock { state in
            if case .suspending = state.phase { state.phase = .suspended }
        }
    }

    /// Opens the files again and lets everybody go on.
    func resume() async throws(PortError) {
        let isSuspended = state.withLock { state in
            if case .suspended = state.phase { true } else { false }
        }
        guard isSuspended else { return }
        var again = options
        again.createIfMissing = false
        let store = try await provider.open(path, options: again)
        let (waiting, isStale) = state.withLock { state -> ([CheckedContinuation<Void, Never>], Bool) in
            guard case .suspended = state.phase else { return ([], true) }
            state.phase = .open(store)
            defer { state.waiting = [] }
            return (state.waiting, false)
        }
        if isStale { await store.close() }
        for continuation in waiting { continuation.resume() }
    }

    /// The open store, counted as in use; waits while suspended.
    private func enter() async throws(PortError) -> any KeyValueStore {
        while true {
            enum Entry { case store(any KeyValueStore), wait, closed }
            let entry = state.withLock { state -> Entry in
                switch state.phase {
                case .open(let store):
                    state.userCount += 1
                    return .store(store)
                case .suspending, .suspended: return .wait
                case .closed: return .closed
                }
            }
            switch entry {
            case .store(let store): return store
            case .closed: throw SuspendableStore.closedError
            case .wait:
                await withCheckedContinuation { continuation in
                    let mustWait = state.withLock { state -> Bool in
                        switch state.phase {
                        case .suspending, .suspended:
                            state.waiting.append(continuation)
                            return true
                        case .open, .closed: return false
                        }
                    }
                    if !mustWait { continuation.resume() }
                }
            }
        }
    }

    private func leave() {
        let emptied = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.userCount -= 1
            guard state.userCount == 0 else { return nil }
            defer { state.emptied = nil }
            return state.emptied
        }
        emptied?.resume()
    }

    // MARK: The port

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        guard let store = try enterImmediately() else { return .wouldWait }
        defer { leave() }
        return try store.readImmediately(key)
    }

    func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        guard let store = try enterImmediately() else { return nil }
        defer { leave() }
        return try store.entriesImmediately(from: start, to: end, limit: limit, byteLimit: byteLimit)
    }

    /// The open store, counted as in use; nil while suspended.
    private func enterImmediately() throws(PortError) -> (any KeyValueStore)? {
        enum Entry { case store(any KeyValueStore), wait, closed }
        let entry = state.withLock { state -> Entry in
            switch state.phase {
            case .open(let store):
                state.userCount += 1
                return .store(store)
            case .suspending, .suspended: return .wait
            case .closed: return .closed
            }
        }
        switch entry {
        case .store(let store): return store
        case .wait: return nil
        case .closed: throw SuspendableStore.closedError
        }
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        let store = try await enter()
        defer { leave() }
        return try await store.read(keys)
    }

    func read(_ keys: [[UInt8]], byteLimit: Int) async throws(PortError) -> [[UInt8]?] {
        let store = try await enter()
        defer { leave() }
        return try await store.read(keys, byteLimit: byteLimit)
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        let store = try await enter()
        defer { leave() }
        return try await store.entries(from: start, to: end, limit: limit, isReversed: isReversed)
    }

    func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
        let store = try await enter()
        defer { leave() }
        try await store.apply(batch, durability: durability)
    }

    var hasLostWrites: Bool {
        state.withLock { state in
            if case .open(let store) = state.phase { store.hasLostWrites } else { false }
        }
    }

    func acknowledgeLoss() async throws(PortError) {
        let store = try await enter()
        defer { leave() }
        try await store.acknowledgeLoss()
    }

    func snapshot() throws(PortError) -> any KeyValueSnapshot {
        let store = state.withLock { state -> (any KeyValueStore)? in
            if case .open(let store) = state.phase { store } else { nil }
        }
        guard let store else { throw PortError(.closed, "The store is suspended or closed") }
        let snapshot = SuspendableSnapshot(try store.snapshot())
        state.withLock { state in
            state.snapshots.removeAll { $0.snapshot == nil }
            state.snapshots.append(WeakSnapshot(snapshot: snapshot))
        }
        return snapshot
    }

    /// Views hold the files open: those that exist end.
    private func endSnapshots() async {
        let snapshots = state.withLock { state in
            defer { state.snapshots = [] }
            return state.snapshots.compactMap(\.snapshot)
        }
        for snapshot in snapshots { await snapshot.end() }
    }

    func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 {
        let store = try await enter()
        defer { leave() }
        return try await store.approximateByteCount(from: start, to: end)
    }

    func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) {
        let store = try await enter()
        defer { leave() }
        try await store.compact(from: start, to: end)
    }

    func close() async {
        let (store, waiting) = state.withLock { state -> ((any KeyValueStore)?, [CheckedContinuation<Void, Never>]) in
            defer {
                state.phase = .closed
                state.waiting = []
            }
            switch state.phase {
            case .open(let store): return (store, state.waiting)
            case .suspending, .suspended, .closed: return (nil, state.waiting)
            }
        }
        for continuation in waiting { continuation.resume() }
        await endSnapshots()
        await store?.close()
    }
}
