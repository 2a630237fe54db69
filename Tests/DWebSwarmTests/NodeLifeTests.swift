import DWebBase
import DWebCrypto
import DWebPorts
import DWebSimulation
import Testing

@testable import DWebSwarm

/// Networks that change below a node, and rest.
@Suite struct NodeLifeTests {
    private let topic = Topic(hashing: "a topic")

    /// A swarm on a host that can be moved.
    private func traveller(_ world: SwarmWorld) -> (swarm: DSwarm, host: SimulatedHost) {
        let host = world.world.network.host(SocketAddress(ipv4: 10, 0, 1, 2, port: 0))
        var configuration = SwarmConfiguration()
        configuration.dht = DHTConfiguration(bootstrap: world.net.bootstrap)
        let swarm = DSwarm(
            identity: KeyPair(seed: Bytes32(repeating: 2)), runtime: world.world.runtime(host: host),
            configuration: configuration)
        return (swarm, host)
    }

    private func waitForConnection(
        _ world: SwarmWorld, _ collectors: [Collector], limit: Duration
    ) async -> Duration? {
        let loop = world.world.loop
        let start = loop.now
        while loop.now - start < limit {
            var isOpen = true
            for collector in collectors where await collector.open().isEmpty { isOpen = false }
            if isOpen { return loop.now - start }
            await loop.sleep(for: .milliseconds(20))
        }
        return nil
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func aPeerThatMovesIsBackWithinTwoSeconds(seed: UInt64) throws {
        let world = SwarmWorld(seed: seed)
        world.world.network.conditions = LinkConditions(latency: .milliseconds(15))
        try world.run { world in
            let (mobile, host) = traveller(world)
            let fixed = world.swarm(1)
            try await withCollectors([fixed, mobile]) { collectors in
                try await fixed.join(topic)
                await fixed.flush()
                try await mobile.join(topic)
                #expect(await waitForConnection(world, collectors, limit: .seconds(20)) != nil)
                await world.world.loop.sleep(for: .seconds(20))
                // From the open network into a home.
                let box = world.world.network.addNAT(
                    .portRestrictedCone, at: SocketAddress(ipv4: 10, 0, 2, 1, port: 0))
                host.move(to: SocketAddress(ipv4: 192, 168, 1, 7, port: 0), behind: box)
                // The change is noticed by a look every second.
                await world.world.loop.sleep(for: .milliseconds(1_050))
                let time = await waitForConnection(world, collectors, limit: .seconds(30))
                #expect(time.map { $0 < .milliseconds(2_000) } == true, "\(String(describing: time))")
                #expect(await mobile.dht.diagnostics.openAddress == nil)
                // And home again.
                await world.world.loop.sleep(for: .seconds(20))
                host.move(to: SocketAddress(ipv4: 10, 0, 1, 2, port: 0))
                await world.world.loop.sleep(for: .milliseconds(1_050))
                let back = await waitForConnection(world, collectors, limit: .seconds(30))
                #expect(back.map { $0 < .milliseconds(2_000) } == true, "\(String(describing: back))")
            }
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func aPeerThatSleptThroughAMoveIsBackTwoSecondsAfterItResumes(seed: UInt64) throws {
        let world = SwarmWorld(seed: seed)
        world.world.network.conditions = LinkConditions(latency: .milliseconds(15))
        try world.run { world in
            let (mobile, host) = traveller(world)
            let fixed = world.swarm(1)
            try await withCollectors([fixed, mobile]) { collectors in
                try await fixed.join(topic)
                await fixed.flush()
                try await mobile.join(topic)
                #expect(await waitForConnection(world, collectors, limit: .seconds(20)) != nil)
                await world.world.loop.sleep(for: .seconds(20))
                await mobile.suspend()
                host.move(to: SocketAddress(ipv4: 10, 0, 1, 77, port: 0))
                await world.world.loop.sleep(for: .seconds(200))
                try await mobile.resume()
                let time = await waitForConnection(world, collectors, limit: .seconds(30))
                #expect(time.map { $0 < .seconds(2) } == true, "\(String(describing: time))")
            }
        }
    }

    @Test func aResumedNodeHasItsPortAgainIfThatIsFree() throws {
        try SwarmWorld(seed: 5).run { world in
            let node = world.node(1) { $0.port = 0 }
            let runtime = world.world.runtime(address: SocketAddress(ipv4: 10, 0, 1, 1, port: 0))
            try await withDHTNodes([node]) {
                let first = try #require(await node.localAddress)
                await node.suspend()
                #expect(await node.localAddress == nil)
                // Others take ports meanwhile.
                let other = try await runtime.network.bind(
                    DatagramSocketOptions(address: first.with(port: 0))
                ) { _ in }
                try await node.resume()
                #expect(await node.localAddress == first)
                // If somebody has taken it, another one will do.
                await node.suspend()
                let thief = try await runtime.network.bind(DatagramSocketOptions(address: first)) { _ in }
                try await node.resume()
                let second = try #require(await node.localAddress)
                #expect(second.port != first.port && second.port != 0)
                #expect(try await node.findNodes(near: .zero).isEmpty == false)
                thief.close()
                other.close()
            }
        }
    }

    @Test func streamIDsDifferInTheirLowBits() {
        var random = SecureRandom(seed: Bytes32(repeating: 1))
        var ids = StreamIDs()
        var live: [UInt32] = []
        for count in 1...2_000 {
            live.append(ids.draw(random: &random))
            // As many low bits as tell twice as many streams apart, four at least.
            let mask = (UInt32(1) << UInt32(max(4, 64 - UInt64(2 * count).leadingZeroBitCount))) - 1
            #expect(Set(live.map { $0 & mask }).count == live.count)
        }
        #expect(Set(live).count == 2_000)
        // What is released can be drawn again, in its low bits too.
        for id in live { ids.release(id) }
        var again: [UInt32] = []
        for _ in 0..<1_000 { again.append(ids.draw(random: &random)) }
        #expect(Set(again.map { $0 & 4_095 }).count == 1_000)
    }
}
