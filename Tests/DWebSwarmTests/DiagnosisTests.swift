import DWebBase
import DWebCrypto
import DWebPorts
import DWebPosix
import DWebSimulation
import DWebSwarm
import Testing

/// What a node says about its network, in situations of which each has another cause.
@Suite struct DiagnosisTests {
    let topic = Topic(hashing: "a topic")

    private func codes(_ report: ConnectivityReport, _ severity: ConnectivityFinding.Severity) -> [String] {
        report.findings.filter { $0.severity == severity }.map(\.code)
    }

    private func sentence(_ report: ConnectivityReport, _ code: String) -> String {
        report.findings.first { $0.code == code }?.sentence ?? ""
    }

    private func diagnose(_ swarm: DSwarm, peers: [PublicKey] = []) async throws -> ConnectivityReport {
        try await withSwarms([swarm]) { try await swarm.diagnose(peers: peers) }
    }

    @Test func aHealthyNodeHasNoProblem() throws {
        try SwarmWorld(seed: 31).run { world in
            let report = try await diagnose(world.swarm(1))
            #expect(report.canConnect)
            #expect(report.isUDPWorking)
            #expect(report.isNetworkJoined)
            #expect(report.nat == .open)
            #expect(report.entryPoints.map(\.failure) == [nil])
            #expect(report.samples.count >= 4)
            #expect(Set(report.samples.map(\.observed)).count == 1)
            #expect(report.node.openAddress == SocketAddress(ipv4: 10, 0, 1, 1, port: 49_737))
            #expect(codes(report, .problem).isEmpty)
            #expect(sentence(report, "entry-points") == "The entry point answered.")
        }
    }

    @Test func aMachineWithoutUDPIsTold() throws {
        try SwarmWorld(seed: 32).run { world in
            world.cutOff(1)
            let report = try await diagnose(world.swarm(1), peers: [PublicKey(Bytes32(repeating: 9))])
            #expect(!report.canConnect)
            #expect(!report.isUDPWorking)
            #expect(!report.isNetworkJoined)
            #expect(report.entryPoints.map(\.failure) == [.noAnswer])
            #expect(report.nat == .unknown)
            #expect(codes(report, .problem) == ["entry-points", "udp", "network", "peer"])
            #expect(sentence(report, "peer").hasSuffix("because the network is not reached."))
        }
    }

    @Test func deadEntryPointsDoNotMatterIfOthersAnswer() throws {
        try SwarmWorld(seed: 33).run { world in
            let report = try await diagnose(
                world.swarm(1) {
                    $0.dht.bootstrap = ["10.0.0.9:49737", world.net.bootstrap[0].description, "no address"]
                })
            #expect(report.canConnect)
            #expect(report.entryPoints.map(\.failure) == [.noAnswer, nil, .malformed])
            #expect(codes(report, .problem).isEmpty)
            #expect(sentence(report, "entry-points").hasPrefix("1 of 3 entry points answered"))
        }
    }

    @Test func knownNodesReplaceDeadEntryPoints() throws {
        try SwarmWorld(seed: 34).run { world in
            let report = try await diagnose(
                world.swarm(1) {
                    $0.dht.bootstrap = ["10.0.0.9:49737", "nowhere.example:1"]
                    $0.dht.knownNodes = [SocketAddress(ipv4: 10, 0, 0, 3, port: 49_737)]
                })
            #expect(report.canConnect)
            #expect(report.entryPoints.map(\.failure) == [.noAnswer, .nameUnknown])
            #expect(codes(report, .problem).isEmpty)
            #expect(codes(report, .note).contains("entry-points"))
        }
    }

    @Test func aPortThatIsTakenIsNamed() throws {
        try SwarmWorld(seed: 35).run { world in
            let swarm = world.swarm(1)
            let address = SocketAddress(ipv4: 10, 0, 1, 1, port: 49_737)
            let other = try await world.world.runtime(address: address).network.bind(
                DatagramSocketOptions(address: address)
            ) { _ in }
            let report = try await diagnose(swarm)
            other.close()
            #expect(report.takenPort == 49_737)
            #expect(report.node.serverAddress?.port == 49_738)
            #expect(report.canConnect)
            #expect(codes(report, .note) == ["port"])
        }
    }

    @Test func aPeerThatCanBeReachedShowsItsPath() throws {
        try SwarmWorld(seed: 36).run { world in
            let (a, b) = (world.swarm(1), world.swarm(2))
            try await withCollectors([a]) { _ in
                try await a.listen()
                let report = try await diagnose(b, peers: [a.identity.publicKey])
                #expect(report.canConnect)
                let peer = try #require(report.peers.first)
                #expect(peer.connection?.address == SocketAddress(ipv4: 10, 0, 1, 1, port: 49_737))
                #expect(peer.connection?.connectTime ?? .zero > .zero)
                #expect(peer.connection?.roundTripTime != nil)
                #expect(!peer.knownBy.isEmpty)
                #expect(sentence(report, "peer").contains("can be connected"))
            }
        }
    }

