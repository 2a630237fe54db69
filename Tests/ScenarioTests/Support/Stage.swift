import DWeb
import DWebSimulation
import Foundation
import Synchronization
import Testing

/// A private network for one scenario: five DHT nodes, and room for peers on hosts of their own.
///
/// The same scenario runs on simulated hosts (10.0.0.x, virtual time, delay and a little loss) and on real sockets.
final class Stage: Sendable {
    let ground: Ground
    let loop: any RuntimeLoop
    /// The simulated world; nil on real sockets.
    let world: SimulatedWorld?
    let net: TestNet
    private let hasBegun = Mutex(false)

    private init(_ ground: Ground, loop: any RuntimeLoop, world: SimulatedWorld?, net: TestNet) {
        self.ground = ground
        self.loop = loop
        self.world = world
        self.net = net
    }

    /// Runs a scenario beside a network of its own.
    ///
    /// - Parameters:
    ///   - ground: Where.
    ///   - conditions: What happens to packets, if they are simulated.
    ///   - timeLimit: The virtual time after which a simulated scenario counts as stuck.
    ///   - isIdle: Whether the scenario mostly waits, so that it disturbs no other on real sockets.
    static func run(
        _ ground: Ground, nodeCount: Int = 5, conditions: LinkConditions = .everyday,
        timeLimit: Duration = .seconds(300), isIdle: Bool = false,
        _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws {
        switch ground {
        case .simulated(let seed):
            try simulate(seed: seed, nodeCount: nodeCount, conditions: conditions, timeLimit: timeLimit, body)
        case .loopback:
            if isIdle {
                try await live(nodeCount, body)
            } else {
                try await LoopbackTurns.shared.whileMine { try await live(nodeCount, body) }
            }
        }
    }

    private static func live(
        _ nodeCount: Int, _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws {
        let loop = PosixLoop()
        let outcome: Result<Void, any Error>
        do {
            try await withTaskExecutorPreference(loop) { try await live(on: loop, nodeCount, body) }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        try outcome.get()
    }

    /// Runs a scenario in a world of its own, and returns the hash of everything that was sent in it.
    @discardableResult
    static func simulate(
        seed: UInt64, nodeCount: Int = 5, conditions: LinkConditions = .everyday,
        timeLimit: Duration = .seconds(300), _ body: @escaping @Sendable (Stage) async throws -> Void
    ) throws -> UInt64 {
        let world = SimulatedWorld(seed: seed)
        world.network.conditions = conditions
        let places = (1...nodeCount).map { number in
            let address = SocketAddress(ipv4: 10, 0, 0, UInt8(number), port: 49_737)
            return (runtime: world.runtime(address: address), address: address)
        }
        let stage = Stage(
            .simulated(seed: seed), loop: world.loop, world: world, net: TestNet(places: places))
        try world.run(timeLimit: timeLimit) { try await stage.run(body) }
        try world.loop.drain()
        return world.network.traceHash
    }

    private static func live(
        on loop: PosixLoop, _ nodeCount: Int, _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws {
        let runtime = DWebRuntime.posix(loop: loop, storage: MemoryStorage())
        for remainingTries in (0..<5).reversed() {
            var places: [(runtime: DWebRuntime, address: SocketAddress)] = []
            while places.count < nodeCount { places.append((runtime, try await freeAddress(runtime))) }
            let stage = Stage(.loopback, loop: loop, world: nil, net: TestNet(places: places))
            do {
                return try await stage.run(body)
            } catch let error as DSwarmError where error.code == .bindFailed && remainingTries > 0 {
                // Another program was quicker to take a port: nothing has happened yet.
                guard !stage.hasBegun.withLock({ $0 }) else { throw error }
            }
        }
    }

    // Below the ports that the system gives out by itself, so that no other socket takes one in between.
    private static let nextPort = Mutex(UInt16.random(in: 20_000..<30_000))

    /// A loopback address that nobody uses.
    static func freeAddress(_ runtime: DWebRuntime) async throws -> SocketAddress {
        while true {
            let port = nextPort.withLock { port in
                port = port >= 30_000 ? 20_000 : port + 1
                return port
            }
            let address = SocketAddress(ipv4: 127, 0, 0, 1, port: port)
            guard
                let socket = try? await runtime.network.bind(DatagramSocketOptions(address: address), receive: { _ in })
            else { continue }
            socket.close()
            return address
        }
    }

    private func run(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [net] in try await net.run() }
            let outcome: Result<Void, any Error>
            do {
                if await net.ready() {
                    hasBegun.withLock { $0 = true }
                    try await body(self)
                }
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            await net.close()
            try await group.waitForAll()
            try outcome.get()
            guard hasBegun.withLock({ $0 }) else { throw ScenarioFailure("the network did not start") }
        }
    }

    // MARK: Time

    /// Lets virtual or real time pass, unless the task is cancelled.
    func pause(_ duration: Duration) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let timer = loop.schedule(at: loop.now + duration) { continuation.finish() }
        for await _ in stream {}
        timer.cancel()
    }

    /// Waits for an event; nil if none comes within `limit`.
    func first(
        of events: SwarmNetworker.Events, within limit: Duration = .seconds(30),
        where isWanted: @escaping @Sendable (SwarmNetworker.Event) -> Bool
    ) async -> SwarmNetworker.Event? {
        await withTaskGroup(of: SwarmNetworker.Event?.self) { group in
            group.addTask {
                for await event in events where isWanted(event) { return event }
                return nil
            }
            group.addTask {
                await self.pause(limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// Waits until `condition` holds; false if it does not within `limit`.
    func eventually(within limit: Duration = .seconds(20), _ condition: () async throws -> Bool) async rethrows -> Bool
    {
        let deadline = loop.now + limit
        while loop.now < deadline {
            if try await condition() { return true }
            await pause(.milliseconds(10))
        }
        return try await condition()
    }
}

/// A scenario that cannot go on.
struct ScenarioFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension LinkConditions {
    /// A usual network: some delay, little jitter, and one packet in a hundred lost.
    static var everyday: LinkConditions {
        var conditions = LinkConditions(latency: .milliseconds(10))
        conditions.jitter = .milliseconds(2)
        conditions.loss = 0.01
        return conditions
    }
}

/// Lets few scenarios use real sockets at a time: their time limits are real.
private actor LoopbackTurns {
    static let shared = LoopbackTurns()

    private var freeCount = 8
    private var waiting: [CheckedContinuation<Void, Never>] = []

    nonisolated func whileMine(_ body: () async throws -> Void) async throws {
        await take()
        do { try await body() } catch {
            await giveBack()
            throw error
        }
        await giveBack()
    }

    private func take() async {
        if freeCount > 0 {
            freeCount -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func giveBack() {
        if waiting.isEmpty { freeCount += 1 } else { waiting.removeFirst().resume() }
    }
}
