import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import DWebSwarm
import DWebWireCore
import Testing

/// Connections that meet each other, peers that are gone, and what is left at the end.
@Suite struct SwarmRaceTests {
    let topic = Topic(hashing: "a topic")

    @Test func peersThatDialEachOtherAtOnceKeepTheSameConnection() throws {
        var duplicateCount = 0
        for seed in UInt64(1)...8 {
            let world = SwarmWorld(seed: seed)
            world.world.network.conditions = LinkConditions(latency: .milliseconds(20))
            duplicateCount += try world.run { world in
                let swarms = [world.swarm(1), world.swarm(2)]
                return try await withCollectors(swarms) { collectors in
                    for swarm in swarms { try await swarm.listen() }
                    await swarms[0].joinPeer(swarms[1].identity.publicKey)
                    await swarms[1].joinPeer(swarms[0].identity.publicKey)
                    await world.world.loop.sleep(for: .seconds(60))
                    let open = [await collectors[0].open(), await collectors[1].open()]
                    #expect(open.map(\.count) == [1, 1])
                    let hashes = open.map { $0.first?.handshake.handshakeHash }
                    #expect(hashes[0] != nil && hashes[0] == hashes[1])
                    // The side with the larger key is the one whose connection stays.
                    let larger = swarms[0].identity.publicKey > swarms[1].identity.publicKey ? 0 : 1
                    #expect(open[larger].first?.isInitiator == true)
                    var count = 0
                    for swarm in swarms { count += await swarm.diagnostics.statistics.duplicateCount }
                    return count
                }
            }
        }
        #expect(duplicateCount >= 8, "the connections did not meet, so that nothing was tested")
    }

    @Test func aPeerThatComesBackReplacesItsOldConnectionAtOnce() throws {
        // Whichever side has the larger key.
        for seed in UInt8(1)...4 {
            try SwarmWorld(seed: UInt64(seed)).run { world in
                let b = world.swarm(2, seed: 40)
                let first = world.swarm(1, seed: seed)
                let second = world.swarm(3, seed: seed)
                try await withCollectors([b]) { collectors in
                    try await b.join(topic, as: .announce)
                    await b.flush()
                    try await withSwarms([first, second]) {
                        try await first.join(topic, as: .lookup)
                        let old = try await first.connections.first()
                        try await old.write([UInt8](repeating: 1, count: 200))
                        _ = try await old.read(count: 59)
                        await world.world.loop.sleep(for: .seconds(1))
                        // The far side answers each connection with 59 bytes; more makes the old one an established
                        // one.
                        for connection in await collectors[0].open() {
                            try await connection.write([UInt8](repeating: 2, count: 200))
                        }
                        _ = try await old.read(count: 200)
                        world.cutOff(1)
                        let start = world.world.loop.now
                        try await second.join(topic, as: .lookup)
                        let new = try await second.connections.first()
                        try await new.write([UInt8](repeating: 1, count: 59))
                        #expect(try await new.read(count: 59).count == 59)
                        // Long before the old one would have timed out.
                        #expect(world.world.loop.now - start < .seconds(5))
                        let open = await collectors[0].open()
                        #expect(open.count == 1)
                        #expect(open.first?.handshake.handshakeHash == new.handshake.handshakeHash)
                        #expect(await b.diagnostics.statistics.duplicateCount == 1)
                    }
                }
            }
        }
    }

    @Test func deadAnnouncementsDoNotHideALivePeer() throws {
        for seed in UInt64(1)...4 {
            let world = SwarmWorld(seed: seed)
            try world.run { world in
                let dead = (11...16).map { world.swarm($0) }
                let (live, seeker) = (world.swarm(1), world.swarm(2))
                try await withSwarms(dead + [live, seeker]) {
                    for swarm in dead + [live] {
                        try await swarm.join(topic, as: .announce)
                        await swarm.flush()
                    }
                    for number in 11...16 { world.cutOff(UInt8(number)) }
                    let start = world.world.loop.now
                    try await seeker.join(topic, as: .lookup)
                    let connection = try await seeker.connections.first()
                    #expect(connection.remotePublicKey == live.identity.publicKey)
                    #expect(world.world.loop.now - start < .seconds(60))
                    let reasons = await seeker.peers.filter { $0.publicKey != live.identity.publicKey }
                    #expect(reasons.count == 6)
                    for peer in reasons {
                        if case .connected = peer.status { Issue.record("a dead peer counts as connected") }
                        #expect(!peer.status.description.isEmpty)
                    }
                }
            }
        }
    }

    @Test func nothingIsLeftAfterClosing() throws {
        let world = SwarmWorld(seed: 21)
        try world.run { world in
            let swarms = (1...3).map { world.swarm($0) }
            try await withCollectors(swarms) { _ in
                for swarm in swarms {
                    try await swarm.join(topic)
                    await swarm.flush()
                }
                await world.world.loop.sleep(for: .seconds(30))
            }
            for swarm in swarms {
                let diagnostics = await swarm.diagnostics
                #expect(diagnostics.node.socketCount == 0)
                #expect(diagnostics.node.streamCount == 0)
                #expect(diagnostics.connectionCount == 0)
                await swarm.close()
            }
        }
        let before = world.world.network.counts.sent
        // With no timer and no task left, a program that only waits can never go on.
        #expect(throws: SimulationError.stuck) {
            try world.world.run(timeLimit: .seconds(1_000_000)) { await Never.wait() }
        }
        #expect(world.world.network.counts.sent == before)
    }

    @Test func callersThatWaitAreReleasedByClosing() throws {
        try SwarmWorld(seed: 22).run { world in
            let swarm = world.swarm(1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await swarm.run() }
                try await swarm.started()
                group.addTask {
                    for await _ in swarm.connections { Issue.record("there is nobody to connect to") }
                }
                group.addTask {
                    await #expect(throws: DSwarmError.self) {
                        try await swarm.dht.connect(
                            to: KeyPair(seed: Bytes32(repeating: 99)).publicKey, as: swarm.identity)
                    }
                }
                group.addTask { _ = await swarm.flush() }
                group.addTask { try? await swarm.listen() }
                try await swarm.join(topic)
                await world.world.loop.sleep(for: .milliseconds(3))
                await swarm.close()
                try await group.waitForAll()
            }
        }
    }

    @Test func cancelledCallersAreReleasedAndLeaveNothing() throws {
        try SwarmWorld(seed: 23).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                // Nobody answers on this key's behalf, so that the caller waits until it is cancelled.
                world.cutOff(1)
                let results = await withTaskGroup(of: DSwarmError?.self) { group in
                    group.addTask {
                        do throws(DSwarmError) {
                            _ = try await swarm.dht.connect(
                                to: KeyPair(seed: Bytes32(repeating: 99)).publicKey, as: swarm.identity)
                            return nil
                        } catch { return error }
                    }
                    group.addTask {
                        do throws(DSwarmError) {
                            _ = try await swarm.dht.lookup(topic)
                            return nil
                        } catch { return error }
                    }
                    await world.world.loop.sleep(for: .milliseconds(100))
                    group.cancelAll()
                    var results: [DSwarmError?] = []
                    for await result in group { results.append(result) }
                    return results
                }
                #expect(results.map { $0?.code } == [.cancelled, .cancelled])
                await world.world.loop.sleep(for: .milliseconds(100))
                #expect(await swarm.dht.diagnostics.streamCount == 0)
            }
        }
    }
}

extension Never {
    /// Waits until the task is cancelled.
    fileprivate static func wait() async {
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        for await _ in stream {}
        withExtendedLifetime(continuation) {}
    }
}
