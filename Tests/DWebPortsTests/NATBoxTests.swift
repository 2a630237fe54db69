import DWebBase
import DWebPorts
import DWebSimulation
import Synchronization
import Testing

/// Translators of the simulator, against RFC 4787.
@Suite struct NATBoxTests {
    private static let home = SocketAddress(ipv4: 90, 0, 0, 1, port: 0)

    /// Sockets that note what arrives.
    private final class Wire: Sendable {
        let world: SimulatedWorld
        private let log = Mutex<[(source: SocketAddress, text: String)]>([])

        init(_ world: SimulatedWorld) { self.world = world }

        var arrivals: [(source: SocketAddress, text: String)] { log.withLock { $0 } }
        var texts: [String] { arrivals.map(\.text) }

        func bind(_ host: SimulatedHost, port: UInt16) async throws -> any DatagramSocket {
            try await host.bind(DatagramSocketOptions(address: host.address.with(port: port))) { batch in
                for entry in batch.entries {
                    let text = String(decoding: batch.payload(of: entry), as: UTF8.self)
                    self.log.withLock { $0.append((entry.address, text)) }
                }
            }
        }

        func send(
            _ text: String, from socket: any DatagramSocket, to address: SocketAddress, timeToLive: UInt8 = 0
        ) async {
            var batch = DatagramBatch()
            batch.append(Array(text.utf8), address: address, timeToLive: timeToLive)
            socket.send(batch)
            await wait(.milliseconds(50))
        }

        func wait(_ duration: Duration) async {
            let loop = world.loop
            await withCheckedContinuation { continuation in
                _ = loop.schedule(at: loop.now + duration) { continuation.resume() }
            }
        }
    }

    private func run(_ body: @escaping @Sendable (SimulatedWorld, Wire) async throws -> Void) throws {
        let world = SimulatedWorld(seed: 1)
        try world.run { try await body(world, Wire(world)) }
    }

    private static func peer(_ number: UInt8) -> SocketAddress { SocketAddress(ipv4: 80, 0, 0, number, port: 0) }
    private static let inner = SocketAddress(ipv4: 192, 168, 1, 2, port: 0)

    /// The outer ports that three peers see: two ports of one host, and another host.
    private func ports(_ behavior: NATBehavior) throws -> [UInt16] {
        let result = Mutex<[UInt16]>([])
        let world = SimulatedWorld(seed: 1)
        try world.run {
            let wire = Wire(world)
            let box = world.network.addNAT(behavior, at: Self.home)
            let socket = try await wire.bind(world.network.host(Self.inner, behind: box), port: 5_000)
            let one = world.network.host(Self.peer(1))
            let two = world.network.host(Self.peer(2))
            _ = try await wire.bind(one, port: 1)
            _ = try await wire.bind(one, port: 2)
            _ = try await wire.bind(two, port: 1)
            for address in [one.address.with(port: 1), one.address.with(port: 2), two.address.with(port: 1)] {
                await wire.send("x", from: socket, to: address)
            }
            result.withLock { $0 = wire.arrivals.map(\.source.port) }
            #expect(wire.arrivals.allSatisfy { $0.source.hasSameHost(as: Self.home) })
        }
        return result.withLock { $0 }
    }

    @Test func mappingsDependOnWhatTheBehaviorSays() throws {
        let cone = try ports(.portRestrictedCone)
        #expect(cone == [5_000, 5_000, 5_000])
        let byHost = try ports(.addressDependent)
        #expect(byHost[0] == byHost[1])
        #expect(byHost[0] != byHost[2])
        #expect(Set(try ports(.symmetric)).count == 3)
        // Linux keeps the port as long as that is unique.
        #expect(try ports(.masquerade) == [5_000, 5_000, 5_000])
        let kept = try ports(NATBehavior(mapping: .addressAndPortDependent, filtering: .addressDependent))
        #expect(kept == [5_000, 5_001, 5_002])
    }

    @Test(arguments: [
        (NATBehavior.fullCone, [true, true, true]), (.restrictedCone, [true, true, false]),
        (.portRestrictedCone, [true, false, false]), (.masquerade, [true, false, false]),
        (.addressDependent, [true, true, false]), (.symmetric, [true, false, false]),
    ])
    func filteringAdmitsWhatTheBehaviorSays(behavior: NATBehavior, admitted: [Bool]) throws {
        try run { world, wire in
            let box = world.network.addNAT(behavior, at: Self.home)
            let socket = try await wire.bind(world.network.host(Self.inner, behind: box), port: 5_000)
            let one = world.network.host(Self.peer(1))
            let asked = try await wire.bind(one, port: 1)
            let sibling = try await wire.bind(one, port: 2)
            let stranger = try await wire.bind(world.network.host(Self.peer(2)), port: 1)
            await wire.send("out", from: socket, to: asked.localAddress)
            let outer = try #require(wire.arrivals.first).source
            await wire.send("asked", from: asked, to: outer)
            await wire.send("sibling", from: sibling, to: outer)
            await wire.send("stranger", from: stranger, to: outer)
            let expected = zip(["asked", "sibling", "stranger"], admitted).filter(\.1).map(\.0)
            #expect(Array(wire.texts.dropFirst()) == expected)
            // A port that nobody uses leads nowhere.
            await wire.send("nowhere", from: asked, to: outer.with(port: outer.port ^ 1))
            #expect(wire.texts.last != "nowhere")
        }
    }

