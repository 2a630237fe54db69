import DWebBase
import DWebDatabase
import DWebPorts
import DWebPosix
import DWebRocks
import DWebSimulation
import DWebStore
import Foundation
import Testing

/// Two logs of a store under random operations, compared with plain arrays, on every kind of storage.
@Suite struct LogModelTests {
    enum Medium: CaseIterable, Sendable {
        case memory
        /// Memory in which every read has to wait.
        case slowMemory
        case disk
    }

    /// What a log must be.
    private struct Model: Equatable {
        var blocks: [[UInt8]?] = []
        /// The sizes of all blocks, of cleared ones as well.
        var sizes: [Int] = []
        var fork: UInt64 = 0
        var userData: [UInt8]?

        var contiguousLength: Int { blocks.firstIndex { $0 == nil } ?? blocks.count }

        mutating func append(_ new: [[UInt8]]) {
            blocks += new.map { $0 }
            sizes += new.map(\.count)
        }

        mutating func truncate(to length: Int, fork newFork: UInt64? = nil) {
            blocks.removeSubrange(length...)
            sizes.removeSubrange(length...)
            fork = newFork ?? fork + 1
        }

        /// The block of a byte, and the byte's place in it.
        func position(of byte: Int) -> (Int, Int) {
            var rest = byte
            for (index, size) in sizes.enumerated() {
                if rest < size { return (index, rest) }
                rest -= size
            }
            return (sizes.count, 0)
        }
    }

    @Test(arguments: Medium.allCases, [UInt64(1), 2, .random(in: 3 ... .max)])
    func behavesLikeArrays(medium: Medium, seed: UInt64) async throws {
        switch medium {
        case .memory, .slowMemory:
            let world = SimulatedWorld(seed: seed)
            let storage: any StorageProvider = medium == .memory ? MemoryStorage() : FailingStorage()
            try world.run { try await run(seed, "store", world.host(1, storage: storage)) }
        case .disk:
            let path = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            let loop = PosixLoop()
            try await run(seed, path, DWebRuntime.posix(loop: loop, storage: RocksStorage()))
            await loop.shutdown()
        }
    }

