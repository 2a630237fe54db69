import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import DWebSwarm

/// A simulated network of DHT nodes, one host each, on which swarms can be run.
final class SwarmWorld: Sendable {
    let world: SimulatedWorld
    let net: TestNet

    init(seed: UInt64, nodeCount: Int = 8) {
        let world = SimulatedWorld(seed: seed)
        self.world = world
        net = TestNet(
            places: (0..<nodeCount).map { index in
                let address = SocketAddress(ipv4: 10, 0, 0, UInt8(index + 1), port: 49_737)
                return (world.runtime(address: address), address)
            })
    }

    /// Runs `body` beside the network and closes that afterwards.
    func run<Result: Sendable>(
        timeLimit: Duration = .seconds(600), _ body: @escaping @Sendable (SwarmWorld) async throws -> Result
    ) throws -> Result {
        try world.run(timeLimit: timeLimit) { [self] in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.net.run() }
                guard await net.ready() else { throw TestFailure("the network did not start") }
                let result = try await body(self)
                await net.close()
                try await group.waitForAll()
                return result
            }
        }
    }

    /// A swarm on a host of its own.
    func swarm(
        _ number: UInt8, seed: UInt8? = nil, _ change: (inout SwarmConfiguration) -> Void = { _ in }
    ) -> DSwarm {
        var configuration = SwarmConfiguration()
        configuration.dht = DHTConfiguration(bootstrap: net.bootstrap)
        change(&configuration)
        return DSwarm(
            identity: KeyPair(seed: Bytes32(repeating: seed ?? number)),
            runtime: world.runtime(address: SocketAddress(ipv4: 10, 0, 1, number, port: 0)),
            configuration: configuration)
    }
}

extension SwarmWorld {
    /// A node on a host of its own.
    func node(_ number: UInt8, _ change: (inout DHTConfiguration) -> Void = { _ in }) -> DHTNode {
        var configuration = DHTConfiguration(bootstrap: net.bootstrap)
        change(&configuration)
        return DHTNode(
            runtime: world.runtime(address: SocketAddress(ipv4: 10, 0, 1, number, port: 0)),
            configuration: configuration)
    }
}

/// Runs nodes beside `body` and closes them afterwards.
func withDHTNodes<Result: Sendable>(
    _ nodes: [DHTNode], _ body: @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for node in nodes { group.addTask { try await node.run() } }
        let outcome: Swift.Result<Result, any Error>
        do {
            for node in nodes {
                try await node.started()
                _ = await node.bootstrapped()
            }
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        for node in nodes { await node.close() }
        try await group.waitForAll()
        return try outcome.get()
    }
}

struct TestFailure: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// Runs swarms beside `body` and closes them afterwards.
func withSwarms<Result: Sendable>(
    _ swarms: [DSwarm], _ body: @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for swarm in swarms { group.addTask { try await swarm.run() } }
        let result: Result
        do {
            for swarm in swarms { try await swarm.started() }
            result = try await body()
        } catch {
            for swarm in swarms { await swarm.close() }
            throw error
        }
        for swarm in swarms { await swarm.close() }
        try await group.waitForAll()
        return result
    }
}

extension SwarmConnection {
    /// Reads exactly `count` bytes.
    func read(count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let more = try await read() else { throw TestFailure("ended after \(bytes.count) of \(count) bytes") }
            bytes += more
        }
        return bytes
    }
}

extension SwarmConnections {
    /// The next connection, which must come.
    func first() async throws -> SwarmConnection {
        var iterator = makeAsyncIterator()
        guard let connection = await iterator.next() else { throw TestFailure("there is no connection") }
        return connection
    }
}

extension RuntimeLoop {
    /// Lets virtual or real time pass.
    func sleep(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            _ = schedule(at: now + duration) { continuation.resume() }
        }
    }
}

/// Takes every connection of a swarm and keeps it, answering what it reads with the same bytes.
actor Collector {
    let swarm: DSwarm
    private(set) var all: [SwarmConnection] = []

    init(_ swarm: DSwarm) { self.swarm = swarm }

    nonisolated var unownedExecutor: UnownedSerialExecutor { swarm.unownedExecutor }

    /// Collects until the swarm is closed.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await connection in swarm.connections {
                all.append(connection)
                group.addTask {
                    // A first write stands for the secret stream's header, which both sides send at once.
                    try? await connection.write([UInt8](repeating: 1, count: 59))
                    while let bytes = try? await connection.read(), bytes.isEmpty == false {}
                    await connection.finish()
                }
            }
        }
    }

    /// The connections that are still open.
    func open() -> [SwarmConnection] {
        var open: [SwarmConnection] = []
        for connection in all where !connection.isClosed { open.append(connection) }
        return open
    }
}

/// Runs swarms with a collector each.
func withCollectors<Result: Sendable>(
    _ swarms: [DSwarm], _ body: @Sendable ([Collector]) async throws -> Result
) async throws -> Result {
    try await withSwarms(swarms) {
        let collectors = swarms.map { Collector($0) }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for collector in collectors { group.addTask { await collector.run() } }
            let result = try await body(collectors)
            for swarm in swarms { await swarm.close() }
            try await group.waitForAll()
            return result
        }
    }
}

extension SwarmWorld {
    /// Cuts a swarm's host off from everybody, as if it had crashed.
    func cutOff(_ number: UInt8) {
        var conditions = LinkConditions()
        conditions.isPartitioned = true
        let host = SocketAddress(ipv4: 10, 0, 1, number, port: 0)
        let others =
            net.nodes.indices.map { SocketAddress(ipv4: 10, 0, 0, UInt8($0 + 1), port: 0) }
            + (UInt8(1)...32).map { SocketAddress(ipv4: 10, 0, 1, $0, port: 0) }
        for other in others where other != host {
            world.network.setConditions(conditions, from: host, to: other)
            world.network.setConditions(conditions, from: other, to: host)
        }
    }
}
