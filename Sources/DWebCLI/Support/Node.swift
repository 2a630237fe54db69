import DWeb
import Foundation

/// The parts that a command runs on: a loop, a store and, where the network is used, a networker.
struct Node: Sendable {
    let runtime: DWebRuntime
    let store: Basestore
    let networker: SwarmNetworker

    /// Opens a store, runs `body` with it and the network, and closes both whatever happens.
    ///
    /// Ctrl-C ends `body` alone, so that the networker can withdraw what it announced.
    ///
    /// - Parameter storePath: The store's directory; nil keeps logs in a temporary one.
    static func with<Result: Sendable>(
        storePath: String?, network: NetworkOptions, _ body: @escaping @Sendable (Node) async throws -> Result
    ) async throws -> Result {
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = try network.bootstrapAddresses()
        configuration.port = network.port
        // A port that was asked for is taken or refused, never exchanged for another.
        configuration.isAnyPortAllowed = network.port == nil
        configuration.host = try network.bindHost()
        configuration.relays = try network.relays()
        configuration.isLocalDiscoveryEnabled = !network.isLocalNetworkOff
        // Beside the store, so that a restart needs no bootstrap node.
        if let storePath { configuration.knownNodesFile = DiskFile(path: storePath + "/NODES") }
        let settings = configuration
        return try await withStore(path: storePath) { runtime, store in
            try await SwarmNetworker.withNetworker(store: store, configuration: settings) { networker in
                try await untilInterrupted {
                    try await body(Node(runtime: runtime, store: store, networker: networker))
                }
            }
        }
    }

    /// Opens a store without the network, runs `body` with it, and closes it whatever happens.
    static func withStore<Result: Sendable>(
        path: String?, createIfMissing: Bool = true,
        _ body: @escaping @Sendable (DWebRuntime, Basestore) async throws -> Result
    ) async throws -> Result {
        let temporary = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)").path
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: RocksStorage())
        var options = BasestoreOptions()
        options.storage.createIfMissing = createIfMissing
        let outcome: Swift.Result<Result, any Error>
        do {
            let store = try await Basestore.open(path ?? temporary, runtime: runtime, options: options)
            do {
                outcome = .success(try await body(runtime, store))
            } catch {
                outcome = .failure(error)
            }
            await store.close()
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        if path == nil { try? FileManager.default.removeItem(atPath: temporary) }
        return try outcome.get()
    }
}
