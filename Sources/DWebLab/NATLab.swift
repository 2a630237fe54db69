import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
package import DWebSwarm

/// Connects two peers behind translators in a simulated internet and tells which path they took, and how fast.
package struct NATLab: Sendable {
    /// What the run is about.
    package struct Setup: Sendable {
        /// Everything random follows from it.
        package var seed: UInt64
        /// The share of packets lost on every link of the public network.
        package var loss = 0.0
        /// Whether both sides know a blind relay.
        package var hasRelay = true
        /// Whether relays are offered at once.
        package var isRelayFirst = false
        /// Bytes sent each way.
        package var byteCount = 20_000
        /// Nodes of the DHT between the two.
        package var nodeCount = 8

        /// A run from a seed.
        package init(seed: UInt64) { self.seed = seed }
    }

    /// What came of it.
    package struct Result: Sendable {
        /// The path that the first bytes took; nil if there was no connection.
        package var firstPath: ConnectionPath?
        /// The path at the end.
        package var finalPath: ConnectionPath?
        /// From the call to dial to the connection.
        package var connectTime: Duration?
        /// From the call to dial to the final path.
        package var finalTime: Duration?
        /// Whether all bytes arrived, both ways and in order.
        package var isIntact = false
        /// Why there was no connection.
        package var error: String?
        /// Why there was no connection, if it was the connector that said so.
        package var connectError: ConnectError?
    }

    private struct Failure: Error { let text: String }

    private static let round = Duration.milliseconds(50)

    /// Runs one cell.
    ///
    /// - Throws: ``SimulationError`` if the world does not come to an end.
    package static func run(_ pair: NATPair, _ setup: Setup) throws -> Result {
        let world = SimulatedWorld(seed: setup.seed)
        var conditions = LinkConditions(latency: .milliseconds(20))
        conditions.jitter = .milliseconds(15)
        // The network is built without loss: what is measured is the connection.
        world.network.conditions = conditions
        let net = TestNet(
            places: (0..<setup.nodeCount).map { index in
                let address = SocketAddress(ipv4: 80, 1, UInt8(index), 1, port: 49_737)
                return (world.runtime(address: address), address)
            })
        return try world.run(timeLimit: .seconds(1_800)) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await net.run() }
                guard await net.ready() else { throw Failure(text: "the network did not start") }
                let result = try await NATLab(world: world, net: net, setup: setup).connect(pair)
                await net.close()
                try await group.waitForAll()
                return result
            }
        }
    }

    private let world: SimulatedWorld
    private let net: TestNet
    private let setup: Setup

    private func connect(_ pair: NATPair) async throws -> Result {
        let relayKeys = KeyPair(seed: Bytes32(repeating: 200))
        let relay = DHTNode(
            runtime: world.runtime(address: SocketAddress(ipv4: 99, 0, 0, 1, port: 0)), configuration: base)
        let client = node(pair.client, number: 1, relay: relayKeys.publicKey)
        let server = node(pair.server, number: 2, relay: relayKeys.publicKey)
        return try await withNodes([relay, server, client]) {
            let service = try await relay.relay(as: relayKeys)
            let serverKeys = KeyPair(seed: Bytes32(repeating: 2))
            let listener = try await server.listen(as: serverKeys)
            // Both had time to learn how their networks behave, as programs that run for a while.
            await world.loop.sleep(for: .seconds(30))
            var conditions = world.network.conditions
            conditions.loss = setup.loss
            world.network.conditions = conditions
            let result = await dial(client, listener, wanted: pair)
            await listener.close()
            await service.close()
            return result
        }
    }

    private func dial(_ client: DHTNode, _ listener: DHTServer, wanted pair: NATPair) async -> Result {
        var result = Result()
        let start = world.loop.now
        do {
            let connection = try await client.connect(
                to: listener.publicKey, as: KeyPair(seed: Bytes32(repeating: 1)))
            result.connectTime = world.loop.now - start
            result.firstPath = await connection.path
            // Either end may see the move first; the path counts once both have made it.
            async let intact = exchange(connection, listener, until: start + pair.timeLimit, pair)
            let (isIntact, finalTime, path) = await intact
            result.isIntact = isIntact
            result.finalTime = finalTime.map { $0 - start }
            result.finalPath = path
            connection.abort()
        } catch {
            result.error = error.detail
            result.connectError = error.connectError
            result.connectTime = world.loop.now - start
        }
        return result
    }

    /// Sends bytes both ways for as long as the path may still change, and checks every one of them.
    private func exchange(
        _ outgoing: SwarmConnection, _ listener: DHTServer, until deadline: MonotonicTime, _ pair: NATPair
    ) async -> (Bool, MonotonicTime?, ConnectionPath?) {
        let wanted: ConnectionPath =
            switch pair.way {
            case .open: .open
            case .consistent, .birthday: .holePunched
            case .relay: .relayed
            }
        let stopping = Flag()
        async let watch: (MonotonicTime?, ConnectionPath?) = {
            var path = await outgoing.path
            while path != wanted, world.loop.now < deadline {
                await world.loop.sleep(for: NATLab.round)
                path = await outgoing.path
            }
            let time = path == wanted ? world.loop.now : nil
            // Some more bytes on the path that it came to.
            await world.loop.sleep(for: .seconds(4))
            stopping.raise()
            return (time, await outgoing.path)
        }()
        async let there = pump(outgoing, seed: 1, peerSeed: 2, stopping)
        var iterator = listener.connections.makeAsyncIterator()
        let incoming = await iterator.next()
        let back: Bool
        if let incoming { back = await pump(incoming, seed: 2, peerSeed: 1, stopping) } else { back = false }
        let (time, path) = await watch
        let isIntact = await there && back
        return (isIntact, time, path)
    }

    /// Writes a pattern until `stopping` is raised, and reads and checks the peer's until it ends.
    private func pump(_ connection: SwarmConnection, seed: UInt8, peerSeed: UInt8, _ stopping: Flag) async -> Bool {
        async let writing: Bool = {
            var index = 0
            do {
                while !stopping.isRaised {
                    let chunk = (0..<setup.byteCount / 20).map { Pattern.byte(index + $0, seed: seed) }
                    try await connection.write(chunk)
                    index += chunk.count
                    await world.loop.sleep(for: .milliseconds(100))
                }
                await connection.finish()
                return true
            } catch {
                return false
            }
        }()
        var count = 0
        var isIntact = true
        do {
            while let bytes = try await connection.read() {
                for (offset, byte) in bytes.enumerated() where byte != Pattern.byte(count + offset, seed: peerSeed) {
                    isIntact = false
                }
                count += bytes.count
            }
        } catch {
            isIntact = false
        }
        return await writing && isIntact && count > 0
    }

    private var base: DHTConfiguration { DHTConfiguration(bootstrap: net.bootstrap) }

    private func node(_ kind: NATKind, number: UInt8, relay: PublicKey) -> DHTNode {
        var configuration = base
        if setup.hasRelay { configuration.relays = [relay] }
        configuration.relayUse = setup.isRelayFirst ? .first : .whenNeeded
        return DHTNode(
            runtime: world.runtime(host: kind.runtime(in: world, number: number)), configuration: configuration)
    }

    private func withNodes<Value: Sendable>(
        _ nodes: [DHTNode], _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { try await node.run() } }
            for node in nodes {
                try await node.started()
                guard await node.bootstrapped() else { throw Failure(text: "a node did not start") }
            }
            let outcome: Swift.Result<Value, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            for node in nodes { await node.close() }
            try await group.waitForAll()
            return try outcome.get()
        }
    }
}

/// Bytes that say where they belong.
enum Pattern {
    static func byte(_ index: Int, seed: UInt8) -> UInt8 {
        UInt8(truncatingIfNeeded: (index &* 31) >> 3) &+ seed &* 37 &+ UInt8(truncatingIfNeeded: index >> 11)
    }
}
