import DWebPorts
import Synchronization

/// A store in memory that can lose its newest batches while it is closed, and then says so until somebody takes note.
final class LossyStorage: StorageProvider {
    private struct State {
        var medium = MemoryStorage()
        var batches: [WriteBatch] = []
        var hasLostWrites = false
        var refusesAcknowledgement = false
    }

    private let state = Mutex(State())

    /// Whether a loss is not acknowledged yet.
    var hasLostWrites: Bool { state.withLock { $0.hasLostWrites } }

    /// Makes the next acknowledgements fail, or no longer.
    func refuseAcknowledgement(_ refuses: Bool) { state.withLock { $0.refusesAcknowledgement = refuses } }

    /// Loses the newest batches; the store must be closed.
    func lose(batchCount: Int) async throws(PortError) {
        let (medium, batches) = state.withLock { state -> (MemoryStorage, [WriteBatch]) in
            state.medium = MemoryStorage()
            state.batches.removeLast(batchCount)
            state.hasLostWrites = true
            return (state.medium, state.batches)
        }
        let raw = try await medium.open("store", options: StorageOptions())
        for batch in batches { try await raw.apply(batch, durability: .processCrash) }
        await raw.close()
    }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let medium = state.withLock { $0.medium }
        return Store(inner: try await medium.open("store", options: options), owner: self)
    }

    private final class Store: KeyValueStore {
        private let inner: any KeyValueStore
        private let owner: LossyStorage

        init(inner: any KeyValueStore, owner: LossyStorage) {
            self.inner = inner
            self.owner = owner
        }

        var hasLostWrites: Bool { owner.hasLostWrites }

        func acknowledgeLoss() async throws(PortError) {
            let isRefused = owner.state.withLock { state -> Bool in
                if !state.refusesAcknowledgement { state.hasLostWrites = false }
                return state.refusesAcknowledgement
            }
            if isRefused { throw PortError(.failed, "The power failed") }
        }

        func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead { try inner.readImmediately(key) }
        func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] { try await inner.read(keys) }

        func entries(
            from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
        ) async throws(PortError) -> [KeyValueEntry] {
            try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
        }

        func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
            owner.state.withLock { $0.batches.append(batch) }
            try await inner.apply(batch, durability: durability)
        }

        func snapshot() throws(PortError) -> any KeyValueSnapshot { try inner.snapshot() }

        func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 {
            try await inner.approximateByteCount(from: start, to: end)
        }

        func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) {
            try await inner.compact(from: start, to: end)
        }

        func close() async { await inner.close() }
    }
}
