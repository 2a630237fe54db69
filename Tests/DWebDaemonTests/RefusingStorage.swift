import DWebPorts
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
        return path == "state" ? Store(inner: store, owner: self) : store
    }

    private final class Store: KeyValueStore {
        private let inner: any KeyValueStore
        private let owner: RefusingStorage
        private let isBroken = Mutex(false)

        init(inner: any KeyValueStore, owner: RefusingStorage) {
            self.inner = inner
            self.owner = owner
        }

        func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead { .wouldWait }

        func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] { try await inner.read(keys) }

        func entries(
            from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
        ) async throws(PortError) -> [KeyValueEntry] {
            try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
        }

        func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
            let isRefused = isBroken.withLock { isBroken in
                if owner.isRefusing { isBroken = true }
                return isBroken
            }
            if isRefused { throw PortError(.noSpace, "There is no space left") }
            try await inner.apply(batch, durability: durability)
        }

        func snapshot() throws(PortError) -> any KeyValueSnapshot { try inner.snapshot() }

        func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 { 0 }

        func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) {}

        func close() async { await inner.close() }
    }
}
