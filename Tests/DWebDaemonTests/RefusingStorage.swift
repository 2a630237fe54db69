import DWebPorts
import DWebTestSupport
import Synchronization

/// Stores in memory whose state for the daemon refuses writes on demand, as a full disk does: after a refusal the open
/// store refuses everything, until it is opened again.
final class RefusingStorage: StorageProvider {
    private let inner = MemoryStorage()
    private let refusing = Mutex(false)

    /// Whether writes are refused from now on.
    var isRefusing: Bool {
        get { refusing.withLock { $0 } }
        set { refusing.withLock { $0 = newValue } }
    }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let store = try await inner.open(path, options: options)
        guard path == "state" else { return store }
        let isBroken = Mutex(false)
        return WatchedStore(store) {
            $0.isSlow = true
            $0.write = { (_, _) throws(PortError) in
                let isRefused = isBroken.withLock { isBroken in
                    if self.isRefusing { isBroken = true }
                    return isBroken
                }
                if isRefused { throw PortError(.noSpace, "There is no space left") }
            }
        }
    }
}
