import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebSimulation
import DWebStore
import DWebTestSupport
import DWebWireCore
import Synchronization
import Testing

/// What a store does with peers that lie, babble or vanish.
@Suite struct ConnectionFaultTests {
    /// When the store's side of a connection ended.
    private final class EndTime: Sendable {
        let time = Mutex<MonotonicTime?>(nil)
    }

    /// Replicates a store with a hand-driven peer and returns the code with which the store's side ended.
    private func outcome(
        _ world: SimulatedWorld, _ store: Basestore, endTime: EndTime = EndTime(),
        _ body: @escaping @Sendable (DuplexPipe) async throws -> Void
    ) async throws -> BasestoreError.Code? {
        let (ours, theirs) = DuplexPipe.makePair()
        return try await withThrowingTaskGroup(of: BasestoreError.Code?.self) { group in
            group.addTask {
                do throws(BasestoreError) {
                    try await store.replicate(over: ours, isInitiator: true)
                    return nil
                } catch {
                    endTime.time.withLock { $0 = world.loop.now }
                    return error.code
                }
            }
            group.addTask {
                // The peer's own stream may break when the store hangs up on it.
                _ = try? await body(theirs)
                await pause(world.loop, .seconds(60))
                return .notFound
            }
            let code = try await group.next()!
            group.cancelAll()
            return code
        }
    }

