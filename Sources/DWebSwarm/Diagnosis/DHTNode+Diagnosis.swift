public import DWebBase
public import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebWireCore

extension DHTNode {
    /// How long the node may take to find its place before the examination goes on without.
    private static let joinTimeLimit = Duration.seconds(8)
    /// How long the test of whether strangers can reach the node may take: a question and its repetitions.
    private static let reachabilityTimeLimit = Duration.seconds(5)
    /// How long a connection may take to be made: the longest punch takes 35 seconds, with its questions before.
    private static let connectTimeLimit = Duration.seconds(60)
    /// How long a connection that was made may take to carry its first byte.
    private static let firstByteTimeLimit = Duration.seconds(5)
    /// Nodes asked beside the entry points.
    private static let askedNodeLimit = 8
    /// Peers and relays examined in one call; each may take some ten seconds and a few hundred packets.
    private static let peerLimit = 32
    private static let diagnosisRetryCount = 1

    /// Asks one node for a sign of life.
    ///
    /// - Parameters:
    ///   - address: An IPv4 address.
    ///   - retryCount: Repetitions after the first attempt, each of which waits a second.
    /// - Throws: ``DSwarmError`` with code `timedOut`, `suspended`, `closed`, `cancelled` or `limitReached`.
    public func ping(_ address: SocketAddress, retryCount: Int = 3) async throws(DSwarmError) -> PingReply {
        try await ping(address, from: nil, retryCount: retryCount)
    }

    func ping(
        _ address: SocketAddress, from socket: DWebDHTCore.SocketID?, retryCount: Int
    ) async throws(DSwarmError) -> PingReply {
        try await started()
        let promise = Promise<Result<PingReply, OperationError>>()
        let id = begin({ $0.ping(address, from: socket, retryCount: retryCount, now: $1) }) { event in
            switch event {
            case .pong(let reply):
                promise.resolve(
                    .success(
                        PingReply(
                            address: reply.from.address, nodeID: reply.from.id, observedAddress: reply.to,
                            roundTripTime: reply.roundTripTime)))
            case .finished(let result): promise.resolve(.failure(result.error ?? .tooFewNodes))
            case .peers, .peer, .mutable, .immutable: break
            }
        }
        guard let id else { throw phase == .suspended ? .suspended : .closed }
        let result = await promise.value(onCancel: .failure(.cancelled))
        do {
            return try result.get()
        } catch {
            if Task.isCancelled {
                cancel(id)
                throw .cancelled
            }
            guard error == .tooFewNodes else { throw DSwarmError(error, isClosed: phase != .running) }
            throw DSwarmError(.timedOut, "The node at \(address) does not answer")
        }
    }

    /// Examines this node's network and the ways to some peers: asks the entry points and a few other nodes, and
    /// connects to each peer once. Takes a second where all is well, some ten seconds where nothing answers.
    ///
    /// - Parameters:
    ///   - peers: Peers to connect to, at most 32; each connection is closed again.
    ///   - relays: Relays whose availability is of interest, at most 32.
    ///   - keyPair: Who connects.
    /// - Throws: ``DSwarmError`` with code `bindFailed`, `closed`, `suspended` or `cancelled`.
    public func diagnose(
        peers: [PublicKey] = [], relays: [PublicKey] = [], as keyPair: KeyPair
    ) async throws(DSwarmError) -> ConnectivityReport {
        try await diagnose(peers: peers, relays: relays, as: keyPair, nearby: [:])
    }

