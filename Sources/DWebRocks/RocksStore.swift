import CRocksDB
import DWebPorts
import Dispatch
import Synchronization

/// An open store on disk.
///
/// Small writes that need no synchronisation go to the operating system at once, which costs a few microseconds; a hop
/// to another thread would cost more. Everything that may wait for the medium runs on the store's own queues.
final class RocksStore: KeyValueStore {
    private struct State {
        var database: RocksDatabase?
        var failure: PortError?
    }

    private let state: Mutex<State>
    private let marker: StoreMarker?
    /// Where it is marked that writes were lost, while they are and nobody has taken note.
    private let lossDirectory: Mutex<String?>
    private let writer = DiskWorker(label: "dweb.store.write")
    private let reader = DiskWorker(label: "dweb.store.read", isConcurrent: true)
    private let pace = Mutex(ReadPace())
    // Larger batches spend more time copying than a hop to the writer's thread costs.
    private static let immediateByteLimit = 256 * 1024
    // So many reads take some milliseconds, far more than it costs to wake another thread for half of them.
    private static let sharedReadCount = 1_024

    init(database: RocksDatabase, marker: StoreMarker?, lossDirectory: String? = nil) {
        state = Mutex(State(database: database))
        self.marker = marker
        self.lossDirectory = Mutex(lossDirectory)
    }

    var hasLostWrites: Bool { lossDirectory.withLock { $0 != nil } }

    func acknowledgeLoss() async throws(PortError) {
        guard let directory = lossDirectory.withLock({ $0 }) else { return }
        try await writer.run { () throws(PortError) in WriteLoss.removeMark(in: directory) }
        lossDirectory.withLock { $0 = nil }
    }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        let database = try open()
        guard pace.withLock({ $0.isQuick }) else { return try database.read(key, isImmediate: true) }
        let start = ContinuousClock.now
        let result = try database.read(key, isImmediate: false)
        let time = start.duration(to: .now)
        let isLarge = if case .value(let value) = result { value.count >= ReadPace.largeByteCount } else { false }
        pace.withLock { $0.note(1, time, isLarge: isLarge) }
        return result
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        try await read(keys) { (database, keys) throws(PortError) in try database.read(keys) }
    }

    func read(_ keys: [[UInt8]], byteLimit: Int) async throws(PortError) -> [[UInt8]?] {
        try await read(keys) { (database, keys) throws(PortError) in
            try database.read(keys[...], byteLimit: byteLimit)
        }
    }

    private func read(
        _ keys: [[UInt8]],
        _ body: @escaping @Sendable (RocksDatabase, [[UInt8]]) throws(PortError) -> [[UInt8]?]
    ) async throws(PortError) -> [[UInt8]?] {
        let database = try open()
        let (values, time) = try await reader.run { () throws(PortError) -> ([[UInt8]?], Duration) in
            let start = ContinuousClock.now
            let isShared = keys.count >= RocksStore.sharedReadCount
            let values =
                isShared
                ? try RocksStore.byHalves(keys) { (half) throws(PortError) in try body(database, half) }
                : try body(database, keys)
            return (values, start.duration(to: .now))
        }
        let isLarge = values.contains { ($0?.count ?? 0) >= ReadPace.largeByteCount }
        if !values.isEmpty { pace.withLock { $0.note(values.count, time, isLarge: isLarge) } }
        return values
    }

    /// What `body` gives for either half of `keys`, each read on a thread of its own; of the first alone if that was
    /// not given whole.
    private static func byHalves(
        _ keys: [[UInt8]], _ body: @Sendable ([[UInt8]]) throws(PortError) -> [[UInt8]?]
    ) throws(PortError) -> [[UInt8]?] {
        let halves = [Array(keys[..<(keys.count / 2)]), Array(keys[(keys.count / 2)...])]
        let results = Mutex<[Result<[[UInt8]?], PortError>]>([.success([]), .success([])])
        DispatchQueue.concurrentPerform(iterations: halves.count) { index in
            let result = Result { () throws(PortError) in try body(halves[index]) }
            results.withLock { $0[index] = result }
        }
        let (first, second) = results.withLock { ($0[0], $0[1]) }
        let values = try first.get()
        return values.count == halves[0].count ? values + (try second.get()) : values
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        let database = try open()
        let (entries, time) = try await reader.run { () throws(PortError) -> ([KeyValueEntry], Duration) in
            let begin = ContinuousClock.now
            let entries = try database.entries(from: start, to: end, limit: limit, isReversed: isReversed)
            return (entries, begin.duration(to: .now))
        }
        note(entries, time)
        return entries
    }

    func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        let database = try open()
        let isQuick = pace.withLock { $0.isQuick }
        let begin = ContinuousClock.now
        let entries = try database.entries(
            from: start, to: end, limit: limit, byteLimit: byteLimit, isImmediate: !isQuick)
        if isQuick, let entries { note(entries, begin.duration(to: .now)) }
        return entries
    }

    private func note(_ entries: [KeyValueEntry], _ time: Duration) {
        guard !entries.isEmpty else { return }
        let isLarge = entries.contains { $0.value.count >= ReadPace.largeByteCount }
        pace.withLock { $0.note(scanOf: entries.count, time, isLarge: isLarge) }
    }

    func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
        let database = try open()
        let isSynchronous = durability == .powerFailure
        do throws(PortError) {
            if !isSynchronous, batch.byteCount <= RocksStore.immediateByteLimit {
                try database.apply(batch, isSynchronous: false)
            } else {
                try await writer.run { () throws(PortError) in
                    try database.apply(batch, isSynchronous: isSynchronous)
                }
            }
        } catch {
            // After a failed write nobody knows what the medium holds: refuse until it is reopened.
            state.withLock { $0.failure = error }
            throw error
        }
    }

    func snapshot() throws(PortError) -> any KeyValueSnapshot {
        RocksSnapshot(database: try open(), reader: reader)
    }

    func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 {
        let database = try open()
        return try await reader.run { () throws(PortError) -> UInt64 in
            try database.approximateByteCount(from: start, to: end)
        }
    }

    func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) {
        let database = try open()
        try await writer.run { () throws(PortError) in database.compact(from: start, to: end) }
    }

    func close() async {
        let last = state.withLock { state -> LastReference? in
            guard let database = state.database else { return nil }
            state.database = nil
            return LastReference(database)
        }
        guard let last else { return }
        // A read that has answered may still hold the database for a moment, which then would be open after this.
        await reader.drain()
        // Closing flushes, which must not happen on the thread of the caller.
        _ = try? await writer.run { () throws(PortError) in last.database.withLock { $0 = nil } }
        marker?.release()
    }

    /// Holds what is to be let go on another thread.
    private final class LastReference: Sendable {
        let database: Mutex<RocksDatabase?>

        init(_ database: RocksDatabase) { self.database = Mutex(database) }
    }

    private func open() throws(PortError) -> RocksDatabase {
        let (database, failure) = state.withLock { ($0.database, $0.failure) }
        if let failure {
            throw PortError(
                failure.code, "The store stopped after a failed write and must be reopened: \(failure.detail)")
        }
        guard let database else { throw PortError(.closed, "The store is closed") }
        return database
    }
}