    @Test func mappingsEndWithTheirTimeOut() throws {
        try run { world, wire in
            let box = world.network.addNAT(.symmetric, at: Self.home)
            let socket = try await wire.bind(world.network.host(Self.inner, behind: box), port: 5_000)
            let peer = try await wire.bind(world.network.host(Self.peer(1)), port: 1)
            await wire.send("out", from: socket, to: peer.localAddress)
            let outer = try #require(wire.arrivals.first).source
            await wire.wait(.seconds(110))
            await wire.send("in time", from: peer, to: outer)
            // What comes from outside does not refresh by default.
            await wire.wait(.seconds(11))
            await wire.send("late", from: peer, to: outer)
            #expect(wire.texts == ["out", "in time"])
            await wire.send("again", from: socket, to: peer.localAddress)
            #expect(wire.arrivals.last?.source != outer)
            box.restart()
            await wire.send("gone", from: peer, to: try #require(wire.arrivals.last).source)
            #expect(wire.texts.last == "again")
            var behavior = box.behavior
            behavior.isRefreshedFromOutside = true
            box.behavior = behavior
            await wire.send("once more", from: socket, to: peer.localAddress)
            let fresh = try #require(wire.arrivals.last).source
            for _ in 0..<4 {
                await wire.wait(.seconds(60))
                await wire.send("refreshed", from: peer, to: fresh)
            }
            #expect(wire.texts.suffix(4).allSatisfy { $0 == "refreshed" })
        }
    }

    @Test func hairpinningIsAChoice() throws {
        for isHairpinning in [false, true] {
            try run { world, wire in
                var behavior = NATBehavior.fullCone
                behavior.isHairpinning = isHairpinning
                let box = world.network.addNAT(behavior, at: Self.home)
                let one = try await wire.bind(world.network.host(Self.inner, behind: box), port: 5_000)
                let two = try await wire.bind(
                    world.network.host(SocketAddress(ipv4: 192, 168, 1, 3, port: 0), behind: box), port: 6_000)
                let peer = try await wire.bind(world.network.host(Self.peer(1)), port: 1)
                await wire.send("out", from: two, to: peer.localAddress)
                await wire.send("hairpin", from: one, to: Self.home.with(port: 6_000))
                await wire.send("inside", from: one, to: two.localAddress)
                #expect(wire.texts == (isHairpinning ? ["out", "hairpin", "inside"] : ["out", "inside"]))
                // By the outer way it has the outer address, inside its own.
                if isHairpinning { #expect(wire.arrivals[1].source == Self.home.with(port: 5_000)) }
                #expect(wire.arrivals.last?.source == one.localAddress)
            }
        }
    }

    @Test func homesBehindOneCarrierMayUseTheSameNumbers() throws {
        try run { world, wire in
            let carrier = world.network.addNAT(.portRestrictedCone, at: Self.home)
            var sockets: [any DatagramSocket] = []
            for number in UInt8(1)...2 {
                let box = world.network.addNAT(
                    .portRestrictedCone, at: SocketAddress(ipv4: 100, 64, 0, number, port: 0), behind: carrier)
                sockets.append(try await wire.bind(world.network.host(Self.inner, behind: box), port: 5_000))
            }
            let peer = try await wire.bind(world.network.host(Self.peer(1)), port: 1)
            for (index, socket) in sockets.enumerated() {
                await wire.send("home \(index)", from: socket, to: peer.localAddress)
            }
            let outer = wire.arrivals.map(\.source)
            #expect(outer == [Self.home.with(port: 5_000), Self.home.with(port: 5_001)])
            await wire.send("back", from: peer, to: outer[1])
            #expect(wire.texts.last == "back")
            // Packets with few hops to live open the boxes and end in the core.
            await wire.send("short", from: sockets[0], to: Self.peer(1).with(port: 1), timeToLive: 5)
            await wire.send("long", from: sockets[0], to: Self.peer(1).with(port: 1), timeToLive: 64)
            #expect(wire.texts.last == "long")
            #expect(!wire.texts.contains("short"))
        }
    }

    @Test func aHostThatMovesTakesItsSocketsAlong() throws {
        try run { world, wire in
            let host = world.network.host(Self.peer(2))
            let socket = try await wire.bind(host, port: 5_000)
            let peer = try await wire.bind(world.network.host(Self.peer(1)), port: 1)
            let box = world.network.addNAT(.portRestrictedCone, at: Self.home)
            let old = socket.localAddress
            host.move(to: Self.inner, behind: box)
            await wire.send("lost", from: peer, to: old)
            await wire.send("here", from: socket, to: peer.localAddress)
            await wire.send("there", from: peer, to: Self.home.with(port: 5_000))
            #expect(wire.texts == ["here", "there"])
            #expect(wire.arrivals.first?.source == Self.home.with(port: 5_000))
            #expect(socket.localAddress == Self.inner.with(port: 5_000))
            #expect(host.interfaceAddresses().map(\.address) == [Self.inner])
        }
    }
}
