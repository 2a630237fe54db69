import DWebBase
import DWebCrypto
import DWebLab
import DWebPorts
import DWebSimulation
import DWebSwarm
import DWebWireCore
import Testing

@Suite struct BlindRelayTests {
    private static let relayKeys = KeyPair(seed: Bytes32(repeating: 99))

    @Test func fastStartsBeginAtTheRelayAndMoveWithoutLoss() throws {
        for seed in UInt64(1)...3 {
            for pair in [
                NATPair(client: .portRestrictedCone, server: .portRestrictedCone),
                NATPair(client: .symmetric, server: .portRestrictedCone),
                NATPair(client: .portRestrictedCone, server: .symmetric),
            ] {
                var setup = NATLab.Setup(seed: seed)
                setup.isRelayFirst = true
                setup.loss = 0.05
                setup.byteCount = 200_000
                let result = try NATLab.run(pair, setup)
                let message: Comment = "\(pair), seed \(seed): \(result)"
                #expect(result.finalPath == .holePunched, message)
                #expect(result.isIntact, message)
            }
        }
    }

    @Test func withoutARelayTwoRandomNetworksStayApart() throws {
        var setup = NATLab.Setup(seed: 4)
        setup.hasRelay = false
        let result = try NATLab.run(NATPair(client: .symmetric, server: .symmetric), setup)
        #expect(result.finalPath == nil)
        #expect(result.connectError == .doubleRandomizedNATs || result.connectError == .remoteAborted)
    }

    @Test func theRelayCountsWhatItDoesAndEndsWhatItCarried() throws {
        try SwarmWorld(seed: 21).run { world in
            let relayNode = world.node(9)
            let nodes =
                [relayNode]
                + (UInt8(1)...2).map { number in
                    world.node(number) {
                        $0.relays = [Self.relayKeys.publicKey]
                        $0.relayUse = .first
                        $0.isReachabilityTestedAtStart = false
                        $0.isLocalConnectionAllowed = false
                    }
                }
            // No packet passes between the two: only the relay connects them.
            let parted = { (from: UInt8, to: UInt8) in
                var conditions = LinkConditions()
                conditions.isPartitioned = true
                world.world.network.setConditions(
                    conditions, from: SocketAddress(ipv4: 10, 0, 1, from, port: 0),
                    to: SocketAddress(ipv4: 10, 0, 1, to, port: 0))
            }
            parted(1, 2)
            parted(2, 1)
            try await withDHTNodes(nodes) {
                let relay = try await relayNode.relay(as: Self.relayKeys)
                let server = try await nodes[1].listen(as: KeyPair(seed: Bytes32(repeating: 1)))
                let outgoing = try await nodes[2].connect(
                    to: server.publicKey, as: KeyPair(seed: Bytes32(repeating: 2)))
                #expect(await outgoing.path == .relayed)
                try await outgoing.write([UInt8](repeating: 7, count: 50_000))
                let incoming = try await server.connections.first()
                #expect(await incoming.path == .relayed)
                #expect(try await incoming.read(count: 50_000) == [UInt8](repeating: 7, count: 50_000))
                #expect(outgoing.handshake.handshakeHash == incoming.handshake.handshakeHash)
                var statistics = await relay.statistics
                #expect(statistics.clientCount == 2)
                #expect(statistics.pairCount == 1)
                #expect(statistics.relayedByteCount > 50_000)
                // Ordered ends work as on a direct path, and leave nothing behind at the relay.
                await outgoing.finish()
                #expect(try await incoming.read() == nil)
                await incoming.finish()
                #expect(await outgoing.closed() == nil)
                await world.world.loop.sleep(for: .seconds(3))
                statistics = await relay.statistics
                #expect(statistics.pairCount == 0)
                #expect(statistics.clientCount == 0)
                #expect(await relayNode.diagnostics.streamCount == 0)
                #expect(await nodes[1].diagnostics.streamCount == 0)
                #expect(await nodes[2].diagnostics.streamCount == 0)
                await relay.close()
            }
        }
    }

    @Test func connectionsOverARelayEndWithIt() throws {
        try SwarmWorld(seed: 22).run { world in
            let relayNode = world.node(9)
            let nodes = (UInt8(1)...2).map { number in
                world.node(number) {
                    $0.relays = [Self.relayKeys.publicKey]
                    $0.relayUse = .first
                    $0.isReachabilityTestedAtStart = false
                    $0.isLocalConnectionAllowed = false
                }
            }
            var conditions = LinkConditions()
            conditions.isPartitioned = true
            for (from, to) in [(UInt8(1), UInt8(2)), (2, 1)] {
                world.world.network.setConditions(
                    conditions, from: SocketAddress(ipv4: 10, 0, 1, from, port: 0),
                    to: SocketAddress(ipv4: 10, 0, 1, to, port: 0))
            }
            try await withDHTNodes(nodes + [relayNode]) {
                let relay = try await relayNode.relay(as: Self.relayKeys)
                let server = try await nodes[0].listen(as: KeyPair(seed: Bytes32(repeating: 1)))
                let outgoing = try await nodes[1].connect(
                    to: server.publicKey, as: KeyPair(seed: Bytes32(repeating: 2)))
                let incoming = try await server.connections.first()
                await relay.close()
                _ = await outgoing.closed()
                _ = await incoming.closed()
                #expect(await nodes[0].diagnostics.streamCount == 0)
                #expect(await nodes[1].diagnostics.streamCount == 0)
            }
        }
    }

    @Test func aSilentRelayEndsTheAttemptInTime() throws {
        try SwarmWorld(seed: 23).run { world in
            // The configured relay listens but is none: it never answers.
            let relayNode = world.node(9)
            let nodes = (UInt8(1)...2).map { number in
                world.node(number) {
                    $0.relays = [Self.relayKeys.publicKey]
                    $0.relayUse = .first
                    $0.isReachabilityTestedAtStart = false
                    $0.isLocalConnectionAllowed = false
                }
            }
            var conditions = LinkConditions()
            conditions.isPartitioned = true
            for (from, to) in [(UInt8(1), UInt8(2)), (2, 1)] {
                world.world.network.setConditions(
                    conditions, from: SocketAddress(ipv4: 10, 0, 1, from, port: 0),
                    to: SocketAddress(ipv4: 10, 0, 1, to, port: 0))
            }
            try await withDHTNodes(nodes + [relayNode]) {
                let mute = try await relayNode.listen(as: Self.relayKeys)
                let server = try await nodes[0].listen(as: KeyPair(seed: Bytes32(repeating: 1)))
                let start = world.world.loop.now
                do throws(DSwarmError) {
                    _ = try await nodes[1].connect(to: server.publicKey, as: KeyPair(seed: Bytes32(repeating: 2)))
                    Issue.record("there is no way to connect")
                } catch {
                    #expect(error.code == .connectFailed)
                }
                #expect(world.world.loop.now - start < .seconds(25))
                await world.world.loop.sleep(for: .seconds(40))
                #expect(await nodes[0].diagnostics.streamCount == 0)
                #expect(await nodes[1].diagnostics.streamCount == 0)
                await mute.close()
            }
        }
    }
}