/// A store on disk as it was at one moment.
///
/// `@unchecked` for the same reason as ``RocksDatabase``: RocksDB's snapshot may be read from any thread.
final class RocksSnapshot: KeyValueSnapshot, @unchecked Sendable {
    private let database: RocksDatabase
    private let reader: DiskWorker
    private let handle: OpaquePointer
    private let readOptions: OpaquePointer
    private let cachedReadOptions: OpaquePointer

    init(database: RocksDatabase, reader: DiskWorker) {
        self.database = database
        self.reader = reader
        handle = rocksdb_create_snapshot(database.handle)!
        readOptions = rocksdb_readoptions_create()!
        rocksdb_readoptions_set_snapshot(readOptions, handle)
        cachedReadOptions = rocksdb_readoptions_create()!
        rocksdb_readoptions_set_snapshot(cachedReadOptions, handle)
        rocksdb_readoptions_set_read_tier(cachedReadOptions, RocksDatabase.memoryTier)
    }

    deinit {
        rocksdb_readoptions_destroy(readOptions)
        rocksdb_readoptions_destroy(cachedReadOptions)
        rocksdb_release_snapshot(database.handle, handle)
    }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        try database.read(key, isImmediate: true, snapshot: cachedReadOptions)
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        try await reader.run { [self] () throws(PortError) -> [[UInt8]?] in
            var values: [[UInt8]?] = []
            for key in keys {
                switch try database.read(key, isImmediate: false, snapshot: readOptions) {
                case .value(let value): values.append(value)
                case .absent, .wouldWait: values.append(nil)
                }
            }
            return values
        }
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        try await reader.run { [self] () throws(PortError) -> [KeyValueEntry] in
            try database.entries(from: start, to: end, limit: limit, isReversed: isReversed, snapshot: handle)
        }
    }

    func close() {
        // The view is released with the last reference, since a read may still run.
    }
}
