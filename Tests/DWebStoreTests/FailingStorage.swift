import DWebPorts
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
        Store(inner: try await inner.open(path, options: options), owner: self)
    }

    private final class Store: KeyValueStore {
        private let inner: any KeyValueStore
        private let owner: FailingStorage

        init(inner: any KeyValueStore, owner: FailingStorage) {
            self.inner = inner
            self.owner = owner
        }

        func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead { .wouldWait }

        func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
            await Task.yield()
            return try await inner.read(keys)
        }

        func entries(
            from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
        ) async throws(PortError) -> [KeyValueEntry] {
            try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
        }

        func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
            await Task.yield()
            if let failure = owner.failure { throw failure }
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
