import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebSimulation
import DWebStore
import Foundation
import Testing

@testable import DWebRocks

/// A store that lost its newest writes: its logs' writers ask their readers before they go on; spec 40 section 12.
@Suite("Recovery after lost writes") struct RecoveryTests {
    private static let lostCount = 5

    /// A writer with ten blocks that a reader has, of which the writer then loses the newest five.
    private func writerWithLoss(
        _ world: SimulatedWorld, _ storage: LossyStorage
    ) async throws -> (writer: Basestore, log: DDatabase, reader: Basestore, copy: DDatabase) {
        let before = try await world.store(1, storage: storage)
        let source = try await before.database(named: "log")
        for index in 0..<10 { try await source.append(content(index)) }
        let reader = try await world.store(2)
        let copy = try await reader.database(key: source.key)
        try await connected(before, reader) { try await copy.download(0..<10) }
        await before.close()
        try await storage.lose(batchCount: RecoveryTests.lostCount)
        let writer = try await world.store(1, storage: storage)
        return (writer, try await writer.database(named: "log"), reader, copy)
    }

    @Test("a writer takes back from its readers what it lost, and only then appends")
    func appendsAfterWhatReadersHave() throws {
        let world = SimulatedWorld(seed: 301)
        try world.run {
            let storage = LossyStorage()
            let (writer, log, reader, copy) = try await writerWithLoss(world, storage)
            #expect(log.isRecovering && log.length == 5 && !storage.hasLostWrites)
            let start = world.loop.now
            let index = try await connected(writer, reader) {
                let index = try await log.append(content(99))
                let read = try await copy.block(at: 10, .wait(upTo: .seconds(5)))
                #expect(read == content(99))
                return index
            }
            #expect(index == 10)
            #expect(world.loop.now - start >= .milliseconds(250) * 31)
            #expect(!log.isRecovering && !copy.isRecovering && !log.isFrozen && !copy.isFrozen)
            await writer.close()

            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "log")
            #expect(!reopened.isRecovering && reopened.length == 11)
            await again.close()
            await reader.close()
        }
    }

    @Test("without peers an append waits, can be given up, and waits again after a restart")
    func waitsAlone() throws {
        let world = SimulatedWorld(seed: 302)
        try world.run {
            let storage = LossyStorage()
            let (writer, log, reader, _) = try await writerWithLoss(world, storage)
            await withTaskGroup { group in
                group.addTask { await expectCode(.cancelled) { try await log.append(content(99)) } }
                await pause(world.loop, .seconds(120))
                #expect(log.isRecovering && log.length == 5)
                group.cancelAll()
            }
            await writer.close()

            let again = try await world.store(1, storage: storage)
            let reopened = try await again.database(named: "log")
            #expect(reopened.isRecovering)
            await withTaskGroup { group in
                group.addTask { await expectCode(.closed) { try await reopened.append(content(99)) } }
                await pause(world.loop, .seconds(1))
                await again.close()
            }
            await reader.close()
        }
    }

    @Test("a peer that is gone too soon does not count")
    func countsConsecutivePolls() throws {
        let world = SimulatedWorld(seed: 303)
        try world.run {
            let (writer, log, reader, _) = try await writerWithLoss(world, LossyStorage())
            try await withThrowingTaskGroup { group in
                group.addTask { _ = try await log.append(content(99)) }
                for _ in 0..<3 {
                    try await connected(writer, reader) { await pause(world.loop, .seconds(6)) }
                    await pause(world.loop, .seconds(6))
                }
                // What the reader has is back already; that nobody has more is not certain yet.
                #expect(log.isRecovering && log.length == 10)
                let isOver = try await connected(writer, reader) {
                    await pause(world.loop, .seconds(14))
                    return !log.isRecovering && log.length == 11
                }
                #expect(isOver)
                try await group.waitForAll()
            }
            await writer.close()
            await reader.close()
        }
    }

    @Test("who knows that nobody has the lost blocks can go on at once")
    func endsByHand() throws {
        let world = SimulatedWorld(seed: 304)
        try world.run {
            let (writer, log, reader, _) = try await writerWithLoss(world, LossyStorage())
            async let appended = log.append(content(99))
            await pause(world.loop, .seconds(1))
            #expect(log.isRecovering && log.length == 5)
            let start = world.loop.now
            try await log.endRecovery()
            let index = try await appended
            #expect(index == 5 && !log.isRecovering && world.loop.now - start < .milliseconds(10))
            await writer.close()
            await reader.close()
        }
    }

    @Test("a loss is reported until every log knows of it")
    func marksAgainAfterAnInterruption() throws {
        let world = SimulatedWorld(seed: 305)
        try world.run {
            let storage = LossyStorage()
            storage.refuseAcknowledgement(true)
            await expectStoreCode(.storage) { try await writerWithLoss(world, storage) }
            #expect(storage.hasLostWrites)
            storage.refuseAcknowledgement(false)
            let writer = try await world.store(1, storage: storage)
            let log = try await writer.database(named: "log")
            #expect(log.isRecovering && !storage.hasLostWrites)
            let other = try await writer.database(named: "another, made since")
            #expect(!other.isRecovering)
            try await other.append(content(1))
            await writer.close()
        }
    }

    @Test("on disk the mark of a loss is a file, and giving up deletes the logs of newest writes only")
    func marksOnDisk() async throws {
        try await onDisk { path, runtime in
            let store = try await Basestore.open(path, runtime: runtime)
            let log = try await store.database(named: "log")
            try await log.append(content(0))
            // Writes tables, so that not everything is lost with the log of newest writes.
            try await store.reclaimSpace()
            try await log.append(content(1))
            await store.close()

            try WriteLoss.giveUpNewestWrites(in: path + "/db")
            let names = try FileManager.default.contentsOfDirectory(atPath: path + "/db")
            #expect(
                names.contains("RECOVERING") && names.contains("CURRENT") && names.contains { $0.hasSuffix(".sst") })
            #expect(!names.contains { $0.hasSuffix(".log") })

            let again = try await Basestore.open(path, runtime: runtime)
            let reopened = try await again.database(named: "log")
            #expect(reopened.isRecovering && reopened.length == 1)
            #expect(!FileManager.default.fileExists(atPath: path + "/db/RECOVERING"))
            try await reopened.endRecovery()
            await again.close()
        }
    }

    @Test("only a log of newest writes that contradicts the tables is given up")
    func remedies() {
        let backwards = PortError(
            .corrupted, "The database in x is damaged: Corruption: Sequence number is being set backwards for recovery")
        #expect(WriteLoss.isRemedy(for: backwards))
        #expect(!WriteLoss.isRemedy(for: PortError(.corrupted, "Corruption: block checksum mismatch")))
        #expect(!WriteLoss.isRemedy(for: PortError(.noSpace, "No space left on device")))
    }
}
