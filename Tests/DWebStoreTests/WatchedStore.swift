import DWebPorts

/// A store that passes every call on and tells a test about it.
final class WatchedStore: KeyValueStore {
    /// What a test wants to know, and to decide.
    struct Hooks: Sendable {
        /// Called before so many keys are read one by one.
        var read: @Sendable (_ keyCount: Int) -> Void = { _ in }
        /// Called before a range is read.
        var scan: @Sendable () -> Void = {}
        /// Called before a batch is applied.
        var write: @Sendable (WriteBatch) -> Void = { _ in }
        /// Whether the store says that it lost writes.
        var hasLostWrites: @Sendable () -> Bool = { false }
        /// Takes note of the loss; false if that fails.
        var acknowledgeLoss: @Sendable () -> Bool = { true }
    }

    private let inner: any KeyValueStore
    private let hooks: Hooks

    init(_ inner: any KeyValueStore, _ hooks: Hooks) {
        self.inner = inner
        self.hooks = hooks
    }

    var hasLostWrites: Bool { hooks.hasLostWrites() }

    func acknowledgeLoss() async throws(PortError) {
        guard hooks.acknowledgeLoss() else { throw PortError(.failed, "The power failed") }
    }

    func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        hooks.read(1)
        return try inner.readImmediately(key)
    }

    func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        hooks.read(keys.count)
        return try await inner.read(keys)
    }

    func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        hooks.scan()
        return try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
    }

    func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        hooks.scan()
        return try inner.entriesImmediately(from: start, to: end, limit: limit, byteLimit: byteLimit)
    }

    func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
        hooks.write(batch)
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