    /// Examines, with the addresses of peers that were found without the DHT.
    func diagnose(
        peers: [PublicKey], relays: [PublicKey], as keyPair: KeyPair, nearby: [PublicKey: SocketAddress]
    ) async throws(DSwarmError) -> ConnectivityReport {
        try await started()
        var report = ConnectivityReport()
        report.interfaces = runtime.network.interfaceAddresses()
        await waitUntilJoined()
        await askEntryPoints(&report)
        await askKnownNodes(&report)
        await testReachability()
        guard !Task.isCancelled else { throw .cancelled }
        report.samples = report.answers.map { NATSample(node: $0.address, observed: $0.observedAddress) }
        for key in relays.prefix(DHTNode.peerLimit) {
            report.relays.append(await examine(key, as: keyPair, nearby: nil, checksRefusal: false))
        }
        for key in peers.prefix(DHTNode.peerLimit) {
            report.peers.append(await examine(key, as: keyPair, nearby: nearby[key], checksRefusal: true))
        }
        guard !Task.isCancelled else { throw .cancelled }
        guard phase == .running else { throw phase == .suspended ? .suspended : .closed }
        report.node = diagnostics
        report.nat = NATType(samples: report.samples, isReachable: !machine.rpc.isFirewalled)
        if configuration.port != 0, let port = report.node.serverAddress?.port, port != configuration.port {
            report.takenPort = configuration.port
        }
        return report
    }

    // MARK: The network

    private func waitUntilJoined() async {
        guard !machine.rpc.isBootstrapped else { return }
        let promise = Promise<Bool>()
        bootstrapWaiters.append(promise)
        let timer = loop.schedule(at: loop.now + DHTNode.joinTimeLimit) { promise.resolve(false) }
        _ = await promise.value(onCancel: false)
        timer.cancel()
    }

    /// The test at the start comes out negative now and then, when its packets cross; and the network may have changed.
    private func testReachability() async {
        guard machine.rpc.isFirewalled, phase == .running else { return }
        if !machine.rpc.isTestingReachability { machine.testReachability(now: loop.now) }
        settleLater()
        let deadline = loop.now + DHTNode.reachabilityTimeLimit
        while machine.rpc.isTestingReachability, loop.now < deadline, !Task.isCancelled {
            await pause(for: .milliseconds(20))
        }
    }

    private func askEntryPoints(_ report: inout ConnectivityReport) async {
        let texts = configuration.bootstrap
        let answered = await withTaskGroup(of: (Int, EntryPointReport).self) { group in
            for (index, text) in texts.enumerated() {
                group.addTask(executorPreference: loop) { (index, await self.askEntryPoint(text)) }
            }
            var all: [(Int, EntryPointReport)] = []
            for await one in group { all.append(one) }
            return all.sorted { $0.0 < $1.0 }.map(\.1)
        }
        report.entryPoints = answered
        report.answers = answered.compactMap(\.answer)
    }

    private func askEntryPoint(_ text: String) async -> EntryPointReport {
        var report = EntryPointReport(text: text)
        guard let node = RPCBootstrapNode(text: text) else {
            report.failure = .malformed
            return report
        }
        if let address = node.address {
            report.address = address
            report.answer = await answer(of: address)
        }
        guard report.answer == nil else { return report }
        report.failure = .noAnswer
        guard let host = node.host else { return report }
        let found = (try? await runtime.network.resolve(host: host)) ?? []
        guard let address = found.map(\.unmapped).first(where: { $0.family == .ipv4 })?.with(port: node.port) else {
            report.failure = .nameUnknown
            return report
        }
        report.address = address
        report.answer = await answer(of: address)
        if report.answer != nil { report.failure = nil }
        return report
    }

    private func askKnownNodes(_ report: inout ConnectivityReport) async {
        let asked = Set(report.entryPoints.compactMap(\.address))
        let others = machine.rpc.knownNodes(limit: DHTNode.askedNodeLimit + asked.count)
            .filter { !asked.contains($0) }.prefix(DHTNode.askedNodeLimit)
        report.askedNodes = Array(others)
        report.answers += await withTaskGroup(of: (Int, PingReply?).self) { group in
            for (index, address) in others.enumerated() {
                group.addTask(executorPreference: loop) { (index, await self.answer(of: address)) }
            }
            var all: [(Int, PingReply?)] = []
            for await one in group { all.append(one) }
            return all.sorted { $0.0 < $1.0 }.compactMap(\.1)
        }
    }

