import DWebBase
import DWebDatabase
import DWebPorts
import DWebSimulation
import DWebStore
import Testing

/// Two histories under one key: the same primary key in use on two machines.
@Suite struct ConflictTests {
    /// Opens the two writers' stores and gives their logs 15 common blocks, then `counts` different ones.
    private func twoWriters(
        _ world: SimulatedWorld, _ counts: (Int, Int)
    ) async throws -> (honest: (Basestore, DDatabase), double: (Basestore, DDatabase)) {
        let honest = try await world.store(1)
        let double = try await world.store(1)
        let log = try await honest.database(named: "log")
        let other = try await double.database(named: "log")
        #expect(log.key == other.key)
        for writer in [log, other] { try await writer.append((0..<15).map { content($0) }) }
        try await log.append((0..<counts.0).map { content(100 + $0) })
        try await other.append((0..<counts.1).map { content(200 + $0) })
        return ((honest, log), (double, other))
    }

    /// The second history may be longer, as long, or shorter than the first.
    @Test(arguments: [(5, 15), (5, 5), (15, 5)])
    func aSecondHistoryFreezesTheLog(counts: (Int, Int)) throws {
        let world = SimulatedWorld(seed: 101)
        try world.run {
            let (honest, double) = try await twoWriters(world, counts)
            let reader = try await world.store(2)
            let copy = try await reader.database(key: honest.1.key)
            try await connected(honest.0, reader) { try await copy.download(0..<(counts.0 > counts.1 ? 30 : 12)) }
            #expect(copy.length == honest.1.length)
            try await connected(double.0, reader) {
                await expectCode(.conflict) {
                    for index in 0..<UInt64(40) { _ = try await copy.block(at: index, .wait(upTo: .seconds(3))) }
                }
                #expect(await eventually(world.loop) { copy.peerCount == 0 })
            }
            await expectCode(.conflict) { try await copy.download(0..<100) }
            await expectCode(.conflict) { try await double.1.append([1]) }
            try await honest.1.append([1])
            for store in [honest.0, double.0, reader] { await store.close() }
        }
    }

    @Test func aPeerWithTheSameHistoryIsNoConflict() throws {
        let world = SimulatedWorld(seed: 102)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<20).map { content($0) })
            let first = try await world.store(2)
            let second = try await world.store(3)
            let copy = try await first.database(key: source.key)
            let other = try await second.database(key: source.key)
            try await connected(writer, first) { try await copy.download(0..<20) }
            try await source.append((20..<40).map { content($0) })
            try await connected(writer, second) { try await other.download(0..<40) }
            try await connected(first, second) { try await copy.download(0..<40) }
            try await source.append(content(40))
            #expect(copy.length == 40 && other.length == 40)
            for store in [writer, first, second] { await store.close() }
        }
    }
}
