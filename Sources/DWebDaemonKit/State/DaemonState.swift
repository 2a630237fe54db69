import DWebBase
import DWebDatabase
import DWebPorts

/// What the daemon remembers, in a store of its own: a change is made in memory once it is on the medium.
///
/// A store that refused a write refuses everything until it is reopened, so the state does that by itself before the
/// next change; what was read at the start stays readable meanwhile.
actor DaemonState {
    private let path: String
    private nonisolated let runtime: DWebRuntime
    private var store: (any KeyValueStore)?
    private var turns = MutationQueue()
    private(set) var topics: [DiscoveryKey: TopicSetting] = [:]
    private(set) var seeds: [PublicKey: SeedRecord] = [:]
    private(set) var lists: [PublicKey: ListRecord] = [:]
    private(set) var limits = SeedLimits()
    /// Why nothing can be changed; nil while it can.
    private(set) var failure: String?
    private var isClosed = false

    /// The number of the layout that this program knows.
    private static let layout: UInt8 = 1

    nonisolated var unownedExecutor: UnownedSerialExecutor { runtime.loop.asUnownedSerialExecutor() }

    private init(path: String, runtime: DWebRuntime) {
        self.path = path
        self.runtime = runtime
    }

    /// Opens the state at `path`, making an empty one if there is none, and reads it.
    static func open(_ path: String, runtime: DWebRuntime) async throws(PortError) -> DaemonState {
        let state = DaemonState(path: path, runtime: runtime)
        try await state.load()
        return state
    }

    private func load() async throws(PortError) {
        let store = try await runtime.storage.open(path, options: StorageOptions())
        self.store = store
        do throws(PortError) {
            try await read(store)
        } catch {
            await store.close()
            throw error
        }
    }

    private func read(_ store: any KeyValueStore) async throws(PortError) {
        let head = try await store.read([StateKeys.layout, StateKeys.limits])
        if let layout = head[0] {
            guard layout.first == DaemonState.layout else {
                throw PortError(.unsupportedFormat, "The daemon's state in \(path) was written by a newer version")
            }
        } else {
            var batch = WriteBatch()
            batch.put(StateKeys.layout, [DaemonState.layout])
            try await store.apply(batch, durability: .powerFailure)
        }
        do throws(CodecError) {
            if let bytes = head[1] { limits = try StateCoding.decodeLimits(bytes) }
            for (key, value) in try await entries(StateKeys.topics, store) {
                topics[DiscoveryKey(key)] = try StateCoding.decodeTopic(value)
            }
            for (key, value) in try await entries(StateKeys.seeds, store) {
                seeds[PublicKey(key)] = try StateCoding.decodeSeed(value)
            }
            for (key, value) in try await entries(StateKeys.lists, store) {
                lists[PublicKey(key)] = try StateCoding.decodeList(value)
            }
        } catch {
            throw PortError(.corrupted, "The daemon's state in \(path) cannot be read")
        }
    }

    private func entries(
        _ kind: UInt8, _ store: any KeyValueStore
    ) async throws(CodecError) -> [(Bytes32, [UInt8])] {
        let span = StateKeys.span(kind)
        let entries: [KeyValueEntry]
        do throws(PortError) {
            entries = try await store.entries(from: span.start, to: span.end, limit: .max, isReversed: false)
        } catch {
            throw .outOfBounds
        }
        var result: [(Bytes32, [UInt8])] = []
        for entry in entries {
            guard let key = Bytes32(entry.key.dropFirst()) else { throw .outOfBounds }
            result.append((key, entry.value))
        }
        return result
    }

    // MARK: Changing

    /// Sets or removes what is done for a log; nil removes.
    func setTopic(_ key: DiscoveryKey, _ setting: TopicSetting?) async throws(DaemonError) {
        try await change { state in
            guard state.topics[key] != setting else { return nil }
            var batch = WriteBatch()
            if let setting {
                batch.put(StateKeys.topic(key), StateCoding.encode(setting))
            } else {
                batch.delete(StateKeys.topic(key))
            }
            return (batch, { $0.topics[key] = setting })
        }
    }

    /// Changes any number of seeds together; `body` gets the present records and returns the new ones, nil to remove.
    func changeSeeds(
        _ body: @Sendable ([PublicKey: SeedRecord]) throws(DaemonError) -> [PublicKey: SeedRecord?]
    ) async throws(DaemonError) {
        try await change { (state) throws(DaemonError) in
            let changes = try body(state.seeds).filter { state.seeds[$0.key] != $0.value }
            guard !changes.isEmpty else { return nil }
            return (DaemonState.batch(changes), { $0.put(changes) })
        }
    }

    /// Follows a list, or stops to: the list and the seeds that it named change together.
    func setList(
        _ key: PublicKey, _ record: ListRecord?,
        _ body: @Sendable ([PublicKey: SeedRecord]) -> [PublicKey: SeedRecord?] = { _ in [:] }
    ) async throws(DaemonError) {
        try await change { (state) throws(DaemonError) in
            if record != nil, state.lists[key] == nil, state.lists.count >= DaemonConstants.listCount {
                throw DaemonError(
                    .limitReached, "\(DaemonConstants.listCount) lists are followed, which is the limit")
            }
            let changes = body(state.seeds)
            var batch = DaemonState.batch(changes)
            if let record {
                batch.put(StateKeys.list(key), StateCoding.encode(record))
            } else {
                batch.delete(StateKeys.list(key))
            }
            return (
                batch,
                {
                    $0.lists[key] = record
                    $0.put(changes)
                }
            )
        }
    }

    /// Changes the limits.
    func setLimits(_ limits: SeedLimits) async throws(DaemonError) {
        try await change { state in
            var batch = WriteBatch()
            batch.put(StateKeys.limits, StateCoding.encode(limits))
            return (batch, { $0.limits = limits })
        }
    }

    private static func batch(_ changes: [PublicKey: SeedRecord?]) -> WriteBatch {
        var batch = WriteBatch()
        for key in changes.keys.sorted() {
            if let record = changes[key] ?? nil {
                batch.put(StateKeys.seed(key), StateCoding.encode(record))
            } else {
                batch.delete(StateKeys.seed(key))
            }
        }
        return batch
    }

    private func put(_ changes: [PublicKey: SeedRecord?]) {
        for (key, record) in changes { seeds[key] = record }
    }

    /// Decides on a change when nobody else makes one, writes it, and makes it in memory once it is on the medium.
    private func change(
        _ decide: (isolated DaemonState) throws(DaemonError) -> (WriteBatch, (isolated DaemonState) -> Void)?
    ) async throws(DaemonError) {
        if !turns.tryEnter() { await withCheckedContinuation { turns.enqueue($0) } }
        defer { turns.leave() }
        guard !isClosed else { throw .closed }
        try await reopenIfNeeded()
        guard let store, let (batch, commit) = try decide(self) else { return }
        do throws(PortError) {
            try await store.apply(batch, durability: .powerFailure)
        } catch {
            failure = "The daemon's state cannot be written: \(error.detail)"
            self.store = nil
            await store.close()
            throw DaemonError(.readOnly, failure ?? error.detail)
        }
        commit(self)
    }

    // MARK: Failing and recovering

    /// Tries to write again after a failure; returns whether changes are possible.
    @discardableResult
    func recover() async -> Bool {
        guard failure != nil, !isClosed else { return failure == nil }
        if !turns.tryEnter() { await withCheckedContinuation { turns.enqueue($0) } }
        defer { turns.leave() }
        do throws(DaemonError) { try await reopenIfNeeded() } catch { return false }
        return true
    }

    private func reopenIfNeeded() async throws(DaemonError) {
        guard store == nil else { return }
        do throws(PortError) {
            let store = try await runtime.storage.open(path, options: StorageOptions())
            var batch = WriteBatch()
            batch.put(StateKeys.layout, [DaemonState.layout])
            do throws(PortError) {
                try await store.apply(batch, durability: .powerFailure)
            } catch {
                await store.close()
                throw error
            }
            self.store = store
            failure = nil
        } catch {
            let reason = "The daemon's state cannot be written: \(error.detail)"
            failure = reason
            throw DaemonError(.readOnly, reason)
        }
    }

    /// Gives the store's lock back. Callable more than once.
    func close() async {
        if !turns.tryEnter() { await withCheckedContinuation { turns.enqueue($0) } }
        defer { turns.leave() }
        isClosed = true
        await store?.close()
        store = nil
    }
}
