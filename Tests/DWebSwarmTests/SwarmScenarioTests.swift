import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import DWebSwarm
import DWebWireCore
import Testing

@Suite struct SwarmScenarioTests {
    let topic = Topic(hashing: "a topic")

    @Test func twoSwarmsMeetOnceAndTalk() throws {
        let result = try SwarmWorld(seed: 1).run { world in
            let a = world.swarm(1)
            let b = world.swarm(2)
            return try await withSwarms([a, b]) {
                let discovery = try await a.join(topic)
                #expect(await discovery.flushed())
                _ = try await b.join(topic)
                #expect(await b.flush())
                let fromA = try await a.connections.first()
                let fromB = try await b.connections.first()
                #expect(fromA.remotePublicKey == b.identity.publicKey)
                #expect(fromB.remotePublicKey == a.identity.publicKey)
                #expect(fromA.isInitiator != fromB.isInitiator)
                #expect(fromA.handshake.transmitKey == fromB.handshake.receiveKey)
                #expect(fromA.handshake.handshakeHash == fromB.handshake.handshakeHash)
                try await fromA.write(Array("hello".utf8))
                try await fromB.write(Array("world".utf8))
                #expect(try await fromB.read(count: 5) == Array("hello".utf8))
                #expect(try await fromA.read(count: 5) == Array("world".utf8))
                await fromA.finish()
                #expect(try await fromB.read() == nil)
                await fromB.finish()
                #expect(try await fromA.read() == nil)
                #expect(await fromA.closed() == nil)
                let diagnostics = await b.diagnostics
                return diagnostics.peers.count
            }
        }
        #expect(result <= 1)
    }

    @Test func threePeersFormAMesh() throws {
        try SwarmWorld(seed: 2).run { world in
            let swarms = (1...3).map { world.swarm($0) }
            try await withCollectors(swarms) { collectors in
                for swarm in swarms { try await swarm.join(topic) }
                for swarm in swarms { await swarm.flush() }
                await world.world.loop.sleep(for: .seconds(30))
                // Some found each other only after the other had announced itself.
                for swarm in swarms { await swarm.refresh(topic) }
                for swarm in swarms { await swarm.flush() }
                await world.world.loop.sleep(for: .seconds(5))
                for (collector, swarm) in zip(collectors, swarms) {
                    let keys = await collector.open().map(\.remotePublicKey)
                    let others = Set(swarms.map(\.identity.publicKey)).subtracting([swarm.identity.publicKey])
                    #expect(Set(keys) == others)
                    #expect(keys.count == 2)
                }
            }
        }
    }

    @Test func aRefusedPeerGetsNoConnectionAndIsBanned() throws {
        try SwarmWorld(seed: 3).run { world in
            let a = world.swarm(1)
            let refused = a.identity.publicKey
            let b = world.swarm(2) { $0.admits = { key in key != refused } }
            try await withCollectors([a, b]) { collectors in
                try await b.join(topic, as: .announce)
                await b.flush()
                try await a.join(topic, as: .lookup)
                await a.flush()
                await world.world.loop.sleep(for: .seconds(60))
                #expect(await collectors[0].all.isEmpty)
                #expect(await collectors[1].all.isEmpty)
                #expect(await b.status(of: refused) == .notConnected(.banned))
                guard case .notConnected(let reason) = await a.status(of: b.identity.publicKey) else {
                    throw TestFailure("a counts as connected")
                }
                switch reason {
                case .retryScheduled, .gaveUp: break
                default: Issue.record("unexpected reason: \(reason)")
                }
                #expect(await a.peers.first?.lastFailure != nil)
            }
        }
    }

    @Test func aTopicThatWasLeftIsNotFound() throws {
        try SwarmWorld(seed: 4).run { world in
            let (a, b) = (world.swarm(1), world.swarm(2))
            try await withSwarms([a, b]) {
                let discovery = try await a.join(topic)
                #expect(await discovery.flushed())
                #expect(try await b.dht.lookup(topic).map(\.publicKey) == [a.identity.publicKey])
                await discovery.leave()
                #expect(try await b.dht.lookup(topic).isEmpty)
                #expect(await a.diagnostics.topics.isEmpty)
            }
        }
    }

    @Test func manyTopicsInBothDirectionsGiveOneConnection() throws {
        for seed in UInt64(5)...8 {
            try SwarmWorld(seed: seed).run { world in
                let swarms = [world.swarm(1), world.swarm(2)]
                try await withCollectors(swarms) { collectors in
                    for number in 0..<12 {
                        for swarm in swarms { try await swarm.join(Topic(hashing: "topic \(number)")) }
                    }
                    for swarm in swarms { await swarm.flush() }
                    for number in 0..<12 {
                        for swarm in swarms { await swarm.refresh(Topic(hashing: "topic \(number)")) }
                    }
                    for swarm in swarms { await swarm.flush() }
                    await world.world.loop.sleep(for: .seconds(120))
                    let open = [await collectors[0].open(), await collectors[1].open()]
                    #expect(open[0].count == 1)
                    #expect(open[1].count == 1)
                    #expect(open[0].first?.handshake.handshakeHash == open[1].first?.handshake.handshakeHash)
                }
            }
        }
    }