    private func run(_ seed: UInt64, _ path: String, _ runtime: DWebRuntime) async throws {
        var random = SimulationRandom(seed: seed, stream: "operations")
        var models = [Model(), Model()]
        var store = try await Basestore.open(path, runtime: runtime)
        var logs = [try await store.database(named: "0"), try await store.database(named: "1")]
        var snapshots: [(session: DDatabase, model: Model)] = []
        var draft: (log: Int, shared: Model, model: Model)?
        for step in 0..<160 {
            let number = Int.random(in: 0..<2, using: &random)
            let log = logs[number]
            let count = models[number].blocks.count
            func blocks(upTo most: Int) -> [[UInt8]] {
                (0..<Int.random(in: 0...most, using: &random)).map {
                    let isLarge = Int.random(in: 0..<30, using: &random) == 0
                    return content(
                        step * 100 + $0, byteCount: isLarge ? 5_000 : Int.random(in: 0..<40, using: &random))
                }
            }
            switch Int.random(in: 0..<16, using: &random) {
            case 0..<4:
                let new = blocks(upTo: 20)
                try await log.append(new)
                models[number].append(new)
            case 4 where count > 0:
                let length = Int.random(in: 0...count, using: &random)
                let fork = Bool.random(using: &random) ? models[number].fork + 3 : nil
                try await log.truncate(to: UInt64(length), fork: fork)
                models[number].truncate(to: length, fork: fork)
            case 5 where count > 0, 6 where count > 0:
                let start = Int.random(in: 0..<count, using: &random)
                let end = Int.random(in: start...count, using: &random)
                try await log.clear(UInt64(start)..<UInt64(end))
                for index in start..<end { models[number].blocks[index] = nil }
            case 7:
                await store.close()
                store = try await Basestore.open(path, runtime: runtime)
                logs = [try await store.database(named: "0"), try await store.database(named: "1")]
                snapshots = []
            case 8:
                if snapshots.count == 3 { await snapshots.removeFirst().session.close() }
                snapshots.append((try await log.snapshot(), models[number]))
            case 9:
                try await log.setUserData("kept", [UInt8(step)])
                models[number].userData = [UInt8(step)]
            case 10:
                let new = blocks(upTo: 4)
                var atom = Atom()
                atom.append(new, to: logs[0])
                let length = models[1].blocks.count / 2
                atom.truncate(logs[1], to: UInt64(length))
                atom.append(new, to: logs[1])
                atom.setUserData("kept", [9], of: logs[0])
                try await store.commit(atom)
                models[0].append(new)
                models[0].userData = [9]
                models[1].truncate(to: length)
                models[1].append(new)
            case 11:
                let begun = try await log.draft(named: "draft", overwriting: true)
                let new = blocks(upTo: 5)
                try await begun.append(new)
                if let draft, draft.log != number { try await logs[draft.log].discardDraft(named: "draft") }
                var model = models[number]
                model.append(new)
                draft = (number, models[number], model)
            case 12:
                guard let known = draft else { continue }
                draft = nil
                let now = models[known.log]
                // Blocks may have been cleared since; what matters is that the history is the same.
                let isSame = now.fork == known.shared.fork && now.sizes == known.shared.sizes
                do throws(DDatabaseError) {
                    try await logs[known.log].draft(named: "draft").commit()
                    #expect(isSame, "step \(step)")
                    models[known.log].append(Array(known.model.blocks[known.shared.blocks.count...].map { $0! }))
                } catch {
                    #expect(!isSame, "step \(step): \(error)")
                    #expect(error.code == .conflict || error.code == .snapshotNotAvailable)
                }
            case 13 where models[number].sizes.contains { $0 > 0 }:
                let byte = Int.random(in: 0..<models[number].sizes.reduce(0, +), using: &random)
                let position = try await log.seek(toByte: UInt64(byte), .localOnly)
                let (index, offset) = models[number].position(of: byte)
                #expect(position == BytePosition(blockIndex: UInt64(index), byteOffset: UInt64(offset)))
            case 14:
                let report = try await log.audit()
                #expect(report.isSound, "step \(step): \(report)")
            default:
                if let (session, model) = snapshots.randomElement(using: &random) {
                    try await compare(session, model, "step \(step), a snapshot", &random)
                }
            }
            try await compare(logs[number], models[number], "step \(step)", &random)
        }
        for number in 0..<2 {
            let kept = try await logs[number].userData("kept")
            #expect(kept == models[number].userData)
            for index in models[number].blocks.indices {
                try await compareBlock(logs[number], models[number], index, "at the end")
            }
        }
        await store.close()
    }

    private func compare(
        _ log: DDatabase, _ model: Model, _ context: String, _ random: inout SimulationRandom
    ) async throws {
        #expect(log.length == UInt64(model.blocks.count) && log.fork == model.fork, "\(context)")
        #expect(log.byteLength == UInt64(model.sizes.reduce(0, +)), "\(context)")
        if !log.isSnapshot { #expect(log.contiguousLength == UInt64(model.contiguousLength), "\(context)") }
        guard !model.blocks.isEmpty else { return }
        let start = Int.random(in: 0..<model.blocks.count, using: &random)
        let end = min(model.blocks.count, start + Int.random(in: 1...6, using: &random))
        let hasAll = try await log.has(UInt64(start)..<UInt64(end))
        #expect(hasAll == !model.blocks[start..<end].contains(nil), "\(context)")
        try await compareBlock(log, model, start, context)
    }

    private func compareBlock(_ log: DDatabase, _ model: Model, _ index: Int, _ context: String) async throws {
        if let expected = model.blocks[index] {
            let block = try await log.block(at: UInt64(index), .localOnly)
            #expect(block == expected, "\(context)")
        } else {
            let code = await codeOf { try await log.block(at: UInt64(index), .localOnly) }
            #expect(code == .blockNotAvailable || log.isSnapshot && code == .snapshotNotAvailable, "\(context)")
        }
    }
}
