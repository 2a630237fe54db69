import DWebPorts
import DWebTestSupport
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
        WatchedStore(try await inner.open(path, options: options)) {
            $0.read = { values in self.state.withLock { $0.reads += values.count } }
            $0.scan = { _ in self.state.withLock { $0.scans += 1 } }
        }
    }
}
