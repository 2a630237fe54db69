public import DWebBase
public import DWebCrypto
import DWebDHTCore
public import DWebPorts
import DequeModule

/// How a swarm finds and keeps peers; spec 30 section G.1.
public struct SwarmConfiguration: Sendable {
    /// The DHT node below.
    public var dht = DHTConfiguration()
    /// Connections beyond which no further peer is dialled.
    public var peerLimit = 64
    /// Outgoing attempts at a time.
    public var parallelLimit = 3
    /// Outgoing connections at a time; nil for any number.
    public var clientLimit: Int?
    /// Incoming connections at a time.
    public var serverLimit = 4_096
    /// Incoming connections from one address at a time; those that come through a relay are not counted.
    public var serverLimitPerAddress = 256
    /// Connections that may wait in ``DSwarm/connections`` to be taken; while there are more, nobody is answered.
    public var pendingLimit = 256
    /// Asked about each peer, by its key, before a connection with it begins in either direction. A peer that is not
    /// admitted is banned. Nil admits everyone.
    public var admits: (@Sendable (PublicKey) async -> Bool)?
    /// Whether peers in the local network are found by multicast DNS, without any DHT node and without the internet.
    ///
    /// Others in that network then learn this node's key and that it has some topic in common with those who ask for
    /// that topic. Nothing is sent on loopback, nor by a node that is bound to it.
    public var isLocalDiscoveryEnabled = true
    /// How long ``DSwarm/close()``, ``DSwarm/suspend()`` and leaving a topic wait for announcements to be withdrawn. What
    /// is not withdrawn by then fades from the network within half an hour.
    public var withdrawalTimeLimit = Duration.seconds(3)

    /// A swarm on the public DHT.
    public init() {}

    /// A swarm whose node begins with `bootstrap` on the loopback interface: for tests and demonstrations.
    public static func loopback(bootstrap: [SocketAddress], port: UInt16 = 0) -> SwarmConfiguration {
        var configuration = SwarmConfiguration()
        configuration.dht = .loopback(bootstrap: bootstrap, port: port)
        return configuration
    }
}

