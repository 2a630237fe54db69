package import DWebPorts

/// A store that passes every call on, tells a test about it, and lets the test refuse it.
package final class WatchedStore: KeyValueStore {
    /// What a test wants to know, and to decide.
    package struct Hooks: Sendable {
        /// Whether the store waits for a medium: nothing can be had at once, and every call suspends.
        package var isSlow = false
        /// Called before everything that reads or writes: what it throws is the answer.
        package var admit: @Sendable () throws(PortError) -> Void = {}
        /// Called with what was read key by key.
        package var read: @Sendable ([[UInt8]?]) -> Void = { _ in }
        /// Called with what was read of a range.
        package var scan: @Sendable ([KeyValueEntry]) -> Void = { _ in }
        /// Called before a batch is applied: what it throws is the answer.
        package var write: @Sendable (WriteBatch, Durability) async throws(PortError) -> Void = { _, _ in }
        /// Whether the store says that it lost writes.
        package var hasLostWrites: @Sendable () -> Bool = { false }
        /// Takes note of the loss; false if that fails.
        package var acknowledgeLoss: @Sendable () -> Bool = { true }
        /// Called when the store was closed.
        package var closed: @Sendable () async -> Void = {}

        /// Hooks that do nothing.
        package init() {}
    }

    private let inner: any KeyValueStore
    private let hooks: Hooks

    /// Watches `inner`.
    package init(_ inner: any KeyValueStore, _ hooks: Hooks) {
        self.inner = inner
        self.hooks = hooks
    }

    /// Watches `inner` with the hooks that `set` sets.
    package convenience init(_ inner: any KeyValueStore, _ set: (inout Hooks) -> Void) {
        var hooks = Hooks()
        set(&hooks)
        self.init(inner, hooks)
    }

    package var hasLostWrites: Bool { hooks.hasLostWrites() }

    package func acknowledgeLoss() async throws(PortError) {
        guard hooks.acknowledgeLoss() else { throw PortError(.failed, "The power failed") }
    }

    package func readImmediately(_ key: [UInt8]) throws(PortError) -> ImmediateRead {
        try hooks.admit()
        if hooks.isSlow { return .wouldWait }
        let answer = try inner.readImmediately(key)
        switch answer {
        case .value(let value): hooks.read([value])
        case .absent, .wouldWait: hooks.read([nil])
        }
        return answer
    }

    package func read(_ keys: [[UInt8]]) async throws(PortError) -> [[UInt8]?] {
        try await prepare()
        let values = try await inner.read(keys)
        hooks.read(values)
        return values
    }

    package func read(_ keys: [[UInt8]], byteLimit: Int) async throws(PortError) -> [[UInt8]?] {
        try await prepare()
        let values = try await inner.read(keys, byteLimit: byteLimit)
        hooks.read(values)
        return values
    }

    package func entries(
        from start: [UInt8], to end: [UInt8], limit: Int, isReversed: Bool
    ) async throws(PortError) -> [KeyValueEntry] {
        try await prepare()
        let entries = try await inner.entries(from: start, to: end, limit: limit, isReversed: isReversed)
        hooks.scan(entries)
        return entries
    }

    package func entriesImmediately(
        from start: [UInt8], to end: [UInt8], limit: Int, byteLimit: Int
    ) throws(PortError) -> [KeyValueEntry]? {
        try hooks.admit()
        if hooks.isSlow { return nil }
        let entries = try inner.entriesImmediately(from: start, to: end, limit: limit, byteLimit: byteLimit)
        hooks.scan(entries ?? [])
        return entries
    }

    package func apply(_ batch: WriteBatch, durability: Durability) async throws(PortError) {
        try await prepare()
        try await hooks.write(batch, durability)
        try await inner.apply(batch, durability: durability)
    }

    private func prepare() async throws(PortError) {
        if hooks.isSlow { await Task.yield() }
        try hooks.admit()
    }

    package func snapshot() throws(PortError) -> any KeyValueSnapshot { try inner.snapshot() }

    package func approximateByteCount(from start: [UInt8], to end: [UInt8]) async throws(PortError) -> UInt64 {
        try await inner.approximateByteCount(from: start, to: end)
    }

    package func compact(from start: [UInt8], to end: [UInt8]) async throws(PortError) {
        try await inner.compact(from: start, to: end)
    }

    package func close() async {
        await inner.close()
        await hooks.closed()
    }
}
