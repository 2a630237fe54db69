import DWebPorts
import DWebTestSupport
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
        return WatchedStore(try await medium.open("store", options: options)) {
            $0.write = { (batch, _) throws(PortError) in self.state.withLock { $0.batches.append(batch) } }
            $0.hasLostWrites = { self.hasLostWrites }
            $0.acknowledgeLoss = {
                self.state.withLock { state in
                    if !state.refusesAcknowledgement { state.hasLostWrites = false }
                    return !state.refusesAcknowledgement
                }
            }
        }
    }
}
