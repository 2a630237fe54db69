import DWeb
import DWebEssentials

/// A DHT node of its own, for commands that need the network and no store.
enum NetworkSession {
    /// Runs a node while `body` runs, and closes it whatever happens.
    static func with<Result: Sendable>(
        _ network: NetworkOptions, change: (inout DHTConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (DHTNode) async throws -> Result
    ) async throws -> Result {
        var configuration = try network.dhtConfiguration()
        change(&configuration)
        let settings = configuration
        return try await withRuntime { runtime in
            let node = DHTNode(runtime: runtime, configuration: settings)
            return try await run(node, body)
        }
    }

    /// Runs a swarm that dials nobody by itself while `body` runs, and closes it whatever happens.
    static func withSwarm<Result: Sendable>(
        _ network: NetworkOptions, as identity: KeyPair, _ body: @escaping @Sendable (DSwarm) async throws -> Result
    ) async throws -> Result {
        var configuration = SwarmConfiguration()
        configuration.dht = try network.dhtConfiguration()
        configuration.isLocalDiscoveryEnabled = !network.isLocalNetworkOff
        configuration.peerLimit = 0
        let settings = configuration
        return try await withRuntime { runtime in
            let swarm = DSwarm(identity: identity, runtime: runtime, configuration: settings)
            return try await beside(
                { try await swarm.run() }, close: { await swarm.close() }, { try await body(swarm) })
        }
    }

    /// Runs `node` while `body` runs, and closes it whatever happens.
    ///
    /// Ctrl-C ends `body` alone, so that the node can withdraw what it announced.
    static func run<Result: Sendable>(
        _ node: DHTNode, _ body: @escaping @Sendable (DHTNode) async throws -> Result
    ) async throws -> Result {
        try await beside({ try await node.run() }, close: { await node.close() }, { try await body(node) })
    }

    /// Runs `service` until `body` has ended and `close` was called.
    private static func beside<Result: Sendable>(
        _ service: @escaping @Sendable () async throws -> Void, close: @escaping @Sendable () async -> Void,
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await service()
                return nil
            }
            group.addTask {
                let outcome: Swift.Result<Result, any Error>
                do {
                    outcome = .success(try await untilInterrupted(body))
                } catch {
                    outcome = .failure(error)
                }
                await close()
                return try outcome.get()
            }
            var result: Result?
            while let next = try await group.next() { result = next ?? result }
            guard let result else { throw CommandFailure(.network, "The network was closed.") }
            return result
        }
    }

    /// A loop and its ports for as long as `body` runs.
    static func withRuntime<Result: Sendable>(
        _ body: (DWebRuntime) async throws -> Result
    ) async throws -> Result {
        let loop = PosixLoop()
        let outcome: Swift.Result<Result, any Error>
        do {
            outcome = .success(try await body(.posix(loop: loop, storage: MemoryStorage())))
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        return try outcome.get()
    }
}

extension NetworkOptions {
    /// The node's settings that these options ask for.
    func dhtConfiguration() throws -> DHTConfiguration {
        var configuration = DHTConfiguration()
        if let bootstrap = try bootstrapAddresses() { configuration.bootstrap = bootstrap.map(\.description) }
        configuration.host = try bindHost()
        configuration.relays = try relays()
        if let port { configuration.port = port }
        // A port that was asked for is taken or refused, never exchanged for another.
        configuration.isAnyPortAllowed = port == nil
        return configuration
    }
}