    @Test func wrongCapability() throws {
        let world = SimulatedWorld(seed: 61)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append([content(0)])
            let key = log.key
            let code = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                _ = try await peer.openLog(key, capability: Bytes32(repeating: 3))
                while let message = try await peer.nextMessage() { Issue.record("the store told \(message)") }
            }
            #expect(code == .protocolViolation)
            #expect(log.peerCount == 0 && store.connectionCount == 0)
            await store.close()
        }
    }

    @Test func namesThatAreNoDiscoveryKeys() throws {
        let world = SimulatedWorld(seed: 62)
        try world.run {
            let store = try await world.store(1)
            let code = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                _ = try await peer.openLog(PublicKey(.zero), id: [1, 2, 3])
                _ = try await peer.nextMessage()
            }
            #expect(code == .protocolViolation)
            await store.close()
        }
    }

    @Test func garbage() throws {
        let world = SimulatedWorld(seed: 63)
        try world.run {
            let store = try await world.store(1)
            let beforeHandshake = try await outcome(world, store) { pipe in
                try await pipe.write([96, 0, 0] + [UInt8](repeating: 7, count: 96))
            }
            #expect(beforeHandshake == .protocolViolation)
            let afterHandshake = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                try await peer.flush()
                try await pipe.write([20, 0, 0] + [UInt8](repeating: 7, count: 20))
            }
            #expect(afterHandshake == .protocolViolation)
            let muxGarbage = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                // A reject of a channel that nobody opened.
                try await peer.sendRaw([0, 2, 77])
            }
            #expect(muxGarbage == .protocolViolation)
            await store.close()
        }
    }

    @Test func undecodableMessages() throws {
        let world = SimulatedWorld(seed: 64)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            let key = log.key
            let code = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                let channel = try await peer.openLog(key)
                try peer.mux.send(channel, type: 3, payload: [1])
                try await peer.flush()
                _ = try await peer.nextMessage()
                _ = try await peer.nextMessage()
            }
            #expect(code == .protocolViolation)
            await store.close()
        }
    }

    @Test func endsInOrderAndEndsTooEarly() throws {
        let world = SimulatedWorld(seed: 65)
        try world.run {
            let store = try await world.store(1)
            let early = try await outcome(world, store) { await $0.finish() }
            #expect(early == .connectionLost)
            let inOrder = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                try await peer.flush()
                await pipe.finish()
            }
            #expect(inOrder == nil)
            let reset = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                pipe.abort()
            }
            #expect(reset == .connectionLost)
            await store.close()
        }
    }

    @Test(arguments: ["signature", "block", "size", "surplus"])
    func invalidProofsAreNeverStored(fault: String) throws {
        let world = SimulatedWorld(seed: 66)
        try world.run {
            let honest = try await world.store(1)
            let source = try await honest.database(named: "log")
            try await source.append((0..<4).map { content($0) })
            let key = source.key
            let store = try await world.store(2)
            let log = try await store.database(key: key)
            let start = world.loop.now
            async let wanted = codeOf { try await log.block(at: 0, .wait(upTo: .seconds(10))) }
            let endTime = EndTime()
            let code = try await outcome(world, store, endTime: endTime) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                let channel = try await peer.openLog(key)
                try await peer.send(
                    .sync(
                        SyncMessage(
                            fork: 0, length: 4, remoteLength: 0, canUpgrade: true, uploading: true, downloading: true,
                            hasManifest: true, allowPush: false)),
                    on: channel)
                try await peer.send(.range(RangeMessage(start: 0, length: 4)), on: channel)
                while let message = try await peer.nextMessage() {
                    guard case .request(let request) = message else { continue }
                    guard case .data(var data) = await source.engine.answer(request, .proof) else { continue }
                    switch fault {
                    case "signature" where data.upgrade != nil: data.upgrade!.signature![5] ^= 1
                    case "block" where data.block != nil: data.block!.value[0] ^= 1
                    case "size" where data.upgrade != nil: data.upgrade!.nodes[0].size += 1
                    case "surplus" where data.upgrade != nil: data.upgrade!.nodes.append(data.upgrade!.nodes[0])
                    default: break
                    }
                    try await peer.send(.data(data), on: channel)
                }
            }
            #expect(code == .invalidProof)
            let ended = try #require(endTime.time.withLock { $0 })
            #expect(ended - start < .seconds(2), "a peer that lies is not kept")
            #expect(log.statistics.invalidProofCount > 0)
            let has = try await log.has(0)
            #expect(!has && log.length == (fault == "block" ? 4 : 0))
            let wantedCode = await wanted
            #expect(wantedCode == .noPeers)
            await store.close()
            await honest.close()
        }
    }

    @Test func silentPeersAreCutOffOnceTheyDoNotRead() throws {
        let world = SimulatedWorld(seed: 67)
        try world.run {
            let store = try await world.store(1)
            let log = try await store.database(named: "log")
            try await log.append((0..<200).map { content($0, byteCount: 60_000) })
            let key = log.key
            let engine = log.engine
            let code = try await outcome(world, store) { pipe in
                let peer = RawPeer(pipe, loop: world.loop)
                try await peer.open()
                let channel = try await peer.openLog(key)
                // Asks for everything and reads nothing: what waits for it stays bounded.
                for index in UInt64(0)..<200 {
                    let request = RequestMessage(
                        id: index + 1, fork: 0, proof: ProofRequest(block: .init(index: index, nodes: 0)))
                    try await peer.send(.request(request), on: channel)
                }
                await pause(world.loop, .seconds(5))
                #expect(engine.published.statistics.uploadedByteCount < 8 << 20)
                pipe.abort()
            }
            #expect(code == .connectionLost)
            await store.close()
        }
    }

    /// Among several peers one that lies and one that falls silent cost a delay, and nothing else.
    @Test func liarsAndTheDeadCostADelay() throws {
        let world = SimulatedWorld(seed: 68)
        try world.run {
            let writer = try await world.store(1)
            let source = try await writer.database(named: "log")
            try await source.append((0..<300).map { content($0) })
            let key = source.key
            let reader = try await world.store(2)
            let copy = try await reader.database(key: key)
            @Sendable func serve(
                _ pipe: DuplexPipe, seed: UInt8, _ answer: (RequestMessage) async -> DataMessage?
            ) async throws {
                let peer = RawPeer(pipe, loop: world.loop, seed: seed)
                try await peer.open()
                let channel = try await peer.openLog(key)
                try await peer.send(
                    .sync(
                        SyncMessage(
                            fork: 0, length: 300, remoteLength: 0, canUpgrade: true, uploading: true,
                            downloading: true, hasManifest: true, allowPush: false)),
                    on: channel)
                try await peer.send(.range(RangeMessage(start: 0, length: 300)), on: channel)
                while let message = try await peer.nextMessage() {
                    guard case .request(let request) = message, let data = await answer(request) else { continue }
                    try await peer.send(.data(data), on: channel)
                }
            }
            let start = world.loop.now
            try await withThrowingTaskGroup(of: BasestoreError.Code?.self) { group in
                var pipes: [DuplexPipe] = []
                for number in 0..<2 {
                    let (ours, theirs) = DuplexPipe.makePair()
                    pipes += [ours, theirs]
                    group.addTask {
                        do throws(BasestoreError) {
                            try await reader.replicate(over: ours, isInitiator: true)
                            return nil
                        } catch {
                            return number == 0 ? error.code : nil
                        }
                    }
                    group.addTask {
                        _ = try? await serve(theirs, seed: 90 + UInt8(number)) { request in
                            guard case .data(var data) = await source.engine.answer(request, .proof) else { return nil }
                            // The dead one proves the length, and then says nothing any more.
                            if number == 1 { return data.block == nil ? data : nil }
                            data.block?.value.append(1)
                            return data
                        }
                        return nil
                    }
                }
                await pause(world.loop, .seconds(1))
                try await connected(writer, reader) {
                    async let fetched: Void = copy.download(0..<300)
                    let isComplete = await eventually(world.loop) { copy.contiguousLength == 300 }
                    if !isComplete {
                        Issue.record("\(copy.contiguousLength): \(copy.statistics), \(try await copy.peers())")
                        await copy.close()
                    }
                    try await fetched
                }
                #expect(world.loop.now - start < .seconds(5))
                for pipe in pipes { pipe.abort() }
                var codes: [BasestoreError.Code] = []
                for try await code in group { if let code { codes.append(code) } }
                #expect(codes == [.invalidProof], "the liar lost its connection")
            }
            let blocks = try await copy.blocks(at: 0..<300, .localOnly)
            #expect(blocks == (0..<300).map { content($0) })
            #expect(copy.statistics.downloadedBlockCount == 300, "every block was stored once")
            await writer.close()
            await reader.close()
        }
    }
}