    @Test func aRestartedPeerIsMetAgain() throws {
        try SwarmWorld(seed: 9).run { world in
            let b = world.swarm(2)
            try await withCollectors([b]) { collectors in
                try await b.join(topic)
                await b.flush()
                for run in 1...2 {
                    let a = world.swarm(1)
                    try await withSwarms([a]) {
                        try await a.join(topic)
                        await a.flush()
                        let connection = try await a.connections.first()
                        try await connection.write([1, 2, 3])
                        #expect(try await connection.read(count: 59).count == 59)
                    }
                    await world.world.loop.sleep(for: .seconds(1))
                    #expect(await collectors[0].all.count == run)
                    #expect(await collectors[0].open().isEmpty)
                }
            }
        }
    }

    @Test func bytesArriveInOrderDespiteLoss() throws {
        let world = SwarmWorld(seed: 10)
        var conditions = LinkConditions(latency: .milliseconds(10))
        conditions.loss = 0.05
        conditions.jitter = .milliseconds(2)
        world.world.network.conditions = conditions
        try world.run { world in
            let (a, b) = (world.swarm(1), world.swarm(2))
            try await withSwarms([a, b]) {
                try await a.join(topic, as: .announce)
                await a.flush()
                try await b.join(topic, as: .lookup)
                let outgoing = try await b.connections.first()
                let payload = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var offset = 0
                        while offset < payload.count {
                            let end = min(offset + 65_536, payload.count)
                            try await outgoing.write(Array(payload[offset..<end]))
                            offset = end
                        }
                        await outgoing.finish()
                    }
                    let incoming = try await a.connections.first()
                    #expect(try await incoming.read(count: payload.count) == payload)
                    #expect(try await incoming.read() == nil)
                    try await group.waitForAll()
                }
                #expect(await outgoing.statistics.retransmissions > 0)
            }
        }
    }

    @Test func suspendedSwarmsRestAndResume() throws {
        try SwarmWorld(seed: 11).run { world in
            let swarms = [world.swarm(1), world.swarm(2)]
            try await withCollectors(swarms) { collectors in
                for swarm in swarms {
                    try await swarm.join(topic)
                    await swarm.flush()
                }
                await world.world.loop.sleep(for: .seconds(2))
                #expect(await collectors[0].open().count == 1)
                await swarms[0].suspend()
                await world.world.loop.sleep(for: .seconds(2))
                #expect(await collectors[0].open().isEmpty)
                #expect(await collectors[1].open().isEmpty)
                #expect(await swarms[0].dht.diagnostics.socketCount == 0)
                try await swarms[0].resume()
                await swarms[0].flush()
                await world.world.loop.sleep(for: .seconds(20))
                #expect(await collectors[0].open().count == 1)
                #expect(await collectors[1].open().count == 1)
            }
        }
    }

    @Test(arguments: [true, false]) func firewalledPeersPunchHoles(isFastOpenEnabled: Bool) throws {
        try SwarmWorld(seed: 13).run { world in
            let swarms = [UInt8(1), 2].map { number in
                world.swarm(number) {
                    $0.dht.isReachabilityTestedAtStart = false
                    $0.dht.isLocalConnectionAllowed = false
                    $0.dht.isFastOpenEnabled = isFastOpenEnabled
                }
            }
            try await withSwarms(swarms) {
                try await swarms[0].join(topic, as: .announce)
                await swarms[0].flush()
                try await swarms[1].join(topic, as: .lookup)
                let outgoing = try await swarms[1].connections.first()
                try await outgoing.write([1, 2, 3])
                let incoming = try await swarms[0].connections.first()
                #expect(await outgoing.isHolePunched)
                #expect(await incoming.isHolePunched)
                #expect(try await incoming.read(count: 3) == [1, 2, 3])
                // Otherwise the swarm would dial again.
                await swarms[1].leave(topic)
                outgoing.abort()
                #expect(await incoming.closed()?.code == .connectionReset)
                await world.world.loop.sleep(for: .seconds(30))
                // Punch sockets go with their streams.
                for swarm in swarms { #expect(await swarm.dht.diagnostics.socketCount == 2) }
            }
        }
    }

    @Test func runsAreReproducible() throws {
        func trace() throws -> UInt64 {
            let world = SwarmWorld(seed: 12, nodeCount: 5)
            try world.run { world in
                let swarms = (1...3).map { world.swarm($0) }
                try await withCollectors(swarms) { _ in
                    for swarm in swarms { try await swarm.join(topic) }
                    await world.world.loop.sleep(for: .seconds(30))
                }
            }
            return world.world.network.traceHash
        }
        #expect(try trace() == trace())
    }
}
