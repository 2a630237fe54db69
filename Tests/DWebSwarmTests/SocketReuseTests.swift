import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebSimulation
import Testing

@testable import DWebSwarm

/// Sockets that carried a connection and serve the next one with the same peer; spec 20 section 14.
@Suite struct SocketReuseTests {
    private static let serverKeys = KeyPair(seed: Bytes32(repeating: 2))
    private static let clientKeys = KeyPair(seed: Bytes32(repeating: 1))

    /// A node at home, behind a router of its own.
    private func home(
        _ world: SwarmWorld, _ number: UInt8, _ behavior: NATBehavior = .portRestrictedCone, isReusing: Bool = true
    ) -> DHTNode {
        let box = world.world.network.addNAT(behavior, at: SocketAddress(ipv4: 10, 0, 2, number, port: 0))
        let host = world.world.network.host(SocketAddress(ipv4: 192, 168, 1, number, port: 0), behind: box)
        var configuration = DHTConfiguration(bootstrap: world.net.bootstrap)
        configuration.isSocketReusable = isReusing
        return DHTNode(runtime: world.world.runtime(host: host), configuration: configuration)
    }

    private struct Visit: Sendable {
        let path: ConnectionPath
        let address: SocketAddress?
        let time: Duration
    }

    /// Connects, sends something both ways and ends: in order, or with a reset by the server.
    private func visit(
        _ world: SwarmWorld, from client: DHTNode, to server: DHTServer, isCutShort: Bool = false
    ) async throws -> Visit {
        let start = world.world.loop.now
        let outgoing = try await client.connect(to: server.publicKey, as: Self.clientKeys)
        let visit = Visit(
            path: await outgoing.path, address: await outgoing.remoteAddress, time: world.world.loop.now - start)
        try await outgoing.write([1, 2, 3])
        let incoming = try await server.connections.first()
        #expect(try await incoming.read(count: 3) == [1, 2, 3])
        try await incoming.write([4])
        #expect(try await outgoing.read(count: 1) == [4])
        if isCutShort {
            incoming.abort()
        } else {
            await outgoing.finish()
            await incoming.finish()
            #expect(try await outgoing.read() == nil)
            #expect(try await incoming.read() == nil)
        }
        _ = await outgoing.closed()
        _ = await incoming.closed()
        return visit
    }

    private func network(_ seed: UInt64) -> SwarmWorld {
        let world = SwarmWorld(seed: seed)
        world.world.network.conditions = LinkConditions(latency: .milliseconds(20))
        return world
    }

    @Test(arguments: [NATBehavior.portRestrictedCone, .symmetric])
    func theNextConnectionTakesTheSameHole(behavior: NATBehavior) throws {
        try network(31).run { world in
            let (client, server) = (home(world, 1, behavior), home(world, 2))
            try await withDHTNodes([server, client]) {
                let listener = try await server.listen(as: Self.serverKeys)
                let first = try await visit(world, from: client, to: listener)
                #expect(first.path == .holePunched)
                // As long as one of them lasts, and for three seconds after the last.
                for _ in 0..<4 {
                    await world.world.loop.sleep(for: .seconds(2))
                    let next = try await visit(world, from: client, to: listener)
                    #expect(next.path == .holePunched)
                    #expect(next.address == first.address)
                    // There and back once: no search, no relay, no punching.
                    #expect(next.time <= .milliseconds(45), "\(next.time)")
                }
                #expect(await server.diagnostics.socketCount == 3)
                await listener.close()
            }
        }
    }

    @Test func theServerFindsTheWayBack() throws {
        try network(32).run { world in
            let (client, server) = (home(world, 1), home(world, 2))
            try await withDHTNodes([server, client]) {
                let listener = try await server.listen(as: Self.serverKeys)
                let backwards = try await client.listen(as: Self.clientKeys)
                let first = try await visit(world, from: client, to: listener)
                let start = world.world.loop.now
                let back = try await server.connect(to: Self.clientKeys.publicKey, as: Self.serverKeys)
                #expect(world.world.loop.now - start <= .milliseconds(45))
                #expect(await back.path == .holePunched)
                #expect(first.path == .holePunched)
                back.abort()
                await listener.close()
                await backwards.close()
            }
        }
    }

    @Test func bothSidesHaveToAgree() throws {
        for (isClientReusing, isServerReusing) in [(true, false), (false, true)] {
            try network(33).run { world in
                let client = home(world, 1, isReusing: isClientReusing)
                let server = home(world, 2, isReusing: isServerReusing)
                try await withDHTNodes([server, client]) {
                    let listener = try await server.listen(as: Self.serverKeys)
                    let first = try await visit(world, from: client, to: listener)
                    let next = try await visit(world, from: client, to: listener)
                    #expect(next.path == .holePunched)
                    #expect(next.address != first.address)
                    await listener.close()
                }
            }
        }
    }

    @Test func aWayThatFailedIsNotTakenAgain() throws {
        try network(34).run { world in
            let (client, server) = (home(world, 1), home(world, 2))
            try await withDHTNodes([server, client]) {
                let listener = try await server.listen(as: Self.serverKeys)
                let first = try await visit(world, from: client, to: listener, isCutShort: true)
                let next = try await visit(world, from: client, to: listener)
                #expect(next.path == .holePunched)
                #expect(next.address != first.address)
                await listener.close()
            }
        }
    }

    @Test func socketsThatNobodyUsesAreClosed() throws {
        try network(35).run { world in
            let (client, server) = (home(world, 1), home(world, 2))
            try await withDHTNodes([server, client]) {
                let listener = try await server.listen(as: Self.serverKeys)
                let first = try await visit(world, from: client, to: listener)
                await world.world.loop.sleep(for: .seconds(12))
                #expect(await client.diagnostics.socketCount == 2)
                #expect(await server.diagnostics.socketCount == 2)
                let next = try await visit(world, from: client, to: listener)
                #expect(next.path == .holePunched)
                #expect(next.address != first.address)
                await listener.close()
            }
        }
    }

    @Test func aPeerThatStartedAnewIsFoundTheUsualWay() throws {
        try network(36).run { world in
            let client = home(world, 1)
            let box = world.world.network.addNAT(
                .portRestrictedCone, at: SocketAddress(ipv4: 10, 0, 2, 2, port: 0))
            let host = world.world.network.host(SocketAddress(ipv4: 192, 168, 1, 2, port: 0), behind: box)
            let configuration = DHTConfiguration(bootstrap: world.net.bootstrap)
            try await withDHTNodes([client]) {
                for round in 0..<2 {
                    let server = DHTNode(runtime: world.world.runtime(host: host), configuration: configuration)
                    try await withDHTNodes([server]) {
                        let listener = try await server.listen(as: Self.serverKeys)
                        let visit = try await visit(world, from: client, to: listener)
                        #expect(visit.path == .holePunched)
                        // The try of the old way costs a second.
                        #expect(visit.time < .milliseconds(round == 0 ? 1_000 : 2_000), "\(visit.time)")
                    }
                }
            }
        }
    }
}
