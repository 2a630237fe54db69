import DWebBase
import DWebCrypto
import DWebPorts
import DWebPosix
import DWebSwarm
import Testing

/// The same over real sockets on the loopback interface.
@Suite(.serialized) struct SwarmLoopbackTests {
    let topic = Topic(hashing: "a topic on loopback")

    private func withNet(
        nodeCount: Int = 6, _ body: @escaping @Sendable (DWebRuntime, TestNet) async throws -> Void
    ) async throws {
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: MemoryStorage())
        let net = TestNet(places: try await TestNet.freePlaces(runtime: runtime, nodeCount: nodeCount))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await net.run() }
            #expect(await net.ready())
            try await body(runtime, net)
            await net.close()
            try await group.waitForAll()
        }
        await loop.shutdown()
    }

    private func swarm(_ number: UInt8, _ runtime: DWebRuntime, _ net: TestNet) -> DSwarm {
        DSwarm(
            identity: KeyPair(seed: Bytes32(repeating: number)), runtime: runtime,
            configuration: .loopback(bootstrap: net.bootstrap))
    }

    @Test func twoSwarmsMeetAndMoveBytes() async throws {
        try await withNet { runtime, net in
            let (a, b) = (swarm(1, runtime, net), swarm(2, runtime, net))
            try await withSwarms([a, b]) {
                try await a.join(topic, as: .announce)
                #expect(await a.flush())
                try await b.join(topic, as: .lookup)
                let outgoing = try await b.connections.first()
                let payload = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
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
                    try await incoming.write([1, 2, 3])
                    #expect(try await incoming.read(count: payload.count) == payload)
                    await incoming.finish()
                    try await group.waitForAll()
                }
                #expect(try await outgoing.read(count: 3) == [1, 2, 3])
                #expect(try await outgoing.read() == nil)
            }
            #expect(await a.dht.diagnostics.socketCount == 0)
        }
    }

    @Test func threePeersFormAMesh() async throws {
        try await withNet { runtime, net in
            let swarms = (UInt8(1)...3).map { swarm($0, runtime, net) }
            try await withCollectors(swarms) { collectors in
                for swarm in swarms {
                    try await swarm.join(topic)
                    await swarm.flush()
                }
                for swarm in swarms {
                    await swarm.refresh(topic)
                    await swarm.flush()
                }
                await runtime.loop.sleep(for: .milliseconds(500))
                for collector in collectors {
                    #expect(Set(await collector.open().map(\.remotePublicKey)).count == 2)
                    #expect(await collector.open().count == 2)
                }
            }
        }
    }

    @Test func recordsAndKeysAreFound() async throws {
        try await withNet { runtime, net in
            let node = DHTNode(runtime: runtime, configuration: .loopback(bootstrap: net.bootstrap))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await node.run() }
                let keyPair = KeyPair(seed: Bytes32(repeating: 7))
                let hash = try await node.putImmutable(Array("value".utf8))
                #expect(try await node.getImmutable(hash) == Array("value".utf8))
                try await node.putMutable(Array("one".utf8), sequence: 1, as: keyPair)
                try await node.putMutable(Array("two".utf8), sequence: 2, as: keyPair)
                let newest = try await node.getMutable(keyPair.publicKey)
                #expect(newest?.value == Array("two".utf8))
                #expect(newest?.sequence == 2)
                await #expect(throws: DSwarmError.self) {
                    try await node.putImmutable([UInt8](repeating: 0, count: 1_001))
                }
                let server = try await node.listen(as: keyPair)
                #expect(try await node.findPeer(keyPair.publicKey).isEmpty == false)
                await #expect(throws: DSwarmError.self) { try await node.listen(as: keyPair) }
                let connection = try await net.nodes[2].connect(
                    to: keyPair.publicKey, as: KeyPair(seed: Bytes32(repeating: 8)))
                try await connection.write([5])
                let incoming = try await server.connections.first()
                #expect(try await incoming.read() == [5])
                connection.abort()
                await #expect(throws: PortError.self) { try await incoming.read() }
                await server.close()
                #expect(try await net.nodes[1].findPeer(keyPair.publicKey).isEmpty)
                let error = await #expect(throws: DSwarmError.self) {
                    try await net.nodes[3].connect(to: keyPair.publicKey, as: keyPair)
                }
                #expect(error?.connectError == .peerNotFound)
                await node.close()
                try await group.waitForAll()
            }
        }
    }

    @Test func aCancelledRunClosesEverything() async throws {
        try await withNet(nodeCount: 2) { runtime, net in
            let swarm = swarm(1, runtime, net)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await swarm.run() }
                try? await swarm.started()
                group.cancelAll()
                await group.waitForAll()
            }
            #expect(await swarm.dht.diagnostics.socketCount == 0)
            await #expect(throws: DSwarmError.self) { try await swarm.join(topic) }
        }
    }
}
