import DWebPorts
import DWebSimulation
import DWebTestSupport
import Synchronization

/// A store in memory that can lose power: what was not synchronised is lost, in part or out of order.
///
/// A write counts as on the medium once a later synchronising write, or itself, was one. Up to then it is in a cache,
/// as
/// with a real disk. Batches are never torn apart: each is one checksummed record of the write-ahead log.
final class CrashingStorage: StorageProvider {
    /// What becomes of writes that are not on the medium when power fails.
    enum Loss: CaseIterable {
        /// All of them are lost.
        case all
        /// Some of the newest are lost: a torn end of the write-ahead log is cut off.
        case tail
        /// Any of them are lost, as a medium may do that writes its cache in an order of its own.
        case any
    }

    private struct State {
        var medium = MemoryStorage()
        var pending: [WriteBatch] = []
        var writeCount = 0
        var crashAfter: Int?
        var isCrashed = false
        var generation = 0
        var random: SimulationRandom
    }

    private let state: Mutex<State>

    init(seed: UInt64) {
        state = Mutex(State(random: SimulationRandom(seed: seed, stream: "disk")))
    }

    /// The number of writes so far.
    var writeCount: Int { state.withLock { $0.writeCount } }
    var isCrashed: Bool { state.withLock { $0.isCrashed } }

    /// Lets power fail during the write with this number, counted from now on: nothing works any more after that.
    func crash(afterWrites count: Int) { state.withLock { $0.crashAfter = $0.writeCount + count } }

    /// Switches power on again: what survives is on the medium.
    func restart(_ loss: Loss) async throws(PortError) {
        let (survivors, medium) = state.withLock { state -> ([WriteBatch], MemoryStorage) in
            let batches = state.pending
            let kept: [WriteBatch]
            switch loss {
            case .all: kept = []
            case .tail: kept = Array(batches.prefix(Int.random(in: 0...batches.count, using: &state.random)))
            case .any: kept = batches.filter { _ in Bool.random(using: &state.random) }
            }
            state.pending = []
            state.crashAfter = nil
            state.isCrashed = false
            state.generation += 1
            return (kept, state.medium)
        }
        let raw = try await medium.open("store", options: StorageOptions())
        for batch in survivors { try await raw.apply(batch, durability: .processCrash) }
        await raw.close()
    }

    func open(_ path: String, options: StorageOptions) async throws(PortError) -> any KeyValueStore {
        let (medium, generation) = state.withLock { ($0.medium, $0.generation) }
        // The cache shows everything, the medium only what is synchronised: two stores in memory.
        let cache = MemoryStorage()
        let cached = try await cache.open("store", options: StorageOptions())
        let durable = try await medium.open("store", options: options)
        var batch = WriteBatch()
        for entry in try await durable.entries(from: [0], to: [7], limit: .max, isReversed: false) {
            batch.put(entry.key, entry.value)
        }
        try await cached.apply(batch, durability: .processCrash)
        return WatchedStore(cached) {
            $0.admit = { () throws(PortError) in try self.check(generation) }
            $0.write = { (batch, durability) throws(PortError) in
                try await self.write(batch, durability, to: durable, generation)
            }
            $0.closed = { await durable.close() }
        }
    }

    private static let powerFailure = PortError(.failed, "The power failed")

    private func check(_ generation: Int) throws(PortError) {
        if state.withLock({ $0.isCrashed || $0.generation != generation }) { throw CrashingStorage.powerFailure }
    }

    private func write(
        _ batch: WriteBatch, _ durability: Durability, to durable: any KeyValueStore, _ generation: Int
    ) async throws(PortError) {
        let isCrash = state.withLock { state -> Bool in
            state.pending.append(batch)
            state.writeCount += 1
            state.isCrashed = state.crashAfter.map { state.writeCount > $0 } ?? false
            return state.isCrashed
        }
        await Task.yield()
        if isCrash {
            // The medium has no other handle on itself while it is off.
            await durable.close()
            throw CrashingStorage.powerFailure
        }
        try check(generation)
        guard durability == .powerFailure else { return }
        let synchronised = state.withLock { state -> [WriteBatch] in
            defer { state.pending = [] }
            return state.pending
        }
        for batch in synchronised { try await durable.apply(batch, durability: durability) }
    }
}
