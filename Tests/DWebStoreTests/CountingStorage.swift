import DWebPorts
import Synchronization

/// Stores in memory that count how they are read.
final class CountingStorage: StorageProvider {
    struct Counts {
        var reads = 0
        var scans = 0
    }

    private let inner = MemoryStorage()
    private let state = Mutex(Counts())

    var counts: Counts { state.withLock { $0 } }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        WatchedStore(
            try await inner.open(path, options: options),
            WatchedStore.Hooks(
                read: { count in self.state.withLock { $0.reads += count } },
                scan: { self.state.withLock { $0.scans += 1 } }))
    }
}
