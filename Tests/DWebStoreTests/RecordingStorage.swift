import DWebLogCore
import DWebPorts
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
        Store(inner: try await inner.open(path, options: options), owner: self)
    }

    private final class Store: KeyValueStore {
        private let inner: any KeyValueStore
        private let owner: RecordingStorage

        init(inner: any KeyValueStore, owner: RecordingStorage) {
            self.inner = inner
            self.owner = owner
        }

        func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead { try inner.readImmediately(key) }
        func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] { try await inner.read(keys) }

        func entries(
            from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
        ) async throws(PortError) -> [KeyValueEntry] {
            try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
        }

        func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
            owner.written.withLock { $0.append(batch) }
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
