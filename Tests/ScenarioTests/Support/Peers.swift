import DWeb
import DWebSimulation
import Foundation
import Testing

/// What stays of a peer while it is down: its host and its disk.
final class Home: Sendable {
    let number: UInt8
    let storage: any StorageProvider
    let path: String
    private let isTemporary: Bool

    fileprivate init(_ number: UInt8, storage: any StorageProvider, path: String, isTemporary: Bool) {
        self.number = number
        self.storage = storage
        self.path = path
        self.isTemporary = isTemporary
    }

    deinit {
        if isTemporary { try? FileManager.default.removeItem(atPath: path) }
    }
}

/// A peer that is up: a store, and a networker that runs.
struct Peer: Sendable {
    let home: Home
    let store: Basestore
    let networker: SwarmNetworker

    var publicKey: PublicKey { networker.keyPair.publicKey }

    /// Announces a log, and returns once others can find it.
    func announce(_ log: DDatabase) async throws {
        try await networker.join(log.discoveryKey, announce: true, lookup: false)
    }

    /// Opens a log of somebody else, finds those who announce it and connects to all of them.
    func find(_ key: PublicKey) async throws -> DDatabase {
        let log = try await store.database(key: key)
        try await networker.join(log.discoveryKey, announce: false, lookup: true)
        #expect(await networker.flushed(log.discoveryKey))
        return log
    }
}

extension Stage {
    /// A host with a store in memory.
    func home(_ number: UInt8) -> Home {
        Home(number, storage: MemoryStorage(), path: "store", isTemporary: false)
    }

    /// A host with a store on disk. Disks are not simulated: there, it is in memory.
    func homeOnDisk(_ number: UInt8) -> Home {
        if ground.isSimulated { return home(number) }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("dweb-scenario-\(UUID().uuidString)")
        return Home(number, storage: RocksStorage(), path: path.path, isTemporary: true)
    }

    /// The outside world as a host sees it.
    func runtime(_ home: Home) -> DWebRuntime {
        if let world { return world.runtime(address: address(home), storage: home.storage) }
        guard let loop = loop as? PosixLoop else { preconditionFailure("real sockets need a real loop") }
        return DWebRuntime.posix(loop: loop, storage: home.storage)
    }

    /// The address of a host, with port 0.
    func address(_ home: Home) -> SocketAddress {
        ground.isSimulated
            ? SocketAddress(ipv4: 10, 0, 1, home.number, port: 0) : SocketAddress(ipv4: 127, 0, 0, 1, port: 0)
    }

    /// How a networker finds this network.
    var configuration: SwarmNetworker.Configuration {
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = net.bootstrap
        if !ground.isSimulated {
            configuration.host = "127.0.0.1"
            configuration.port = 0
        }
        return configuration
    }

    /// How a swarm finds this network.
    var swarmConfiguration: DSwarm.Configuration {
        var configuration = DSwarm.Configuration()
        configuration.dht =
            ground.isSimulated ? DHTConfiguration(bootstrap: net.bootstrap) : .loopback(bootstrap: net.bootstrap)
        return configuration
    }

    /// Opens a store, closed with its scope.
    func withStore<Result: Sendable>(
        _ home: Home, _ body: (Basestore) async throws -> Result
    ) async throws -> Result {
        let store = try await Basestore.open(home.path, runtime: runtime(home))
        let outcome: Swift.Result<Result, any Error>
        do { outcome = .success(try await body(store)) } catch { outcome = .failure(error) }
        #expect(store.connectionCount == 0)
        await store.close()
        return try outcome.get()
    }

    /// Brings a peer up, and down again whatever happens; nothing of it stays behind.
    func withPeer<Result: Sendable>(
        _ home: Home, _ change: (inout SwarmNetworker.Configuration) -> Void = { _ in },
        _ body: @escaping @Sendable (Peer) async throws -> Result
    ) async throws -> Result {
        var configuration = configuration
        change(&configuration)
        return try await withStore(home) { store in
            let networker = SwarmNetworker(store: store, configuration: configuration)
            let outcome: Swift.Result<Result, any Error>
            do {
                outcome = .success(
                    try await SwarmNetworker.withNetworker(networker) { networker in
                        try await body(Peer(home: home, store: store, networker: networker))
                    })
            } catch {
                outcome = .failure(error)
            }
            let diagnostics = await networker.swarm.dht.diagnostics
            #expect(diagnostics.socketCount == 0)
            #expect(diagnostics.streamCount == 0)
            #expect(await networker.streams.isEmpty)
            return try outcome.get()
        }
    }

    /// Brings several peers up.
    func withPeers<Result: Sendable>(
        _ homes: [Home], _ body: @escaping @Sendable ([Peer]) async throws -> Result
    ) async throws -> Result {
        guard let first = homes.first else { return try await body([]) }
        return try await withPeer(first) { peer in
            try await self.withPeers(Array(homes.dropFirst())) { others in try await body([peer] + others) }
        }
    }
}

/// Bytes that follow from an index.
func content(_ index: Int, byteCount: Int = 40) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: index &* 31 &+ $0 &* 7 &+ index >> 8) }
}

/// The blocks with the indices of `range`.
func contents(_ range: Range<Int>, byteCount: Int = 40) -> [[UInt8]] {
    range.map { content($0, byteCount: byteCount) }
}

/// The code of the error that `body` throws; nil if it throws none.
func code<Result>(_ body: () async throws(DDatabaseError) -> Result) async -> DDatabaseError.Code? {
    do throws(DDatabaseError) {
        _ = try await body()
        return nil
    } catch {
        return error.code
    }
}
