import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import Synchronization
import Testing

/// Sessions of one log: each has a life of its own.
@Suite struct SessionTests {
    @Test func closingOneSessionEndsItsWaitingCalls() throws {
        let world = SimulatedWorld(seed: 111)
        try world.run {
            let store = try await world.store(1)
            let first = try await store.database(key: PublicKey(Bytes32(repeating: 9)))
            let second = try await first.session()
            let codes = await withTaskGroup(of: (Int, DDatabaseError.Code?).self) { group in
                group.addTask { (0, await codeOf { try await first.block(at: 0, .wait(upTo: .seconds(20))) }) }
                group.addTask { (1, await codeOf { try await first.download(0..<5) }) }
                group.addTask { (2, await codeOf { try await first.waitForGrowth(beyond: 0) }) }
                group.addTask { (3, await codeOf { try await second.block(at: 0, .wait(upTo: .seconds(20))) }) }
                await pause(world.loop, .seconds(1))
                let start = world.loop.now
                await first.close()
                var codes: [Int: DDatabaseError.Code] = [:]
                for await (number, code) in group {
                    codes[number] = code
                    if number < 3 { #expect(world.loop.now == start) }
                }
                return codes
            }
            #expect(codes == [0: .closed, 1: .closed, 2: .closed, 3: .noPeers])
            await expectCode(.closed) { try await first.block(at: 0) }
            await store.close()
        }
    }

    @Test func theDeadlineTellsWhetherAPeerWasAsked() throws {
        let world = SimulatedWorld(seed: 112)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<4).map { content($0) })
            let key = source.key
            let reader = try await world.store(2)
            let copy = try await reader.database(key: key)
            let (ours, theirs) = DuplexPipe.makePair()
            /// Proves the length and falls silent when asked for a block.
            @Sendable func provesButGivesNothing(_ pipe: DuplexPipe) async throws {
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                let channel = try await peer.openLog(key)
                try await peer.send(
                    .sync(
                        SyncMessage(
                            fork: 0, length: 4, remoteLength: 0, canUpgrade: true, uploading: true,
                            downloading: true, hasManifest: true, allowPush: false)),
                    on: channel)
                try await peer.send(.range(RangeMessage(start: 0, length: 3)), on: channel)
                while let message = try await peer.nextMessage() {
                    guard case .request(let request) = message, request.proof.upgrade != nil else { continue }
                    let stripped = RequestMessage(
                        id: request.id, fork: 0, proof: ProofRequest(upgrade: request.proof.upgrade), manifest: true)
                    guard case .data(let data) = await source.engine.answer(stripped, .proof) else { continue }
                    try await peer.send(.data(data), on: channel)
                }
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await reader.replicate(over: ours, isInitiator: true) }
                group.addTask { _ = try? await provesButGivesNothing(theirs) }
                #expect(await eventually(world.loop) { copy.length == 4 })
                await expectCode(.deadlineExceeded) { try await copy.block(at: 1, .wait(upTo: .seconds(3))) }
                await expectCode(.blockNotAvailable) { try await copy.block(at: 3, .wait(upTo: .seconds(3))) }
                theirs.abort()
                group.cancelAll()
                await group.waitForAll()
            }
            await writer.close()
            await reader.close()
        }
    }

    /// A reader with gaps must look into its tree on the medium before it can say that it proves its length.
    @Test func aSparseLogOnASlowDiskBringsAnotherUpToDate() throws {
        let world = SimulatedWorld(seed: 113)
        let disk = FailingStorage()
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<20).map { content($0) })
            let third = try await world.store(3)
            let late = try await third.database(key: source.key)
            try await connected(writer, third) { try await late.download(0..<5) }
            #expect(late.length == 20)
            try await source.append((20..<47).map { content($0) })
            var second = try await world.store(2, storage: disk)
            var copy = try await second.database(key: source.key)
            try await connected(writer, second) { [copy] in
                // The path of block 19 has the roots of the first twenty blocks beside it.
                for index in [UInt64(2), 19, 46] { _ = try await copy.block(at: index) }
            }
            await second.close()
            second = try await world.store(2, storage: disk)
            copy = try await second.database(key: source.key)
            #expect(copy.contiguousLength == 0 && copy.length == 47)
            try await connected(second, third) {
                let block = try await late.block(at: 46)
                #expect(block == content(46) && late.length == 47)
            }
            for store in [writer, second, third] { await store.close() }
        }
    }

    @Test func weakSessionsKeepNothingOpen() throws {
        let world = SimulatedWorld(seed: 114)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append(content(0))
            let weak = try await log.session(isWeak: true)
            let block = try await weak.block(at: 0, .localOnly)
            #expect(block == content(0))
            try await weak.append(content(1))
            await log.close()
            #expect(log.engine.isIdle)
            let stillThere = try await weak.block(at: 1, .localOnly)
            #expect(stillThere == content(1))
            await pause(world.loop, .seconds(10))
            #expect(store.openLogCount == 0)
            await expectCode(.closed) { try await weak.block(at: 0, .localOnly) }
            // One that is closed first takes nothing away from the others.
            let again = try await store.database(named: "log")
            let second = try await again.session(isWeak: true)
            await second.close()
            await second.close()
            #expect(!again.engine.isIdle && again.length == 2)
            await store.close()
        }
    }

    @Test func nothingIsLeftBehind() throws {
        struct Weak {
            weak var engine: LogEngine?
            weak var database: DDatabase?
        }
        let world = SimulatedWorld(seed: 115)
        let left = Mutex<[Weak]>([])
        try world.run {
            let writer = try await world.store(1)
            let reader = try await world.store(2)
            for number in 0..<5 {
                let source = try await writer.database(named: "log\(number)")
                try await source.append((0..<20).map { content($0) })
                let copy = try await reader.database(key: source.key)
                let events = copy.events()
                try await connected(writer, reader) {
                    try await copy.download(0..<10)
                    _ = try await copy.seek(toByte: 200)
                    _ = try await copy.snapshot().block(at: 3)
                    for try await block in copy.blocks(from: 15) where block == content(17) { break }
                    _ = await codeOf { try await copy.block(at: 100, .wait(upTo: .seconds(1))) }
                }
                _ = try await source.draft(named: "draft")
                _ = try await source.session().draft(named: "draft").append([content(1)])
                withExtendedLifetime(events) {}
                left.withLock {
                    for database in [source, copy] {
                        $0.append(Weak(engine: database.engine, database: database))
                    }
                }
                // One is closed, the other only let go.
                await source.close()
            }
            await pause(world.loop, .seconds(60))
            #expect(writer.openLogCount == 0 && reader.openLogCount == 0)
            for weak in left.withLock({ $0 }) { #expect(weak.engine == nil && weak.database == nil) }
            await writer.close()
            await reader.close()
        }
    }
}