    /// From one socket, so that answers can be compared.
    private func answer(of address: SocketAddress) async -> PingReply? {
        try? await ping(address, from: .client, retryCount: DHTNode.diagnosisRetryCount)
    }

    // MARK: Peers

    private func examine(
        _ key: PublicKey, as keyPair: KeyPair, nearby: SocketAddress?, checksRefusal: Bool
    ) async -> PeerReport {
        var report = PeerReport(publicKey: key)
        report.isNearby = nearby != nil
        // Without the network, asking around for a peer that is next door only takes time.
        let isAlone = nearby != nil && machine.rpc.nodeCount == 0
        report.knownBy = isAlone ? [] : (try? await findPeer(key)) ?? []
        let result = await tryConnection(to: key, as: keyPair, nearby: nearby)
        switch result {
        case .success(let connection): report.connection = connection
        case .failure(let error): report.failure = error
        }
        if checksRefusal, report.failure == .peerConnectionFailed, !report.knownBy.isEmpty {
            // Silence is what a refusing firewall gives. A key that the peer has never seen tells it from absence.
            let stranger = KeyPair(seed: random.bytes32())
            if case .success = await tryConnection(to: key, as: stranger, nearby: nearby) { report.isRefused = true }
        }
        return report
    }

    private func tryConnection(
        to key: PublicKey, as keyPair: KeyPair, nearby: SocketAddress?
    ) async -> Result<PeerConnectionReport, ConnectError> {
        let begin = loop.now
        let connection: SwarmConnection
        switch await connectInTime(to: key, as: keyPair, nearby: nearby) {
        case .success(let made): connection = made
        case .failure(let error): return .failure(error)
        }
        defer { connection.abort() }
        // The first bytes of any stream, so that the peer takes the end that follows for an ordinary one.
        let stream = SecretStream(handshake: connection.handshake, entropy: .init(&random), now: loop.now)
        let header = stream.takeOutput()
        do {
            try await connection.write(header)
        } catch {
            return .failure(.peerConnectionFailed)
        }
        let deadline = loop.now + DHTNode.firstByteTimeLimit
        while loop.now < deadline, !connection.isClosed, !Task.isCancelled {
            let statistics = await connection.statistics
            if statistics.bytesAcknowledged >= header.count {
                var report = PeerConnectionReport(path: await connection.path, address: await connection.remoteAddress)
                if let nearby, report.address?.hasSameHost(as: nearby) == true { report.path = .localNetwork }
                report.connectTime = loop.now - begin
                report.roundTripTime = statistics.roundTripTime
                return .success(report)
            }
            await pause(for: .milliseconds(5))
        }
        return .failure(.holepunchAborted)
    }

    private func connectInTime(
        to key: PublicKey, as keyPair: KeyPair, nearby: SocketAddress?
    ) async -> Result<SwarmConnection, ConnectError> {
        await withTaskGroup(of: Result<SwarmConnection, ConnectError>.self) { group in
            group.addTask(executorPreference: loop) {
                do throws(DSwarmError) {
                    let leads = nearby.map { [$0] } ?? []
                    return .success(try await self.connect(to: key, as: keyPair, relayAddresses: leads))
                } catch {
                    return .failure(error.connectError ?? .destroyed)
                }
            }
            group.addTask(executorPreference: loop) {
                await self.pause(for: DHTNode.connectTimeLimit)
                return .failure(.holepunchAborted)
            }
            defer { group.cancelAll() }
            return await group.next() ?? .failure(.destroyed)
        }
    }

    private func pause(for duration: Duration) async {
        let promise = Promise<Void>()
        let timer = loop.schedule(at: loop.now + duration) { promise.resolve(()) }
        await promise.value(onCancel: ())
        timer.cancel()
    }
}
