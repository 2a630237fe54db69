package import DWebBase
package import DWebCrypto
import DequeModule
import HeapModule

/// One node of the DHT: it asks and answers requests, keeps a routing table, learns its public address, decides whether
/// it is persistent, and runs queries; spec 20 sections 2 to 6.
///
/// The node does no input or output. After every call, poll ``pollOutput()`` until it returns nil, then call
/// ``wake(now:)`` no later than ``nextDeadline``. It is not safe to use from two threads.
package final class RPCNode {
    enum Phase {
        case idle
        case running
        case suspended
        case closed
    }

    /// What the node was made with.
    package let configuration: RPCConfiguration
    /// Running totals.
    package internal(set) var statistics = RPCStatistics()

    var random: SecureRandom
    var phase = Phase.idle
    var outputs: Deque<RPCOutput> = []

    // Request engine.
    var requests: [UInt16: PendingRequest] = [:]
    var waitingRequests: Deque<RequestID> = []
    var deferredFailures: Deque<DeferredFailure> = []
    var timers: Heap<RPCTimer> = []
    var congestion: CongestionWindow
    var pacer = RequestPacer(
        rate: RPCConstants.pacedRate, burst: RPCConstants.pacedBurst, pacedLimit: RPCConstants.pacedLimitPerSecond,
        limit: RPCConstants.limitPerSecond)
    var pacedRequests: Deque<RequestID> = []
    /// Others than paced ones, while the node sends as much as it may.
    var urgentRequests: Deque<RequestID> = []
    var gate = SourceGate()
    var tokens: TokenIssuer
    var nextTransaction: UInt16
    var nextSequence: UInt64 = 1
    var delayedReplies: [UInt64: DelayedReply] = [:]

    // Table and its upkeep.
    var table: RoutingTable
    var tick: Int
    var refreshTicks: Int
    var entryPointTicks: Int
    var stableTicks: Int
    var lastTick: MonotonicTime
    /// The moment of the last request, for what its answer counts.
    var lastHandled = MonotonicTime.zero
    var nextTick: MonotonicTime
    var swapCount = 0
    var checkCount = 0
    var downHintCount = 0
    var health = NetworkHealth()
    /// Requests that went unanswered, one after the other, since the last answer.
    var silenceCount = 0

    // Public address and state.
    var sampler = NATSampler()
    /// The last samples with those who gave them, one per node, oldest first.
    package internal(set) var natSamples: [NATSample] = []
    var sampledBootstrapNodes: [SocketAddress] = []
    var lastCheckedAddress: SocketAddress?
    var networkUpdate: NetworkUpdate?
    var bootstrap = BootstrapProgress()
    var resolution: BootstrapResolution?

    // Queries.
    var queries: [UInt64: RPCQuery] = [:]

    /// The port that the server socket is bound to; 0 before ``start(serverPort:now:)``.
    package internal(set) var serverPort: UInt16 = 0
    /// Whether the node is not part of other nodes' tables; it then has no ``id``.
    package internal(set) var isEphemeral = true
    /// Whether the node must assume that strangers cannot reach it; it then asks from its client socket.
    package internal(set) var isFirewalled: Bool
    /// Whether the first search for its own place has ended.
    package internal(set) var isBootstrapped = false

    /// A node that does nothing until ``start(serverPort:now:)``; `random` decides all its choices.
    package init(_ configuration: RPCConfiguration, random: SecureRandom, now: MonotonicTime) {
        self.configuration = configuration
        self.random = random
        isFirewalled = configuration.isFirewalled
        table = RoutingTable(id: self.random.bytes32())
        tokens = TokenIssuer(random: &self.random, now: now)
        congestion = CongestionWindow(slotLimit: configuration.congestionWindow, now: now)
        nextTransaction = UInt16.random(in: 0...UInt16.max, using: &self.random)
        // Nodes that start together should not do their upkeep together.
        tick = Int.random(in: 51...100, using: &self.random)
        refreshTicks = Int.random(in: 31...RPCConstants.refreshTicks, using: &self.random)
        entryPointTicks = 1 + Int(nextTransaction) % RPCConstants.entryPointTicks
        stableTicks = configuration.mode == .adaptive ? RPCConstants.stableTicks : 0
        lastTick = now
        nextTick = now + RPCConstants.tick
        if let address = configuration.publicAddress { sampler.add(address) }
        for address in configuration.knownNodes.reversed() { addNode(address) }
    }

    // MARK: State

    /// The node's id while it is persistent.
    package var id: Bytes32? { isEphemeral ? nil : table.id }

    /// The id around which the table is built: ``id``, or a random one while the node is ephemeral.
    package var tableID: Bytes32 { table.id }

    /// The node's public address as others see it: nil if unknown, port 0 if its ports vary.
    package var publicAddress: SocketAddress? { sampler.address }

    /// The address at which anybody can reach the node directly, or nil; spec 20 section 5.4.
    package var remoteAddress: SocketAddress? {
        guard !isFirewalled, serverPort != 0, let address = sampler.address, address.port == serverPort else {
            return nil
        }
        return address
    }

    /// The socket from which requests leave unless another is given.
    package var defaultSocket: SocketID { isFirewalled ? .client : .server }

    /// Whether answers arrive from the network at all.
    package var isOnline: Bool { health.isOnline }

    /// Whether most requests have gone unanswered for some time.
    package var isDegraded: Bool { health.isDegraded }

    /// Whether the last requests, of which each was repeated, all went unanswered: nobody is there at this moment.
    package var isSilent: Bool { silenceCount >= RPCConstants.silentRequestCount }

    /// Whether ``suspend(now:)`` is in force.
    package var isSuspended: Bool { phase == .suspended }

    /// The number of nodes in the routing table.
    package var nodeCount: Int { table.count }

    /// The number of requests without a result.
    package var requestCount: Int { requests.count }

    /// Nodes close to `target` from the table, at most 20, not sorted.
    package func closestNodes(to target: Bytes32) -> [RPCContact] {
        table.closest(to: target).map { RPCContact(address: $0.address, id: $0.id) }
    }

    /// Up to `limit` addresses of the table, most recently heard first: what to store for the next start.
    package func knownNodes(limit: Int) -> [SocketAddress] { table.latestNodes(limit: limit).map(\.address) }

    /// A token that this node will accept from the host of `address`.
    package func token(for address: SocketAddress) -> Bytes32 { tokens.token(for: address) }

    // MARK: Life

    /// Begins: the driver has bound both sockets, the server socket to `serverPort`. Does nothing after
    /// ``close(now:)``.
    package func start(serverPort: UInt16, now: MonotonicTime) {
        guard phase != .closed else { return }
        precondition(phase == .idle, "a node is started once")
        precondition(serverPort != 0, "a bound socket has a port")
        phase = .running
        self.serverPort = serverPort
        lastTick = now
        nextTick = now + RPCConstants.tick
        sendWaitingRequests(now: now)
        startBootstrap(now: now)
        settle(now: now)
    }

    /// Stops: every request and query fails as suspended, and input is ignored. The driver closes the sockets.
    package func suspend(now: MonotonicTime) {
        guard phase == .running else { return }
        phase = .suspended
        abortEverything(.suspended, query: .suspended, now: now)
        congestion.removeAll()
    }

    /// Goes on after ``suspend(now:)``, with sockets bound anew.
    package func resume(serverPort: UInt16, now: MonotonicTime) {
        guard phase == .suspended else { return }
        precondition(serverPort != 0, "a bound socket has a port")
        phase = .running
        self.serverPort = serverPort
        lastTick = now
        nextTick = now + RPCConstants.tick
        noteWakeUp()
        if isBootstrapped { refresh(now: now) } else { startBootstrap(now: now) }
        settle(now: now)
    }

    /// Ends: every request and query fails as destroyed; nothing happens afterwards.
    package func close(now: MonotonicTime) {
        guard phase != .closed else { return }
        phase = .closed
        abortEverything(.destroyed, query: .destroyed, now: now)
    }

    /// The host lost an address and may be in another network now: forgets what it knew about its public address and its
    /// firewall, and begins as a guest again unless it is persistent by configuration.
    package func networkMoved(now: MonotonicTime) {
        guard phase == .running, configuration.mode != .persistent else { return }
        networkUpdate = nil
        sampler = NATSampler()
        sampledBootstrapNodes = []
        lastCheckedAddress = nil
        isFirewalled = configuration.isFirewalled
        table.forgetSamples()
        stableTicks = configuration.mode == .adaptive ? RPCConstants.stableTicks : 0
        if !isEphemeral {
            isEphemeral = true
            outputs.append(.event(.ephemeral))
        }
        outputs.append(.event(.publicAddressChanged(nil)))
        guard isBootstrapped else { return }
        // As at the start: the first answer brings the quick test of the firewall, and all of them new samples.
        isBootstrapped = false
        startBootstrap(now: now)
        settle(now: now)
    }

    /// Tells that the host's network interfaces changed.
    package func networkInterfacesChanged() {
        guard phase == .running else { return }
        outputs.append(.event(.networkChanged))
        outputs.append(.event(.networkUpdated))
    }

    // MARK: Input

    /// Takes every datagram of `batch`, which arrived on `socket`.
    package func handle(_ batch: DatagramBatch, on socket: SocketID, now: MonotonicTime) {
        for entry in batch.entries {
            handle(batch.reader(of: entry), from: entry.address, on: socket, now: now)
        }
    }

    /// Takes one datagram. What is not a message of the DHT is ignored.
    package func handle(_ datagram: ByteReader, from source: SocketAddress, on socket: SocketID, now: MonotonicTime) {
        guard phase == .running, datagram.remaining >= 2, source.port != 0 else { return }
        let source = source.unmapped
        guard source.family == .ipv4 else { return }
        tokens.wake(now: now)
        if socket == .server { noteServerDatagram(from: source) }
        var reader = datagram
        guard let type = try? reader.readByte() else { return }
        switch type {
        case RPCRequest.typeByte:
            guard gate.admits(source, now: now) else {
                statistics.refusedRequestCount += 1
                return
            }
            guard let request = try? RPCRequest(body: &reader) else { return }
            handleRequest(request, byteCount: datagram.remaining, from: source, on: socket, now: now)
        case RPCResponse.typeByte:
            guard let response = try? RPCResponse(body: &reader) else { return }
            handleResponse(response, from: source, on: socket, now: now)
        default:
            return
        }
        settle(now: now)
    }

    /// Does what is due at `now`.
    package func wake(now: MonotonicTime) {
        guard phase == .running else { return }
        tokens.wake(now: now)
        rotateCongestion(now: now)
        sendPacedRequests(now: now)
        fireTimers(now: now)
        if now >= nextTick {
            nextTick = now + RPCConstants.tick
            tickOver(now: now)
        }
        settle(now: now)
    }

    /// When to call ``wake(now:)`` at the latest; nil if never.
    package var nextDeadline: MonotonicTime? {
        guard phase == .running else { return nil }
        var deadline = nextTick
        removeStaleTimers()
        if let timer = timers.min { deadline = min(deadline, timer.deadline) }
        if !waitingRequests.isEmpty { deadline = min(deadline, congestion.nextRotation) }
        if !urgentRequests.isEmpty {
            deadline = min(deadline, congestion.isFull ? congestion.nextRotation : pacer.nextUrgentTime)
        }
        if !pacedRequests.isEmpty {
            deadline = min(deadline, congestion.isFull ? congestion.nextRotation : pacer.nextTime)
        }
        return deadline
    }

    /// The next thing to do, or nil when there is nothing more.
    package func pollOutput() -> RPCOutput? { outputs.popFirst() }
}
