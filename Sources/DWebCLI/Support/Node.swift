import DWeb
import DWebEssentials

#if Daemon
    import DWebDaemonServer
#endif

/// The parts that a command runs on: a loop, a store and, where the network is used, a networker.
struct Node: Sendable {
    let runtime: DWebRuntime
    let store: Basestore
    let networker: SwarmNetworker
    /// Where the daemon of this machine is connected to; nil where there is none to read from.
    let neighbor: SocketAddress?

    /// Opens a store, runs `body` with it and the network, and closes both whatever happens.
    ///
    /// - Parameter storePath: The store's directory; nil keeps logs in a temporary one.
    static func with<Result: Sendable>(
        storePath: String?, isMemory: Bool = false, network: NetworkOptions,
        _ body: @escaping @Sendable (Node) async throws -> Result
    ) async throws -> Result {
        // Wrong addresses are told before anything is opened.
        _ = try network.configuration()
        return try await withStore(path: storePath, isMemory: isMemory) { runtime, store in
            try await with(runtime, store, storePath: storePath, network: network, body)
        }
    }

    /// Runs `body` with a store that is open and the network, and closes the network whatever happens.
    ///
    /// Ctrl-C ends `body` alone, so that the networker can withdraw what it announced.
    ///
    /// - Parameters:
    ///   - storePath: The store's directory, where DHT nodes are remembered; nil to remember none.
    ///   - identity: The identity of all connections; nil for the store's own.
    static func with<Result: Sendable>(
        _ runtime: DWebRuntime, _ store: Basestore, storePath: String? = nil, network: NetworkOptions,
        identity: KeyPair? = nil, _ body: @escaping @Sendable (Node) async throws -> Result
    ) async throws -> Result {
        var configuration = try network.configuration()
        configuration.keyPair = identity
        // Beside the store, so that a restart needs no bootstrap node.
        if let storePath { configuration.knownNodesFile = DiskFile(path: storePath + "/NODES") }
        let networker = SwarmNetworker(store: store, configuration: configuration)
        let outcome: Swift.Result<Result, any Error>
        do {
            let result = try await SwarmNetworker.withNetworker(networker) { networker in
                let neighbor = network.isLocalNetworkOff ? nil : await joinNeighbor(networker)
                ProcessMemory.giveBackUnused()
                return try await untilInterrupted {
                    try await body(Node(runtime: runtime, store: store, networker: networker, neighbor: neighbor))
                }
            }
            outcome = .success(result)
        } catch {
            outcome = .failure(error)
        }
        if await networker.swarm.abandonedWithdrawalCount > 0 {
            Console(isJSON: false, isQuiet: false).say(
                "The network did not answer in time, so what was announced could not be taken back: it fades within half "
                    + "an hour.")
        }
        return try outcome.get()
    }

    /// Connects to the daemon of this machine, if one runs that seeds something, and says where that is.
    private static func joinNeighbor(_ networker: SwarmNetworker) async -> SocketAddress? {
        #if Daemon
            await DaemonNeighbor.join(networker, DaemonPaths(folder: DaemonOptions.standardPath))
        #else
            nil
        #endif
    }

    /// Opens a store without the network, runs `body` with it, and closes it whatever happens.
    ///
    /// - Parameters:
    ///   - path: The store's directory; nil keeps logs in a temporary one.
    ///   - isMemory: Whether logs are kept in memory instead.
    static func withStore<Result: Sendable>(
        path: String?, isMemory: Bool = false, createIfMissing: Bool = true, primaryKey: Bytes32? = nil,
        _ body: @escaping @Sendable (DWebRuntime, Basestore) async throws -> Result
    ) async throws -> Result {
        let temporary = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-\(UUID().uuidString)").path
        let loop = PosixLoop()
        let storage: any StorageProvider = isMemory ? MemoryStorage() : RocksStorage()
        let runtime = DWebRuntime.posix(loop: loop, storage: storage)
        var options = BasestoreOptions()
        options.storage.createIfMissing = createIfMissing
        options.primaryKey = primaryKey
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
        if path == nil, !isMemory { try? FileManager.default.removeItem(atPath: temporary) }
        return try outcome.get()
    }
}
