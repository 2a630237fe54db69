public import DWebBase
public import DWebCrypto
import DWebPorts
public import DWebStore
public import DWebSwarm
import DequeModule
import Synchronization

/// Replicates a whole store with every peer that the network knows for its logs.
///
/// ```swift
/// try await SwarmNetworker.withNetworker(store: store) { networker in
///     try await networker.join(log.discoveryKey)
///     ...
/// }
/// ```
///
/// Any log that both sides hold is replicated over one connection per peer, however many topics led to it. The work is
/// done by ``run()``, which returns after ``close()``; ``withNetworker(store:configuration:_:)`` calls both. The
/// networker lives on the loop of the store's runtime.
public actor SwarmNetworker {
    private enum Phase {
        case idle
        case running
        case closing
        case closed
    }

    /// Work for ``run()`` that a call leaves behind.
    private enum Job: Sendable {
        case runSwarm
        case flush(DiscoveryKey, Discovery)
    }

    private struct Topic {
        var status: Status
        let discovery: Discovery
    }

    private struct Connection {
        let stream: Stream
        /// Whether the open logs were offered to the peer.
        var isOpen = false
    }

    /// The store that is replicated.
    public nonisolated let store: Basestore
    /// The identity of all connections.
    public nonisolated let keyPair: KeyPair
    /// The swarm below: for lookups, diagnostics and connections beside the store's.
    public nonisolated let swarm: DSwarm
    private nonisolated let loop: any RuntimeLoop
    private nonisolated let hub = EventHub()

    private var phase = Phase.idle
    private var isSwarmStarted = false
    private var topics: [DiscoveryKey: Topic] = [:]
    private var connections: [UInt64: Connection] = [:]
    /// Those who wait for a connection to open or to end.
    private var changeWaiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var nextNumber: UInt64 = 0
    private var jobs = Deque<Job>()
    private var jobWaiter: CheckedContinuation<Void, Never>?
    private var runWaiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []
    private var failure: SwarmNetworkerError?

    /// How long a call waits for ``run()`` to be called beside it.
    private static let runWaitLimit: Duration = .seconds(5)
    /// How long ``flushed(_:)`` waits for a connection that was made to be taken into use.
    private static let openWaitLimit: Duration = .seconds(5)
    /// The name under which the store derives the identity.
    private static let identityName = "swarm-networker"

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// A networker that does nothing until ``run()``, and uses no socket until the first
    /// ``join(_:announce:lookup:flush:)``
    /// or ``listen()``.
    public init(store: Basestore, configuration: Configuration = .init()) {
        let keyPair = configuration.keyPair ?? SwarmNetworker.identity(of: store)
        var settings = DSwarm.Configuration()
        if let bootstrap = configuration.bootstrap { settings.dht.bootstrap = bootstrap.map(\.description) }
        if let host = configuration.host { settings.dht.host = host }
        if let port = configuration.port { settings.dht.port = port }
        settings.dht.isAnyPortAllowed = configuration.isAnyPortAllowed
        if let isEphemeral = configuration.isEphemeral { settings.dht.mode = isEphemeral ? .ephemeral : .persistent }
        settings.dht.knownNodes = configuration.knownNodes
        settings.dht.knownNodesFile = configuration.knownNodesFile
        settings.dht.relays = configuration.relays
        settings.isLocalDiscoveryEnabled = configuration.isLocalDiscoveryEnabled
        settings.peerLimit = configuration.maxPeers
        settings.admits = configuration.admits
        self.init(store: store, swarm: DSwarm(identity: keyPair, runtime: store.runtime, configuration: settings))
    }

    /// A networker on a swarm of one's own, which must not run yet: the networker runs and closes it.
    public init(store: Basestore, swarm: DSwarm) {
        self.store = store
        self.swarm = swarm
        keyPair = swarm.identity
        loop = store.runtime.loop
    }

    /// Makes a networker, runs it while `body` runs, and closes it whatever happens.
    ///
    /// - Throws: What `body` throws, or ``SwarmNetworkerError`` if the networker failed first.
    public static func withNetworker<Result: Sendable>(
        store: Basestore, configuration: Configuration = .init(),
        _ body: @escaping @Sendable (SwarmNetworker) async throws -> Result
    ) async throws -> Result {
        try await withNetworker(SwarmNetworker(store: store, configuration: configuration), body)
    }

    /// Runs `networker` while `body` runs, and closes it whatever happens.
    ///
    /// - Throws: What `body` throws, or ``SwarmNetworkerError`` if the networker failed first.
    public static func withNetworker<Result: Sendable>(
        _ networker: SwarmNetworker, _ body: @escaping @Sendable (SwarmNetworker) async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await networker.run()
                return nil
            }
            group.addTask {
                let outcome: Swift.Result<Result, any Error>
                do { outcome = .success(try await body(networker)) } catch { outcome = .failure(error) }
                await networker.close()
                return try outcome.get()
            }
            var result: Result?
            do {
                while let next = try await group.next() { result = next ?? result }
            } catch {
                group.cancelAll()
                throw error
            }
            guard let result else { throw SwarmNetworkerError.closed }
            return result
        }
    }

    /// The key pair by which peers know a store's networker, unless the configuration says otherwise.
    public static func identity(of store: Basestore) -> KeyPair {
        store.createKeyPair(SwarmNetworker.identityName, namespace: .zero)
    }

    // MARK: Life

    /// Does the work of the networker until ``close()`` is called or the calling task is cancelled.
    ///
    /// - Throws: ``SwarmNetworkerError`` with code `bindFailed`, `alreadyRunning` or `closed`.
    public func run() async throws(SwarmNetworkerError) {
        switch phase {
        case .idle: break
        case .running: throw SwarmNetworkerError(.alreadyRunning, "The networker runs already")
        case .closing, .closed: throw .closed
        }
        phase = .running
        for (_, waiter) in runWaiters.sorted(by: { $0.key < $1.key }) { waiter.resume(returning: true) }
        runWaiters = [:]
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while phase == .running {
                    while let job = jobs.popFirst() {
                        group.addTask(executorPreference: loop) { await self.perform(job) }
                    }
                    guard phase == .running else { break }
                    await withCheckedContinuation { waiter in
                        // Looked at again: work may have come while this call was on its way.
                        if jobs.isEmpty, phase == .running { jobWaiter = waiter } else { waiter.resume() }
                    }
                }
                // The swarm ends its connections, and those end the tasks that replicate over them.
                await swarm.close()
            }
        } onCancel: {
            loop.execute { self.assumeIsolated { $0.beginClosing() } }
        }
        finish()
        if let failure { throw failure }
    }

    /// Withdraws every announcement, ends every connection, closes the swarm and ends ``run()``. The store stays open.
    ///
    /// Returns once all of it is done. Callable more than once.
    public func close() async {
        switch phase {
        case .idle:
            phase = .closed
            await swarm.close()
            finish()
        case .running, .closing:
            beginClosing()
            await withCheckedContinuation { waiter in
                if phase == .closed { waiter.resume() } else { closeWaiters.append(waiter) }
            }
        case .closed: break
        }
    }

    /// Accepts connections without joining any log; returns once peers can find this node.
    ///
    /// - Throws: ``SwarmNetworkerError`` with code `bindFailed`, `notRunning`, `closed` or `cancelled`.
    public func listen() async throws(SwarmNetworkerError) {
        try await startSwarm()
        do { try await swarm.listen() } catch { throw SwarmNetworkerError(error) }
    }

    // MARK: Logs

    /// Joins the network for a log: announces it, looks for peers, or both. Creates sockets on first use.
    ///
    /// Returns once the announcement and the first lookup are done; peers connect meanwhile and afterwards. Joining
    /// again
    /// changes what is done. ``flushed(_:)`` waits until all peers found were tried.
    ///
    /// - Parameters:
    ///   - discoveryKey: The log's public name.
    ///   - announce: Whether to be found.
    ///   - lookup: Whether to find others.
    ///   - flush: Whether to go on in the background until every peer found was tried, with event
    /// ``Event/flushed(_:)``.
    /// - Throws: ``SwarmNetworkerError`` with code `bindFailed`, `notRunning`, `closed` or `cancelled`.
    public func join(
        _ discoveryKey: DiscoveryKey, announce: Bool = true, lookup: Bool = true, flush: Bool = true
    ) async throws(SwarmNetworkerError) {
        guard announce || lookup else {
            await leave(discoveryKey)
            return
        }
        try await startSwarm()
        var roles: DSwarm.Roles = []
        if announce { roles.insert(.announce) }
        if lookup { roles.insert(.lookup) }
        let discovery: Discovery
        if let known = topics[discoveryKey] {
            discovery = known.discovery
            topics[discoveryKey]!.status = Status(isAnnounced: announce, isLookedUp: lookup)
            await discovery.update(roles: roles)
        } else {
            discovery = try joinSwarm(discoveryKey, roles)
            topics[discoveryKey] = Topic(
                status: Status(isAnnounced: announce, isLookedUp: lookup), discovery: discovery)
        }
        await store.setFindingPeers(lookup, discoveryKey)
        await store.openChannels(of: discoveryKey)
        let isDone = await discovery.flushed()
        if Task.isCancelled { throw SwarmNetworkerError(.cancelled, "The task was cancelled") }
        guard phase == .running else { throw failure ?? .closed }
        guard topics[discoveryKey] != nil else { return }
        topics[discoveryKey]?.status.isJoined = isDone
        hub.send(.joined(discoveryKey))
        if flush {
            add(.flush(discoveryKey, discovery))
        } else {
            await store.setFindingPeers(false, discoveryKey)
        }
    }

    /// Leaves the network for a log: withdraws the announcement and closes the log's channel on every connection.
    ///
    /// Returns once that is done. Connections stay for the other logs. Does nothing for a log that was not joined.
    public func leave(_ discoveryKey: DiscoveryKey) async {
        guard let topic = topics.removeValue(forKey: discoveryKey) else { return }
        await store.setFindingPeers(false, discoveryKey)
        await topic.discovery.leave()
        await store.closeChannels(of: discoveryKey)
    }

    /// Joins, changes or leaves in one verb: neither to announce nor to look up means to leave.
    ///
    /// - Throws: As ``join(_:announce:lookup:flush:)``.
    public func configure(
        _ discoveryKey: DiscoveryKey, announce: Bool, lookup: Bool, flush: Bool = true
    ) async throws(SwarmNetworkerError) {
        if announce || lookup {
            try await join(discoveryKey, announce: announce, lookup: lookup, flush: flush)
        } else {
            await leave(discoveryKey)
        }
    }

    /// Whether the announcement and first lookup of a log are done.
    public func joined(_ discoveryKey: DiscoveryKey) -> Bool { topics[discoveryKey]?.status.isJoined ?? false }

    /// Waits until the swarm has found and tried every peer that announces the log, and those connections have finished
    /// their handshakes.
    ///
    /// - Returns: True then; false if the log is not joined, was left meanwhile, or the networker was closed.
    public func flushed(_ discoveryKey: DiscoveryKey) async -> Bool {
        guard let topic = topics[discoveryKey] else { return false }
        if topic.status.isFlushed { return true }
        await flush(discoveryKey, topic.discovery)
        return topics[discoveryKey]?.status.isFlushed ?? false
    }

    /// What is done for a log; nil if it is not joined.
    public func status(_ discoveryKey: DiscoveryKey) -> Status? { topics[discoveryKey]?.status }

    /// What is done for every joined log.
    public var statuses: [DiscoveryKey: Status] { topics.mapValues(\.status) }

    // MARK: Peers

    /// The peers that the store replicates with, by public key.
    public var peers: [Peer] {
        var seen: Set<PublicKey> = []
        return streams.map(\.peer).filter { seen.insert($0.publicKey).inserted }
    }

    /// The connections that the store replicates over, by the peers' public keys.
    public var streams: [Stream] {
        connections.sorted { ($0.value.stream.peer.publicKey, $0.key) < ($1.value.stream.peer.publicKey, $1.key) }
            .map(\.value.stream)
    }

    /// The address of the node's server socket; nil before the first join.
    public var localAddress: SocketAddress? { get async { await swarm.dht.localAddress } }

    /// DHT nodes to start from next time without a bootstrap node, most recently heard first.
    public func knownNodes(limit: Int = 64) async -> [SocketAddress] { await swarm.dht.knownNodes(limit: limit) }

    /// What happens from now on. A consumer that falls more than `limit` events behind misses the oldest.
    public nonisolated func events(bufferingNewest limit: Int = 64) -> Events { hub.listen(bufferingNewest: limit) }

    // MARK: Inside

    private func startSwarm() async throws(SwarmNetworkerError) {
        try await waitUntilRunning()
        if !isSwarmStarted {
            isSwarmStarted = true
            add(.runSwarm)
        }
        do { try await swarm.started() } catch { throw failure ?? SwarmNetworkerError(error) }
    }

    /// Joins without a suspension, so that two calls for one log cannot both be the first.
    private func joinSwarm(
        _ discoveryKey: DiscoveryKey, _ roles: DSwarm.Roles
    ) throws(SwarmNetworkerError) -> Discovery {
        let result = swarm.assumeIsolated { swarm in
            Result { () throws(DSwarmError) in try swarm.join(.init(discoveryKey), as: roles) }
        }
        do { return try result.get() } catch { throw SwarmNetworkerError(error) }
    }

    /// A caller may be quicker than the task that calls ``run()``; one that never calls it gets an error.
    private func waitUntilRunning() async throws(SwarmNetworkerError) {
        switch phase {
        case .running: return
        case .closing, .closed: throw failure ?? .closed
        case .idle: break
        }
        let id = makeNumber()
        let timer = loop.schedule(at: loop.now + SwarmNetworker.runWaitLimit) { [weak self] in
            self?.assumeIsolated { $0.runWaiters.removeValue(forKey: id)?.resume(returning: false) }
        }
        let isRunning = await withCheckedContinuation { waiter in
            if phase == .idle { runWaiters[id] = waiter } else { waiter.resume(returning: phase == .running) }
        }
        timer.cancel()
        guard isRunning else {
            throw SwarmNetworkerError(.notRunning, "Nobody runs the networker: call run() beside, or use withNetworker")
        }
    }

    private func makeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private func add(_ job: Job) {
        jobs.append(job)
        jobWaiter?.resume()
        jobWaiter = nil
    }

    private func perform(_ job: Job) async {
        switch job {
        case .runSwarm: await runSwarm()
        case .flush(let discoveryKey, let discovery): await flush(discoveryKey, discovery)
        }
    }

    private func runSwarm() async {
        let error = await withTaskGroup(of: DSwarmError?.self) { group in
            group.addTask { [swarm] in
                do throws(DSwarmError) { try await swarm.run() } catch { return error }
                return nil
            }
            group.addTask {
                await self.replicateConnections()
                return nil
            }
            var failure: DSwarmError?
            for await error in group { failure = failure ?? error }
            return failure
        }
        if let error, phase == .running { failure = SwarmNetworkerError(error) }
        beginClosing()
    }

    private func replicateConnections() async {
        await withDiscardingTaskGroup { group in
            for await connection in swarm.connections {
                group.addTask { await self.replicate(over: connection) }
            }
        }
    }

    private func replicate(over connection: SwarmConnection) async {
        guard let address = await connection.remoteAddress else { return }
        let peer = Peer(publicKey: connection.remotePublicKey, address: address)
        let number = makeNumber()
        let isNewPeer = !isConnected(peer)
        connections[number] = Connection(stream: Stream(peer: peer, isInitiator: connection.isInitiator))
        hub.send(.handshake(peer.publicKey))
        if isNewPeer { hub.send(.peerAdded(peer)) }
        var reason: String?
        do throws(BasestoreError) {
            try await store.replicate(over: connection, handshake: connection.handshake) { [weak self] in
                self?.assumeIsolated { $0.noteOpen(number) }
            }
        } catch {
            reason = error.description
            switch error.code {
            case .invalidProof, .protocolViolation, .conflict:
                hub.send(.replicationError(peer.publicKey, reason: error.detail))
            default: break
            }
        }
        connection.abort()
        connections[number] = nil
        hub.send(.streamClosed(peer.publicKey, reason: reason))
        if !isConnected(peer) { hub.send(.peerRemoved(peer)) }
        noteChange()
    }

    private func isConnected(_ peer: Peer) -> Bool {
        connections.values.contains { $0.stream.peer.publicKey == peer.publicKey }
    }

    private func noteOpen(_ number: UInt64) {
        connections[number]?.isOpen = true
        noteChange()
    }

    private func noteChange() {
        let waiters = changeWaiters.sorted { $0.key < $1.key }
        changeWaiters = [:]
        for (_, waiter) in waiters { waiter.resume() }
    }

    /// Waits until every peer that the swarm is connected with is replicated with.
    private func connectionsOpened() async {
        let deadline = loop.now + SwarmNetworker.openWaitLimit
        while phase == .running, loop.now < deadline {
            let peers = await swarm.peers
            let open = Set(connections.values.filter(\.isOpen).map(\.stream.peer.publicKey))
            let isWaiting = peers.contains { peer in
                if case .connected = peer.status { !open.contains(peer.publicKey) } else { false }
            }
            guard isWaiting, phase == .running else { return }
            let id = makeNumber()
            let timer = loop.schedule(at: deadline) { [weak self] in
                self?.assumeIsolated { $0.changeWaiters.removeValue(forKey: id)?.resume() }
            }
            await withCheckedContinuation { changeWaiters[id] = $0 }
            timer.cancel()
        }
    }

    private func flush(_ discoveryKey: DiscoveryKey, _ discovery: Discovery) async {
        guard await discovery.flushed(), await swarm.flush() else { return }
        await connectionsOpened()
        guard topics[discoveryKey] != nil else { return }
        let wasFlushed = topics[discoveryKey]?.status.isFlushed ?? false
        topics[discoveryKey]?.status.isJoined = true
        topics[discoveryKey]?.status.isFlushed = true
        await store.setFindingPeers(false, discoveryKey)
        if !wasFlushed { hub.send(.flushed(discoveryKey)) }
    }

    private func beginClosing() {
        guard phase == .running else { return }
        phase = .closing
        jobWaiter?.resume()
        jobWaiter = nil
        noteChange()
    }

    private func finish() {
        phase = .closed
        topics = [:]
        connections = [:]
        hub.close()
        for (_, waiter) in runWaiters.sorted(by: { $0.key < $1.key }) { waiter.resume(returning: false) }
        runWaiters = [:]
        for waiter in closeWaiters { waiter.resume() }
        closeWaiters = []
    }
}
