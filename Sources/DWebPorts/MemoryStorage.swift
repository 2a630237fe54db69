import Synchronization

/// Stores that live in memory, by name: for ephemeral peers and for tests.
///
/// A store that was closed keeps its content as long as the provider lives, so that a restart can be tried without a
/// disk. Opening a store that is open fails, as it does on disk.
public final class MemoryStorage: StorageProvider {
    private let stores = Mutex<[String: MemoryKeyValueStore.Content]>([:])

    /// A provider without stores.
    public init() {}

    /// Opens the store called `path`, creating it if the options allow.
    ///
    /// - Throws: ``PortError`` with code `locked` while it is open, `notFound` if it is missing and must not be
    ///   created.
    public func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let content: Result<MemoryKeyValueStore.Content, PortError> = stores.withLock { stores in
            if let content = stores[path] {
                guard options.isReadOnly || content.acquire() else {
                    return .failure(PortError(.locked, "The store \(path) is already open in this process"))
                }
                return .success(content)
            }
            guard options.createIfMissing else {
                return .failure(PortError(.notFound, "There is no store called \(path)"))
            }
            let content = MemoryKeyValueStore.Content()
            _ = content.acquire()
            stores[path] = content
            return .success(content)
        }
        return MemoryKeyValueStore(content: try content.get(), isReadOnly: options.isReadOnly)
    }
}

/// An open store in memory.
final class MemoryKeyValueStore: KeyValueStore {
    /// What survives the closing of a store.
    final class Content: Sendable {
        let entries = Mutex(SortedBytes())
        private let isOpen = Mutex(false)

        func acquire() -> Bool {
            isOpen.withLock { isOpen in
                defer { isOpen = true }
                return !isOpen
            }
        }

        func release() { isOpen.withLock { $0 = false } }
    }

    private let content: Content
    private let isReadOnly: Bool
    private let isClosed = Mutex(false)

    init(content: Content, isReadOnly: Bool) {
        self.content = content
        self.isReadOnly = isReadOnly
    }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        try checkOpen()
        return content.entries.withLock { $0[key] }.map { .value($0) } ?? .absent
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        try checkOpen()
        return content.entries.withLock { entries in keys.map { entries[$0] } }
    }

    func read(_ keys: [[UInt8]], byteLimit: Int) async throws(PortError) -> [[UInt8]?] {
        try checkOpen()
        return content.entries.withLock { entries in
            var values: [[UInt8]?] = []
            var byteCount = 0
            for key in keys {
                if !values.isEmpty, byteCount >= byteLimit { break }
                let value = entries[key]
                byteCount += value?.count ?? 0
                values.append(value)
            }
            return values
        }
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        try checkOpen()
        return content.entries.withLock { $0.entries(from: start, to: end, limit: limit, isReversed: isReversed) }
    }

    func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        try checkOpen()
        let entries = content.entries.withLock { $0.entries(from: start, to: end, limit: limit, isReversed: false) }
        var byteCount = 0
        let last = entries.firstIndex { entry in
            byteCount += entry.value.count
            return byteCount >= byteLimit
        }
        return last.map { Array(entries[...$0]) } ?? entries
    }

    func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
        try checkOpen()
        guard !isReadOnly else { throw PortError(.permissionDenied, "The store was opened read-only") }
        content.entries.withLock { entries in
            batch.forEach { operation in
                switch operation {
                case .put(let key, let value): entries[Array(key)] = Array(value)
                case .delete(let key): entries[Array(key)] = nil
                case .deleteRange(let start, let end): entries.removeRange(Array(start), Array(end))
                }
            }
        }
    }

    func snapshot() throws(PortError) -> any KeyValueSnapshot {
        try checkOpen()
        return MemorySnapshot(entries: content.entries.withLock { $0 })
    }

    func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 {
        try await entries(from: start, to: end, limit: .max, isReversed: false)
            .reduce(0) { $0 + UInt64($1.key.count + $1.value.count) }
    }

    func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) { try checkOpen() }

    func close() async {
        let wasClosed = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        if !wasClosed, !isReadOnly { content.release() }
    }

    private func checkOpen() throws(PortError) {
        if isClosed.withLock({ $0 }) { throw PortError(.closed, "The store is closed") }
    }
}

/// A memory store as it was at one moment.
final class MemorySnapshot: KeyValueSnapshot {
    private let entries: SortedBytes

    init(entries: SortedBytes) { self.entries = entries }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        entries[key].map { .value($0) } ?? .absent
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] { keys.map { entries[$0] } }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        entries.entries(from: start, to: end, limit: limit, isReversed: isReversed)
    }

    func close() {}
}