/// Finds peers by topic and keeps connections with them.
///
/// ```swift
/// let swarm = DSwarm(identity: keyPair, runtime: runtime)
/// try await withThrowingTaskGroup(of: Void.self) { group in
///     group.addTask { try await swarm.run() }
///     let discovery = try await swarm.join(topic)
///     for await connection in swarm.connections { ... }
/// }
/// ```
///
/// ``run()`` does the work and returns after ``close()``. Everything else may be called before, and begins once it
/// runs.
/// The swarm lives on its runtime's loop.
///
/// Map: this file has the life of a swarm and what applications call; `DSwarm+Policy` carries out what ``SwarmPolicy``
/// decides.
public actor DSwarm {
    /// What is done for a topic.
    public typealias Roles = SwarmRoles
    /// How a swarm finds and keeps peers.
    public typealias Configuration = SwarmConfiguration

    enum Phase {
        case idle
        case running
        case closing
        case closed
    }

    /// One connection of the policy, as far as it came.
    enum Entry {
        /// The application is being asked about the peer.
        case asking
        case dialling(ConnectionID)
        case connected(StreamLink)
    }

    /// The key pair by which peers know this node.
    public nonisolated let identity: KeyPair
    /// What the swarm was made with.
    public nonisolated let configuration: Configuration
    /// The DHT node that the swarm runs: for lookups and connections beside the swarm's own.
    public nonisolated let dht: DHTNode
    nonisolated let loop: any RuntimeLoop
    nonisolated let queue: ConnectionQueue

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// The connections, each exactly once and open. One task takes them; see ``SwarmConfiguration/pendingLimit``.
    public nonisolated var connections: SwarmConnections { SwarmConnections(queue: queue) }

    var phase = Phase.idle
    var policy: SwarmPolicy
    var isDraining = false
    var timer: (any LoopTimer)?
    var armedDeadline: MonotonicTime?
    var entries: [SwarmConnectionID: Entry] = [:]
    var refreshes: [SwarmRefreshID: OperationID] = [:]
    /// Withdrawals at a time.
    static let withdrawalLimit = 16
    var withdrawals: [Bytes32: OperationID] = [:]
    var waitingWithdrawals = Deque<Bytes32>()
    var flushes: [SwarmFlushID: Promise<Bool>] = [:]
    var leaveWaiters: [Bytes32: [Promise<Void>]] = [:]
    /// Announcements of topics whose withdrawal was given up at the end, because no node answered in time.
    public internal(set) var abandonedWithdrawalCount = 0
    var closeWaiters: [Promise<Void>] = []
    var server: ServerID?
    var isListening = false
    var isAnnounced = false
    var listenWaiters: [Promise<DSwarmError?>] = []
    var localNetwork: LocalNetwork?
    /// Counts beginnings and ends of the local network, so that sockets that come too late are closed.
    var localGeneration = 0

    /// A swarm that does nothing until ``run()``.
    public init(identity: KeyPair, runtime: DWebRuntime, configuration: Configuration = .init()) {
        self.identity = identity
        self.configuration = configuration
        loop = runtime.loop
        queue = ConnectionQueue(limit: configuration.pendingLimit)
        dht = DHTNode(runtime: runtime, configuration: configuration.dht)
        var options = SwarmPolicyConfiguration()
        options.peerLimit = configuration.peerLimit
        options.parallelLimit = configuration.parallelLimit
        options.clientLimit = configuration.clientLimit
        options.serverLimit = configuration.serverLimit
        options.serverLimitPerHost = configuration.serverLimitPerAddress
        options.hasRelay = !configuration.dht.relays.isEmpty
        policy = SwarmPolicy(
            publicKey: identity.publicKey, configuration: options,
            random: SecureRandom(seed: runtime.entropy.seed()), now: runtime.loop.now)
    }

    // MARK: Life

    /// Runs the swarm and its node until ``close()`` is called or the calling task is cancelled; every connection and
    /// socket is closed when it returns.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed`, `alreadyRunning` or `closed`.
    public func run() async throws(DSwarmError) {
        switch phase {
        case .idle: break
        case .running: throw DSwarmError(.alreadyRunning, "The swarm runs already")
        case .closing, .closed: throw .closed
        }
        phase = .running
        observeNode()
        let result: Result<Void, DSwarmError>
        do {
            try await dht.run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        finishRun()
        try result.get()
    }

    /// Waits until the sockets are bound.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed`, `closed` or `cancelled`.
    public func started() async throws(DSwarmError) { try await dht.started() }

    /// Leaves every topic, closes every connection, withdraws what was announced and ends ``run()``; returns once that
    /// is done, or ``SwarmConfiguration/withdrawalTimeLimit`` is over. Callable more than once.
    public func close() async {
        switch phase {
        case .idle:
            finishRun()
            await dht.close()
        case .running:
            phase = .closing
            stopLocalNetwork(saysGoodbye: true)
            policy.close(now: loop.now)
            drain()
            let deadline = loop.now + withdrawalTime
            // Both at once, because they share the time.
            await withDiscardingTaskGroup { group in
                group.addTask(executorPreference: loop) { await self.dht.withdrawListeners(until: deadline) }
                group.addTask(executorPreference: loop) { await self.finishWithdrawals(until: deadline) }
            }
            await dht.close(until: deadline)
        case .closing:
            let promise = Promise<Void>()
            closeWaiters.append(promise)
            await promise.value()
        case .closed: break
        }
    }

    /// Closes connections and sockets and rests until ``resume()``; topics stay joined.
    public func suspend() async {
        guard phase == .running, !policy.isSuspended else { return }
        stopLocalNetwork(saysGoodbye: true)
        policy.suspend(now: loop.now)
        drain()
        await finishWithdrawals(until: loop.now + withdrawalTime)
        guard phase == .running, policy.isSuspended else { return }
        await dht.suspend()
        isAnnounced = false
    }

    /// Goes on after ``suspend()``: finds and dials peers for every topic again.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed` or `closed`.
    public func resume() async throws(DSwarmError) {
        guard phase == .running, policy.isSuspended else { return }
        try await dht.resume()
        policy.resume(now: loop.now)
        drain()
        startLocalNetwork()
    }

    // MARK: Topics

    /// Joins a topic: announces this node, looks for others, or both, at once and then every ten to twelve minutes.
    ///
    /// - Parameters:
    ///   - roles: What to do for the topic.
    ///   - limit: New peers taken per lookup; nil for any number.
    /// - Returns: The interest. A topic that is joined several times is left with the last of them.
    /// - Throws: ``DSwarmError`` with code `closed`.
    @discardableResult
    public func join(
        _ topic: Topic, as roles: Roles = .both, limit: Int? = nil
    ) throws(DSwarmError) -> Discovery {
        guard phase == .idle || phase == .running else { throw .closed }
        precondition(!roles.isEmpty, "a topic is joined to announce, to look up, or both")
        let session = policy.join(topic.bytes32, as: roles, limit: limit, now: loop.now)
        drain()
        noteLocalTopics()
        return Discovery(topic: topic, session: session, swarm: self)
    }

    /// Leaves a topic however often it was joined; returns once the announcement is withdrawn, or after
    /// ``SwarmConfiguration/withdrawalTimeLimit``. Connections stay.
    public func leave(_ topic: Topic) async {
        policy.leave(topic: topic.bytes32, now: loop.now)
        drain()
        noteLocalTopics()
        await withdrawn(topic)
    }

    /// Queries again for a topic.
    public func refresh(_ topic: Topic) {
        policy.refresh(topic.bytes32, now: loop.now)
        drain()
        refreshLocalTopic(topic.bytes32)
    }

    /// Waits for the queries that run now, and until every peer they found was dialled once.
    ///
    /// - Returns: False if the swarm was closed or the task cancelled before.
    @discardableResult
    public func flush() async -> Bool { await wait(for: policy.flush(now: loop.now)) }

    // MARK: Peers

    /// Accepts connections, which joining a topic to announce does by itself; returns once peers can find this node.
    ///
    /// - Throws: ``DSwarmError``.
    public func listen() async throws(DSwarmError) {
        try await started()
        guard phase == .running else { throw .closed }
        if isAnnounced { return }
        let promise = Promise<DSwarmError?>()
        listenWaiters.append(promise)
        beginListening()
        if let error = await promise.value(onCancel: .cancelled) { throw error }
    }

    /// Dials a peer by its key, and again whenever it is lost.
    public func joinPeer(_ key: PublicKey, relayAddresses: [SocketAddress] = []) {
        policy.joinPeer(key, relayAddresses: relayAddresses, now: loop.now)
        drain()
    }

    /// Ends ``joinPeer(_:relayAddresses:)``; a connection stays.
    public func leavePeer(_ key: PublicKey) {
        policy.leavePeer(key)
        drain()
    }

    /// Refuses connections with a peer in both directions from now on, or ends that.
    public func setBanned(_ isBanned: Bool, _ key: PublicKey) {
        policy.setBanned(isBanned, key)
        drain()
    }

    /// Every known peer, by key, with the reason why if it is not connected.
    public var peers: [PeerDiagnostics] { policy.diagnostics() }

    /// The peers that are banned, by key.
    public var bannedPeers: [PublicKey] { policy.bannedPeers }

    /// Whether a peer is connected, and why not; nil if nothing is known about it.
    public func status(of key: PublicKey) -> PeerStatus? { policy.status(of: key) }

    /// The topics under which a peer was found.
    public func topics(of key: PublicKey) -> [Topic] { policy.topics(of: key) }

    /// Topics whose query runs or waits for its turn.
    public var refreshingTopicCount: Int { policy.refreshingTopicCount }

    /// Topics under which this node was announced at least once.
    public var announcedTopicCount: Int { policy.announcedTopicCount }

    /// What the swarm knows about itself, its topics and its peers.
    public var diagnostics: SwarmDiagnostics {
        get async {
            SwarmDiagnostics(
                node: await dht.diagnostics, isListening: isAnnounced, topics: topicDiagnostics,
                peers: policy.diagnostics().map { peer in
                    SwarmPeerDiagnostics(peer: peer, connection: connection(with: peer.publicKey))
                }, connectionCount: policy.openConnectionCount,
                connectingCount: policy.connectingConnectionCount, statistics: policy.statistics,
                localPeerCount: configuration.isLocalDiscoveryEnabled
                    ? localNetwork?.discovery.peerCount ?? 0 : nil,
                limits: SwarmLimitsInForce(configuration))
        }
    }

    // MARK: Inside

    private func observeNode() {
        dht.assumeIsolated { node in
            node.eventHandler = { [weak self] event in self?.assumeIsolated { $0.note(event) } }
            node.startHandler = { [weak self] in
                self?.assumeIsolated {
                    $0.drain()
                    $0.startLocalNetwork()
                }
            }
        }
    }

    func wait(for id: SwarmFlushID) async -> Bool {
        let promise = Promise<Bool>()
        flushes[id] = promise
        drain()
        defer { flushes[id] = nil }
        return await promise.value(onCancel: false)
    }

    func withdrawn(_ topic: Topic) async {
        guard policy.isLeaving(topic: topic.bytes32), phase == .running || phase == .closing else { return }
        let promise = Promise<Void>()
        leaveWaiters[topic.bytes32, default: []].append(promise)
        // The query goes on, but whoever leaves has better things to do than to wait for a network that is gone.
        let limit = loop.schedule(at: loop.now + withdrawalTime) { promise.resolve(()) }
        await promise.value(onCancel: ())
        limit.cancel()
    }

    /// Where nobody has answered for some time, waiting longer is of no use.
    private var withdrawalTime: Duration {
        let isSilent = dht.assumeIsolated { $0.machine.rpc.isSilent || !$0.machine.rpc.isOnline }
        return isSilent
            ? min(configuration.withdrawalTimeLimit, DSwarm.offlineWithdrawalTimeLimit)
            : configuration.withdrawalTimeLimit
    }

    private static let offlineWithdrawalTimeLimit = Duration.milliseconds(500)

    private func finishWithdrawals(until deadline: MonotonicTime) async {
        let topics = withdrawals.keys.sorted() + waitingWithdrawals
        guard !topics.isEmpty else { return }
        let limit = loop.schedule(at: deadline) { [weak self] in
            self?.assumeIsolated { swarm in
                // Those that wait first, or each one that ends would let another begin.
                for topic in topics.reversed() { swarm.giveUpWithdrawal(of: topic) }
            }
        }
        for topic in topics {
            guard withdrawals[topic] != nil || waitingWithdrawals.contains(topic) else { continue }
            let promise = Promise<Void>()
            leaveWaiters[topic, default: []].append(promise)
            await promise.value()
        }
        limit.cancel()
    }

    /// The node is gone, and with it every connection.
    private func finishRun() {
        phase = .closed
        stopLocalNetwork(saysGoodbye: false)
        policy.close(now: loop.now)
        while let output = policy.pollOutput() {
            if case .flushFinished(let id, let isFlushed) = output {
                flushes.removeValue(forKey: id)?.resolve(isFlushed)
            }
        }
        timer?.cancel()
        timer = nil
        queue.close()
        entries = [:]
        // Sorted, because the order of a dictionary is not reproducible.
        for id in flushes.keys.sorted() { flushes[id]?.resolve(false) }
        for topic in leaveWaiters.keys.sorted() { leaveWaiters[topic]?.forEach { $0.resolve(()) } }
        for promise in listenWaiters { promise.resolve(.closed) }
        for promise in closeWaiters { promise.resolve(()) }
        leaveWaiters = [:]
        listenWaiters = []
        closeWaiters = []
        withdrawals = [:]
        waitingWithdrawals = []
        refreshes = [:]
    }
}

/// One interest in a topic.
public struct Discovery: Sendable {
    /// The topic.
    public let topic: Topic
    let session: SwarmSessionID
    let swarm: DSwarm

    /// Waits for the query that runs for the topic; false if it failed.
    @discardableResult
    public func flushed() async -> Bool { await swarm.flush(topic) }

    /// Changes what is done for the topic on behalf of this interest.
    public func update(roles: SwarmRoles) async { await swarm.update(session, roles: roles) }

    /// Queries again.
    public func refresh() async { await swarm.refresh(topic) }

    /// Ends this interest, and with the last one leaves the topic; returns as ``DSwarm/leave(_:)`` does.
    public func leave() async { await swarm.leave(session, of: topic) }
}

extension DSwarm {
    func flush(_ topic: Topic) async -> Bool {
        await wait(for: policy.flush(topic: topic.bytes32, now: loop.now))
    }

    func update(_ session: SwarmSessionID, roles: SwarmRoles) {
        policy.update(session, roles: roles, now: loop.now)
        drain()
        noteLocalTopics()
    }

    func leave(_ session: SwarmSessionID, of topic: Topic) async {
        policy.leave(session, now: loop.now)
        drain()
        noteLocalTopics()
        await withdrawn(topic)
    }
}