    @Test func aPeerThatNobodyKnowsIsNotFound() throws {
        try SwarmWorld(seed: 37).run { world in
            let report = try await diagnose(world.swarm(1), peers: [PublicKey(Bytes32(repeating: 9))])
            #expect(!report.canConnect)
            #expect(report.isNetworkJoined)
            #expect(report.peers.map(\.failure) == [.peerNotFound])
        }
    }

    @Test func aPeerThatWentOfflineIsKnownButSilent() throws {
        try SwarmWorld(seed: 38).run { world in
            let (a, b) = (world.swarm(1), world.swarm(2))
            try await withSwarms([a]) {
                try await a.listen()
                world.cutOff(1)
                let report = try await diagnose(b, peers: [a.identity.publicKey])
                #expect(!report.canConnect)
                let peer = try #require(report.peers.first)
                #expect(peer.failure == .peerConnectionFailed)
                #expect(!peer.isRefused)
                #expect(!peer.knownBy.isEmpty)
                #expect(sentence(report, "peer").contains("went offline"))
            }
        }
    }

    @Test func aPeerWhoseFirewallRefusesUsSaysSo() throws {
        try SwarmWorld(seed: 39).run { world in
            let b = world.swarm(2)
            let refused = b.identity.publicKey
            let a = world.swarm(1) { $0.admits = { key in key != refused } }
            try await withCollectors([a]) { _ in
                try await a.listen()
                let report = try await diagnose(b, peers: [a.identity.publicKey])
                #expect(!report.canConnect)
                #expect(report.peers.map(\.isRefused) == [true])
                #expect(sentence(report, "peer").contains("refuses this node's key"))
            }
        }
    }

    @Test func aConnectedPeerIsNotDialledAgain() throws {
        try SwarmWorld(seed: 40).run { world in
            let (a, b) = (world.swarm(1), world.swarm(2))
            try await withCollectors([a, b]) { collectors in
                try await a.join(topic, as: .announce)
                await a.flush()
                try await b.join(topic, as: .lookup)
                await b.flush()
                let report = try await b.diagnose(peers: [a.identity.publicKey])
                #expect(report.peers.first?.status == .connected(isInitiator: true))
                #expect(report.peers.first?.connection?.connectTime == nil)
                #expect(await collectors[0].all.count == 1)
                let peer = try #require(await b.diagnostics.peers.first)
                #expect(peer.connection?.address == SocketAddress(ipv4: 10, 0, 1, 1, port: 49_737))
            }
        }
    }

    @Test func anUnreachedPeerKeepsItsReason() throws {
        try SwarmWorld(seed: 41).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                let key = PublicKey(Bytes32(repeating: 9))
                await swarm.joinPeer(key)
                await world.world.loop.sleep(for: .seconds(20))
                let peer = try #require(await swarm.diagnostics.peers.first)
                #expect(peer.lastError == .peerNotFound)
                guard case .notConnected = peer.status else { throw TestFailure("counts as connected") }
            }
        }
    }

    @Test func aNodeIsPinged() throws {
        try SwarmWorld(seed: 42).run { world in
            let swarm = world.swarm(1)
            try await withSwarms([swarm]) {
                let reply = try await swarm.dht.ping(world.net.bootstrap[0])
                #expect(reply.address == world.net.bootstrap[0])
                #expect(reply.nodeID != nil)
                #expect(reply.observedAddress.hasSameHost(as: SocketAddress(ipv4: 10, 0, 1, 1, port: 0)))
                let error = await #expect(throws: DSwarmError.self) {
                    try await swarm.dht.ping(SocketAddress(ipv4: 10, 0, 0, 99, port: 1), retryCount: 0)
                }
                #expect(error?.code == .timedOut)
            }
        }
    }

    @Test func theSameOnRealSockets() async throws {
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: MemoryStorage())
        let net = TestNet(places: try await TestNet.freePlaces(runtime: runtime, nodeCount: 4))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await net.run() }
            #expect(await net.ready())
            var configuration = SwarmConfiguration.loopback(bootstrap: net.bootstrap)
            configuration.dht.bootstrap.append("127.0.0.1:1")
            let swarm = DSwarm(
                identity: KeyPair(seed: Bytes32(repeating: 1)), runtime: runtime, configuration: configuration)
            let report = try await diagnose(swarm)
            #expect(report.canConnect)
            #expect(report.entryPoints.map(\.failure) == [nil, .noAnswer])
            #expect(report.localPeerCount == 0)
            #expect(codes(report, .problem).isEmpty)
            await net.close()
            try await group.waitForAll()
        }
        await loop.shutdown()
    }
}
