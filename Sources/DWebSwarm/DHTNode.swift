public import DWebBase
import DWebCrypto
import DWebDHTCore
public import DWebPorts
import DWebStreamCore
import DequeModule

/// One node of the DHT with its sockets and streams: looks up and announces, stores for others, dials peers by key and
/// accepts connections.
///
/// ``run()`` does its work and returns after ``close()``; every other method may be called before, and then waits or is
/// done once the node runs. The node lives on its runtime's loop.
///
/// Map: this file has the life of a node; `DHTNode+Sockets` the pump between sockets and machines, `DHTNode+Streams`
/// dialling, listening and what handles do, `DHTNode+Operations` lookups and records, `DHTNode+Relayed` streams through
/// blind relays, `BlindRelay` a relay that runs here.
public actor DHTNode {
    enum Phase {
        case idle
        case starting
        case running
        case suspended
        case closing
        case closed
    }

    /// A bound socket under its three names: the DHT machine's, the multiplexer's, the system's.
    struct SocketSlot {
        let socket: any DatagramSocket
        let udxID: DWebStreamCore.SocketID
        /// Whether a stream was given this socket, which then outlives it for a while.
        var hasCarriedStream = false
        /// When it is closed unless another stream comes; the last of several such times counts.
        var lingersUntil: MonotonicTime?
    }

    /// A stream id that waits for its peer.
    struct PendingStream {
        let stream: UDXStream
        let keyPair: KeyPair
        let finish: (Result<StreamLink, ConnectError>) -> Void
    }

    /// A listening key pair.
    struct Listener {
        let keyPair: KeyPair
        let handlers: ListenHandlers
        var announced: [SocketAddress]?
        var closeWaiters: [Promise<Void>] = []
    }

    /// What must wait for the outside world, in a task of ``DHTNode/run()``.
    enum Job: Sendable {
        case bind(DWebDHTCore.SocketID)
        case resolve(String)
        case ask(@Sendable () async -> Void)
    }

    /// The clock, network and entropy of this node.
    public nonisolated let runtime: DWebRuntime
    /// What the node was made with.
    public nonisolated let configuration: DHTConfiguration
    nonisolated let loop: any RuntimeLoop

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    var phase = Phase.idle
    let machine: HyperDHTNode
    let multiplexer = UDXMultiplexer()
    var random: SecureRandom
    var host: SocketAddress

    // Sockets.
    var slots: [DWebDHTCore.SocketID: SocketSlot] = [:]
    var lastServerPort: UInt16 = 0
    var machineSockets: [DWebDHTCore.SocketID] = []
    /// Sockets whose release came before they were bound.
    var releasedEarly: Set<DWebDHTCore.SocketID> = []
    var bindingSockets: Set<DWebDHTCore.SocketID> = []
    var lingering = Deque<(deadline: MonotonicTime, socket: DWebDHTCore.SocketID)>()
    var outgoing: [(socket: DWebDHTCore.SocketID, batch: DatagramBatch)] = []
    var timer: (any LoopTimer)?
    var armedDeadline: MonotonicTime?
    var isSettling = false
    var isSettleScheduled = false
    var interfaces: [InterfaceAddress] = []
    var nextInterfaceCheck: MonotonicTime = .distantFuture

    /// What passed through the node's sockets.
    public internal(set) var traffic = DHTTraffic()

    /// The datagrams sent, and those of them that are the node's own requests, with the moment at which that is true.
    package var timedCounts: (time: MonotonicTime, datagramCount: UInt64, requestCount: UInt64) {
        (loop.now, traffic.sentDatagramCount, UInt64(machine.rpc.statistics.sentRequestCount))
    }

    // Streams.
    let arrivals = ArrivalLog()
    var streamIDs = StreamIDs()
    var pending: [ConnectionID: PendingStream] = [:]
    var pendingConnections: [UInt32: ConnectionID] = [:]
    var links: [UInt32: StreamLink] = [:]
    var listeners: [ServerID: Listener] = [:]
    var operations: [OperationID: (HyperOperationEvent) -> Void] = [:]

    // Blind relays; `DHTNode+Relayed` and `BlindRelay`.
    /// Who this node is at relays.
    let relayKeyPair: KeyPair
    var relayUses: [ConnectionID: RelayUse] = [:]
    /// The connection of each stream that runs through a relay.
    var relayedConnections: [UInt32: ConnectionID] = [:]
    /// Streams that left a relay a moment ago.
    var upgrading: [UInt32: StreamLink] = [:]
    /// What to call when a stream of a relay that runs here closes.
    var relayStreams: [UInt32: () -> Void] = [:]

    // Jobs of `run()` and those who wait for its stages.
    var jobs = Deque<Job>()
    var jobWaiter: Promise<Void>?
    var startWaiters: [Promise<DSwarmError?>] = []
    var bootstrapWaiters: [Promise<Bool>] = []
    var endWaiters: [Promise<Void>] = []
    var eventHandler: ((RPCEvent) -> Void)?
    /// What the file of known nodes holds.
    var savedNodes: [SocketAddress] = []
    var saveTimer: (any LoopTimer)?
    /// Called once the sockets are bound and the node runs.
    var startHandler: (() -> Void)?

    /// A node that does nothing until ``run()``.
    public init(runtime: DWebRuntime, configuration: DHTConfiguration = .init()) {
        self.runtime = runtime
        self.configuration = configuration
        loop = runtime.loop
        var random = SecureRandom(seed: runtime.entropy.seed())
        var rpc = RPCConfiguration()
        host = SocketAddress(host: configuration.host, port: 0) ?? SocketAddress(ipv4: 0, 0, 0, 0, port: 0)
        rpc.bootstrapNodes = configuration.bootstrap.compactMap { RPCBootstrapNode(text: $0) }
        rpc.knownNodes = configuration.knownNodes
        rpc.isFirewalled = configuration.isFirewalled
        rpc.publicAddress = configuration.publicAddress
        rpc.isQuickFirewallTestEnabled = configuration.isReachabilityTestedAtStart
        switch configuration.mode {
        case .adaptive: rpc.mode = .adaptive
        case .persistent: rpc.mode = .persistent
        case .ephemeral: rpc.mode = .ephemeral
        }
        var machineConfiguration = HyperConfiguration(rpc: rpc, ciphers: .noise)
        let now = runtime.loop.now
        machineConfiguration.usesBlindRelays = configuration.followsRelayOffers || !configuration.relays.isEmpty
        machineConfiguration.unixMillisecondsAtOrigin =
            Int64(clamping: runtime.wallClockMilliseconds()) - now.milliseconds
        machine = HyperDHTNode(machineConfiguration, random: random.fork(), now: now)
        relayKeyPair = random.keyPair()
        self.random = random
    }

    // MARK: Life

    /// Binds the sockets, joins the network and serves until ``close()`` is called or the calling task is cancelled;
    /// either way the sockets are closed when it returns.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed`, `alreadyRunning` or `closed`.
    public func run() async throws(DSwarmError) {
        switch phase {
        case .idle: break
        case .closed, .closing: throw .closed
        case .starting, .running, .suspended: throw DSwarmError(.alreadyRunning, "The node runs already")
        }
        phase = .starting
        do {
            try await bindMainSockets()
        } catch {
            finishRun(error)
            throw error
        }
        await loadKnownNodes()
        if phase == .starting {
            phase = .running
            begin()
        }
        await withTaskCancellationHandler {
            await serveJobs()
        } onCancel: {
            loop.execute { self.assumeIsolated { $0.beginClosing() } }
        }
        saveTimer?.cancel()
        await saveKnownNodes()
        finishRun(nil)
    }

    /// Waits until the sockets are bound. To be called beside ``run()``.
    ///
    /// - Throws: What ``run()`` throws when it cannot bind them, or code `cancelled`.
    public func started() async throws(DSwarmError) {
        switch phase {
        case .running, .suspended: return
        case .closing, .closed: throw .closed
        case .idle, .starting: break
        }
        let promise = Promise<DSwarmError?>()
        startWaiters.append(promise)
        if let error = await promise.value(onCancel: .cancelled) { throw error }
    }

    /// Waits until the node has found its place in the network; false if it was closed or the task cancelled before.
    public func bootstrapped() async -> Bool {
        if machine.rpc.isBootstrapped { return true }
        guard phase != .closing, phase != .closed else { return false }
        let promise = Promise<Bool>()
        bootstrapWaiters.append(promise)
        return await promise.value(onCancel: false)
    }

    /// Withdraws what listening key pairs announced, closes every stream and socket, and ends ``run()``; returns once
    /// that is done, after some seconds at most. Callable more than once.
    public func close() async { await close(until: loop.now + DHTNode.withdrawalTimeLimit) }

    /// Closes, and waits until `deadline` for announcements to be withdrawn.
    func close(until deadline: MonotonicTime) async {
        if phase == .idle {
            finishRun(nil)
            return
        }
        guard phase != .closed else { return }
        await withdrawListeners(until: deadline)
        guard phase != .closed else { return }
        let promise = Promise<Void>()
        endWaiters.append(promise)
        beginClosing()
        await promise.value()
    }

    /// Closes sockets and stops every activity until ``resume()``; streams are destroyed, listening key pairs stay.
    public func suspend() async {
        guard phase == .running else { return }
        suspendNow()
    }

    /// Binds the sockets again, the same ports if they are free, and goes on.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed` or `closed`.
    public func resume() async throws(DSwarmError) {
        guard phase == .suspended else { return }
        phase = .starting
        do {
            try await bindMainSockets()
        } catch {
            if phase == .starting { phase = .suspended }
            throw error
        }
        guard phase == .starting else {
            closeSockets()
            throw .closed
        }
        phase = .running
        noteInterfaces(now: loop.now)
        machine.resume(serverPort: slots[.server]!.socket.localAddress.port, now: loop.now)
        settle()
    }

    /// Up to `limit` nodes, most recently heard first: to be stored and given to the next run.
    public func knownNodes(limit: Int = 64) -> [SocketAddress] { machine.rpc.knownNodes(limit: limit) }

    /// What the node knows about itself.
    public var diagnostics: DHTDiagnostics {
        var result = DHTDiagnostics()
        result.nodeID = machine.rpc.id
        result.serverAddress = slots[.server]?.socket.localAddress
        result.clientAddress = slots[.client]?.socket.localAddress
        result.publicAddress = machine.rpc.publicAddress
        result.openAddress = machine.rpc.remoteAddress
        result.natSamples = machine.rpc.natSamples
        result.nat = NATType(samples: result.natSamples, isReachable: !machine.rpc.isFirewalled)
        result.responseCount = machine.rpc.statistics.responseCount
        result.timeoutCount = machine.rpc.statistics.timeoutCount
        result.isEphemeral = machine.rpc.isEphemeral
        result.isFirewalled = machine.rpc.isFirewalled
        result.isBootstrapped = machine.rpc.isBootstrapped
        result.isOnline = machine.rpc.isOnline
        result.isDegraded = machine.rpc.isDegraded
        result.isSuspended = phase == .suspended
        result.nodeCount = machine.rpc.nodeCount
        result.streamCount = multiplexer.streamCount
        result.socketCount = slots.count
        return result
    }

    /// The address of the server socket; nil before ``started()``.
    public var localAddress: SocketAddress? { slots[.server]?.socket.localAddress }

    // MARK: Inside

    private func begin() {
        let now = loop.now
        noteInterfaces(now: now)
        machine.start(serverPort: slots[.server]!.socket.localAddress.port, now: now)
        for waiter in startWaiters { waiter.resolve(nil) }
        startWaiters = []
        settle()
        startHandler?()
    }

    func suspendNow() {
        phase = .suspended
        machine.suspend(now: loop.now)
        destroyStreams()
        settle()
        closeSockets()
        cancelTimer()
    }

    func beginClosing() {
        switch phase {
        case .idle, .closing, .closed: return
        case .starting, .running, .suspended: break
        }
        phase = .closing
        destroyStreams()
        machine.close(now: loop.now)
        settle()
        jobWaiter?.resolve(())
    }

    private func serveJobs() async {
        await withDiscardingTaskGroup { group in
            while phase != .closing {
                while let job = jobs.popFirst() {
                    group.addTask(executorPreference: loop) { await self.perform(job) }
                }
                guard phase != .closing else { break }
                let promise = Promise<Void>()
                jobWaiter = promise
                await promise.value()
            }
            group.cancelAll()
        }
    }

    private func perform(_ job: Job) async {
        switch job {
        case .bind(let socket): await bindExtraSocket(socket)
        case .ask(let body): await body()
        case .resolve(let name):
            let addresses = (try? await runtime.network.resolve(host: name)) ?? []
            machine.hostResolved(name, addresses: addresses.map(\.unmapped), now: loop.now)
            settle()
        }
    }

    func add(_ job: Job) {
        jobs.append(job)
        jobWaiter?.resolve(())
    }

    /// Everything is over: no socket, timer or waiter stays behind.
    private func finishRun(_ error: DSwarmError?) {
        phase = .closed
        closeSockets()
        cancelTimer()
        for waiter in startWaiters { waiter.resolve(error ?? .closed) }
        for waiter in bootstrapWaiters { waiter.resolve(false) }
        startWaiters = []
        bootstrapWaiters = []
        for id in listeners.keys.sorted() { listeners[id]?.closeWaiters.forEach { $0.resolve(()) } }
        listeners = [:]
        eventHandler = nil
        startHandler = nil
        relayUses = [:]
        relayStreams = [:]
        upgrading = [:]
        let ended = endWaiters
        endWaiters = []
        for waiter in ended { waiter.resolve(()) }
    }
}
