import DWebLogCore
import DWebPorts
import DWebTestSupport
import Synchronization

/// Stores in memory that remember every batch written to them.
final class RecordingStorage: StorageProvider {
    private let inner = MemoryStorage()
    private let written = Mutex<[WriteBatch]>([])

    /// The batches since the last call.
    func takeBatches() -> [WriteBatch] {
        written.withLock { written in
            defer { written = [] }
            return written
        }
    }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        WatchedStore(try await inner.open(path, options: options)) {
            $0.write = { (batch, _) throws(PortError) in self.written.withLock { $0.append(batch) } }
        }
    }
}
