import DWeb
import DWebDaemonKit
import DWebDrive
import DWebSimulation
import DWebTree
import Foundation
import Synchronization
import Testing

/// A private network in a simulated world.
struct DaemonStage: Sendable {
    let world: SimulatedWorld
    let bootstrap: [SocketAddress]

    /// Runs a test's body beside a network of five nodes, on virtual time.
    static func run(seed: UInt64 = 1, _ body: @escaping @Sendable (DaemonStage) async throws -> Void) throws {
        let world = SimulatedWorld(seed: seed)
        let places = (1...5).map { number in
            let address = SocketAddress(ipv4: 10, 0, 0, UInt8(number), port: 49_737)
            return (runtime: world.runtime(address: address), address: address)
        }
        let net = TestNet(places: places)
        let stage = DaemonStage(world: world, bootstrap: net.bootstrap)
        try world.run(timeLimit: .seconds(7_200)) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await net.run() }
                let outcome: Result<Void, any Error>
                do {
                    _ = await net.ready()
                    try await body(stage)
                    outcome = .success(())
                } catch {
                    outcome = .failure(error)
                }
                await net.close()
                try await group.waitForAll()
                try outcome.get()
            }
        }
        try world.loop.drain()
    }

    /// Lets virtual time pass.
    func pause(_ duration: Duration) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let timer = world.loop.schedule(at: world.loop.now + duration) { continuation.finish() }
        for await _ in stream {}
        timer.cancel()
    }

    /// Waits until a condition holds; false if it does not within ten minutes of virtual time.
    func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
        let deadline = world.loop.now + .seconds(600)
        while world.loop.now < deadline {
            if try await condition() { return true }
            await pause(.milliseconds(500))
        }
        return try await condition()
    }
}

/// What stays of a host while its program is down: its disk.
final class DaemonHome: Sendable {
    let number: UInt8
    let storage: any StorageProvider
    let freeByteCount: FreeSpace

    init(_ number: UInt8, storage: any StorageProvider = MemoryStorage()) {
        self.number = number
        self.storage = storage
        freeByteCount = FreeSpace()
    }
}

/// The free bytes that a simulated disk says it has.
final class FreeSpace: Sendable {
    private let count = Mutex<UInt64?>(nil)
    var value: UInt64? {
        get { count.withLock { $0 } }
        set { count.withLock { $0 = newValue } }
    }
}

extension DaemonStage {
    /// Runs a store and a networker on a host.
    func withPeer<Result: Sendable>(
        _ home: DaemonHome, _ body: @escaping @Sendable (Basestore, SwarmNetworker) async throws -> Result
    ) async throws -> Result {
        let runtime = world.runtime(
            address: SocketAddress(ipv4: 10, 0, 1, home.number, port: 0), storage: home.storage)
        var options = BasestoreOptions()
        options.primaryKey = Bytes32(repeating: home.number)
        let store = try await Basestore.open("store", runtime: runtime, options: options)
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = bootstrap
        let outcome: Swift.Result<Result, any Error>
        do {
            outcome = .success(
                try await SwarmNetworker.withNetworker(store: store, configuration: configuration) { networker in
                    try await body(store, networker)
                })
        } catch {
            outcome = .failure(error)
        }
        await store.close()
        return try outcome.get()
    }

    /// Runs a daemon on a host, and closes it in order.
    func withDaemon<Result: Sendable>(
        _ home: DaemonHome, _ body: @escaping @Sendable (Daemon) async throws -> Result
    ) async throws -> Result {
        try await withPeer(home) { store, networker in
            var configuration = Daemon.Configuration()
            configuration.freeByteCount = { home.freeByteCount.value }
            let daemon = try await Daemon.open(
                store: store, networker: networker, statePath: "state", configuration: configuration)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await daemon.run() }
                let outcome: Swift.Result<Result, any Error>
                do {
                    await daemon.started()
                    outcome = .success(try await body(daemon))
                } catch {
                    outcome = .failure(error)
                }
                await daemon.close()
                try await group.waitForAll()
                return try outcome.get()
            }
        }
    }

    /// Runs a host that has written something and announces it.
    func withWriter<Value: Sendable, Result: Sendable>(
        _ number: UInt8, _ prepare: @escaping @Sendable (Basestore) async throws -> (Value, DiscoveryKey),
        _ body: @escaping @Sendable (Value) async throws -> Result
    ) async throws -> Result {
        try await withPeer(DaemonHome(number)) { store, networker in
            let (value, discoveryKey) = try await prepare(store)
            try await networker.join(discoveryKey, announce: true, lookup: false)
            return try await body(value)
        }
    }

    /// A host with a log of some blocks.
    func withLog<Result: Sendable>(
        _ number: UInt8 = 1, blockCount: Int = 10, byteCount: Int = 100,
        _ body: @escaping @Sendable (DDatabase) async throws -> Result
    ) async throws -> Result {
        try await withWriter(number) { store in
            let log = try await store.database(named: "log")
            try await log.append((0..<blockCount).map { Array(repeating: UInt8($0 & 0xff), count: byteCount) })
            return (log, log.discoveryKey)
        } _: { log in
            try await body(log)
        }
    }

    /// Waits until a seed is in a state.
    func reaches(_ state: SeedState, _ key: PublicKey, _ daemon: Daemon) async -> Bool {
        await eventually { await daemon.seedStatuses([key]).first?.state == state }
    }
}
