import DWebPorts
import DWebTestSupport
import Synchronization

/// Stores whose writes fail on demand.
final class FailingStorage: StorageProvider {
    private let inner = MemoryStorage()
    private let failing = Mutex<PortError?>(nil)

    /// With what every write fails from now on.
    var failure: PortError? {
        get { failing.withLock { $0 } }
        set { failing.withLock { $0 = newValue } }
    }

    /// Whether every write fails from now on, as on a full disk.
    var isFailing: Bool {
        get { failure != nil }
        set { failure = newValue ? PortError(.noSpace, "There is no space left") : nil }
    }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        WatchedStore(try await inner.open(path, options: options)) {
            $0.isSlow = true
            $0.write = { (_, _) throws(PortError) in if let failure = self.failure { throw failure } }
        }
    }
}
