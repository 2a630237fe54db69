import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import Synchronization
import Testing

/// Power failures at every write, with a medium that loses what was not synchronised, in part or out of order.
@Suite struct CrashTests {
    /// Runs two logs of one store until power fails, and returns every state that each log may have after that.
    private func run(
        _ world: SimulatedWorld, _ storage: CrashingStorage, seed: UInt64, _ durability: Durability
    ) async throws -> [[CrashModel]] {
        var options = BasestoreOptions()
        options.primaryKey = Bytes32(repeating: 1)
        options.durability = durability
        let store: Basestore
        do throws(BasestoreError) {
            store = try await Basestore.open("store", runtime: world.host(1, storage: storage), options: options)
        } catch {
            return [[CrashModel()], [CrashModel()]]
        }
        let states = await withTaskGroup(of: (Int, [CrashModel]).self) { group in
            for number in 0..<2 {
                group.addTask {
                    var states = [CrashModel()]
                    guard let log = try? await store.database(named: "log\(number)") else { return (number, states) }
                    var workload = CrashWorkload(seed: seed + UInt64(number), largestByteCount: 200)
                    for _ in 0..<12 {
                        let change = workload.next(length: UInt64(states[states.count - 1].blocks.count))
                        var next = states[states.count - 1]
                        next.apply(change)
                        states.append(next)
                        do throws(DDatabaseError) {
                            try await log.make(change)
                        } catch {
                            #expect(error.code == .storage)
                            await expectCode(.storage) { try await log.append([1]) }
                            return (number, states)
                        }
                        // Before this point the change may or may not survive; now it must.
                        if durability == .powerFailure { states.removeFirst(states.count - 1) }
                    }
                    return (number, states)
                }
            }
            var all: [[CrashModel]] = [[], []]
            for await (number, states) in group { all[number] = states }
            return all
        }
        await store.close()
        return states
    }

    private func check(
        _ world: SimulatedWorld, _ storage: CrashingStorage, _ possible: [[CrashModel]], _ context: String
    ) async throws {
        let store = try await world.store(1, storage: storage)
        for number in 0..<2 {
            let log = try await store.database(named: "log\(number)")
            let found = try await CrashModel(reading: log)
            #expect(possible[number].contains(found), "\(context), log \(number)")
            // The log goes on from there.
            let index = try await log.append(content(1))
            #expect(index == UInt64(found.blocks.count))
        }
        await store.close()
    }

    /// With synchronised writes every acknowledged change survives, whatever the medium does with the rest.
    @Test(arguments: CrashingStorage.Loss.allCases)
    func synchronisedWritesSurvive(loss: CrashingStorage.Loss) throws {
        var crashCount = 0
        for step in 0..<40 {
            let world = SimulatedWorld(seed: 121)
            let isCrashed = try world.run {
                let storage = CrashingStorage(seed: UInt64(step))
                storage.crash(afterWrites: step)
                let possible = try await run(world, storage, seed: 7, .powerFailure)
                let isCrashed = storage.isCrashed
                try await storage.restart(loss)
                try await check(world, storage, possible, "\(loss) at write \(step)")
                return isCrashed
            }
            if isCrashed { crashCount += 1 }
        }
        #expect(crashCount > 20)
    }

    /// Without synchronisation the newest changes may be lost, but what is left is a state that the log once had.
    @Test(arguments: [CrashingStorage.Loss.all, .tail])
    func unsynchronisedWritesSurviveAsAPrefix(loss: CrashingStorage.Loss) throws {
        for step in stride(from: 1, to: 40, by: 2) {
            let world = SimulatedWorld(seed: 122)
            try world.run {
                let storage = CrashingStorage(seed: UInt64(step))
                storage.crash(afterWrites: step)
                let possible = try await run(world, storage, seed: 9, .processCrash)
                try await storage.restart(loss)
                try await check(world, storage, possible, "\(loss) at write \(step)")
            }
        }
    }

    /// A full or broken disk stops the store with a typed error and loses nothing that was acknowledged.
    @Test(arguments: [PortError.Code.noSpace, .failed, .corrupted])
    func refusedWritesLoseNothing(code: PortError.Code) throws {
        for step in 0..<12 {
            let world = SimulatedWorld(seed: 123)
            let storage = FailingStorage()
            try world.run {
                let store = try await world.store(1, storage: storage)
                let log = try await store.database(named: "log")
                var workload = CrashWorkload(seed: 11, largestByteCount: 200)
                var model = CrashModel()
                for _ in 0..<step {
                    let change = workload.next(length: log.length)
                    try await log.make(change)
                    model.apply(change)
                }
                storage.failure = PortError(code, "The disk refuses")
                let change = workload.next(length: log.length)
                await expectCode(.storage) { try await log.make(change) }
                storage.failure = nil
                // What is here stays readable; nothing can be changed before the store is opened again.
                if log.contiguousLength > 0 { _ = await codeOf { try await log.block(at: 0, .localOnly) } }
                await expectCode(.storage) { try await log.make(change) }
                await store.close()
                let again = try await world.store(1, storage: storage)
                let reopened = try await again.database(named: "log")
                let found = try await CrashModel(reading: reopened)
                #expect(found == model, "after \(step) changes")
                try await reopened.make(change)
                model.apply(change)
                let changed = try await CrashModel(reading: reopened)
                #expect(changed == model)
                await again.close()
            }
        }
    }
}
