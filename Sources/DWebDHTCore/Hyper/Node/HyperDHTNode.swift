package import DWebBase
package import DWebCrypto
import DequeModule

/// A node of the peer DHT: finds and announces peers, stores records, makes connections; spec 20 sections 7 to 16.
///
/// How to drive it:
///
/// 1. Bind two sockets (``SocketID/server`` on the preferred port, ``SocketID/client`` on any), make the node, tell it
///    the host's addresses with ``setLocalAddresses(_:)`` and call ``start(serverPort:now:)``.
/// 2. Give every datagram of every socket that is not for a stream to ``handle(_:on:now:)``, one-byte ones included.
///    After every call poll ``pollOutput()`` until nil, and call ``wake(now:)`` no later than ``nextDeadline``.
/// 3. ``HyperOutput/bindSocket(_:)``: bind a socket on any port, report ``socketBound(_:now:)``. The node holds
///    datagrams for it until then. ``HyperOutput/releaseSocket(_:)`` may come before the report; then close on arrival.
/// 4. To connect, choose a stream id, call ``connect(_:now:)``. When a packet for that stream arrives before the stream
///    has a peer, call ``streamTraffic(_:on:from:now:)``. ``HyperOutput/connect(_:)`` says socket, address, remote id
///    and keys: connect the stream and start the encrypted stream on it. Replay held packets then. Or
///    ``HyperOutput/connectionFailed(_:_:)`` comes, with a reason.
/// 5. To be connected to, ``listen(as:options:now:)``. Each client comes as ``HyperOutput/handshake(_:)``; answer
///    ``accept(_:streamID:now:)`` with a fresh stream id, or ``refuse(_:now:)``; then as in 4, with the same outputs.
/// 6. A socket numbered ``SocketID/firstExtra`` or above that a ``HyperPath`` names belongs to its stream from then on.
/// 7. With ``HyperConfiguration/usesBlindRelays``, poll ``pollRelayOutput()`` too. A relayed stream's packets that come
///    from elsewhere than the relay go to ``streamTraffic(_:on:from:now:)`` as well: they bring the upgrade.
/// 8. Lookups, announcements, gets and puts return an ``OperationID`` and report through
///    ``HyperOutput/operation(_:_:)``, ending with ``HyperOperationEvent/finished(_:)``.
///
/// It is not safe to use from two threads, and does no input or output of its own.
package final class HyperDHTNode {
    /// What a request or query belongs to.
    enum Owner: Hashable {
        case operation(OperationID)
        case server(ServerID)
        case connector(ConnectionID)
    }

    struct ExtraSocket {
        let owner: Owner
        var isBound = false
        var held: [OutgoingDatagram] = []
    }

    // Punch sockets send few packets before they are bound: a ping or two per sampled node, a session, a message.
    private static let heldDatagramLimit = 32

    /// What the node was made with.
    package let configuration: HyperConfiguration
    /// The node below.
    package let rpc: RPCNode

    var context: HyperContext
    var store: RecordStore
    var gate = RelayGate()
    var outputs: Deque<HyperOutput> = []
    /// Nodes to store at whose requests are signed when the outputs before them are taken.
    var heldCommits: Deque<HeldCommit> = []
    var relayOutputs: Deque<HyperRelayOutput> = []
    var operations: [OperationID: HyperOperation] = [:]
    var neighborhoods = NeighborhoodCache()
    var servers: [ServerID: HandshakeServer] = [:]
    var closingServers: Set<ServerID> = []
    var serversByTarget: [Bytes32: ServerID] = [:]
    var connectors: [ConnectionID: Connector] = [:]
    /// The server of each incoming connection that is not connected yet.
    var incoming: [ConnectionID: ServerID] = [:]
    var requestOwners: [RequestID: (owner: Owner, tag: HyperTag)] = [:]
    var queryOwners: [QueryID: Owner] = [:]
    var relayCache = GenerationCache<PublicKey, [SocketAddress]>(
        limit: HyperLimits.relayCacheCount, maximumAge: nil)
    /// Ways to peers by sockets that are still open.
    private(set) var routes: [PublicKey: SocketRoute] = [:]
    private var extraSockets: [SocketID: ExtraSocket] = [:]
    private var localHosts: [SocketAddress] = []
    private var partDeadline: MonotonicTime?
    private var isPartDeadlineStale = false
    private var nextSequence: UInt64 = 1

    /// A node that does nothing until ``start(serverPort:now:)``; `random` decides all its choices.
    package init(_ configuration: HyperConfiguration, random: SecureRandom, now: MonotonicTime) {
        var random = random
        var configuration = configuration
        if configuration.rpc.nodeFilter == nil { configuration.rpc.nodeFilter = HyperConfiguration.isUsable }
        self.configuration = configuration
        rpc = RPCNode(configuration.rpc, random: random.fork(), now: now)
        store = RecordStore(random: random.fork())
        context = HyperContext(random: random.fork())
        context.now = now
        context.usesBlindRelays = configuration.usesBlindRelays
    }

    // MARK: Life

    /// Begins: both sockets are bound, the server socket to `serverPort`.
    package func start(serverPort: UInt16, now: MonotonicTime) {
        rpc.start(serverPort: serverPort, now: now)
        settle(now: now)
    }

    /// The host's own IPv4 addresses that peers in the same network can reach; ports do not matter.
    package func setLocalAddresses(_ addresses: [SocketAddress]) {
        localHosts = addresses.filter { $0.family == .ipv4 }
    }

    /// The host lost an address: it may be in another network now. Connections in the making fail, and what is known
    /// about reachability is found out anew. Tell the interfaces' change afterwards.
    package func networkMoved(now: MonotonicTime) {
        endParts(.destroyed, now: now)
        routes = [:]
        rpc.networkMoved(now: now)
        settle(now: now)
    }

    /// The host's interfaces changed: servers announce again.
    package func networkInterfacesChanged(now: MonotonicTime) {
        rpc.networkInterfacesChanged()
        settle(now: now)
    }

    /// Stops: connections in the making fail, servers stop announcing, input is ignored. The driver closes the sockets.
    package func suspend(now: MonotonicTime) {
        endParts(.suspended, now: now)
        for id in servers.keys.sorted() { withServer(id, now: now) { $0.announcer.suspend(&$1) } }
        rpc.suspend(now: now)
        settle(now: now)
    }

    /// Goes on after ``suspend(now:)`` with sockets bound anew; servers announce again.
    package func resume(serverPort: UInt16, now: MonotonicTime) {
        rpc.resume(serverPort: serverPort, now: now)
        for id in servers.keys.sorted() { withServer(id, now: now) { $0.announcer.resume(&$1) } }
        settle(now: now)
    }

    /// Ends: everything in the making fails. Close servers before, so that their announcements are withdrawn.
    package func close(now: MonotonicTime) {
        endParts(.destroyed, now: now)
        rpc.close(now: now)
        settle(now: now)
        for id in operations.keys.sorted() { finish(id, error: .cancelled) }
    }

    private func endParts(_ error: ConnectError, now: MonotonicTime) {
        for id in connectors.keys.sorted() { withConnector(id, now: now) { $0.fail(error, &$1) } }
        for id in servers.keys.sorted() { withServer(id, now: now) { $0.clearAll(error, &$1) } }
    }

    // MARK: Input

    /// Takes every datagram of `batch`, which arrived on `socket`. What is not for the node is ignored.
    package func handle(_ batch: DatagramBatch, on socket: SocketID, now: MonotonicTime) {
        for entry in batch.entries { take(batch.reader(of: entry), from: entry.address, on: socket, now: now) }
        settle(now: now)
    }

    /// Takes one datagram, which arrived on `socket`. What is not for the node is ignored.
    package func handle(_ datagram: ByteReader, from source: SocketAddress, on socket: SocketID, now: MonotonicTime) {
        take(datagram, from: source, on: socket, now: now)
        settle(now: now)
    }

    private func take(_ datagram: ByteReader, from source: SocketAddress, on socket: SocketID, now: MonotonicTime) {
        if datagram.remaining == 1 {
            punched(on: socket, from: source.unmapped, now: now)
        } else {
            rpc.handle(datagram, from: source, on: socket, now: now)
            settle(now: now)
        }
    }

    private func punched(on socket: SocketID, from source: SocketAddress, now: MonotonicTime) {
        guard !rpc.isSuspended, source.port != 0, let extra = extraSockets[socket] else { return }
        switch extra.owner {
        case .connector(let id): withConnector(id, now: now) { $0.punched(on: socket, from: source, &$1) }
        case .server(let id): withServer(id, now: now) { $0.punched(on: socket, from: source, &$1) }
        case .operation: break
        }
    }

    /// A packet arrived for the stream of `connection`, which is not connected yet.
    package func streamTraffic(
        _ connection: ConnectionID, on socket: SocketID, from source: SocketAddress, now: MonotonicTime
    ) {
        if let server = incoming[connection] {
            withServer(server, now: now) { $0.traffic(connection, on: socket, from: source, &$1) }
        } else {
            withConnector(connection, now: now) { $0.traffic(on: socket, from: source, &$1) }
        }
        settle(now: now)
    }

    /// A socket asked for by ``HyperOutput/bindSocket(_:)`` can be used.
    package func socketBound(_ socket: SocketID, now: MonotonicTime) {
        guard extraSockets[socket] != nil else { return }
        extraSockets[socket]!.isBound = true
        for datagram in extraSockets[socket]!.held { outputs.append(.send(datagram)) }
        extraSockets[socket]!.held = []
        settle(now: now)
    }

    /// A socket asked for by ``HyperOutput/bindSocket(_:)`` cannot be had. What needs it times out.
    package func socketFailed(_ socket: SocketID, now: MonotonicTime) {
        extraSockets[socket]?.held = []
        settle(now: now)
    }

    /// A socket is closed, whoever owned it: no later connection can use it.
    package func socketClosed(_ socket: SocketID) {
        guard !routes.isEmpty else { return }
        routes = routes.filter { $0.value.socket != socket }
    }

    /// A stream with the peer failed: the way it took is not to be trusted.
    package func forgetRoute(to publicKey: PublicKey) { routes[publicKey] = nil }

    private func remember(_ path: HyperPath) {
        guard path.isReusable, !path.isRelayed else { return }
        let key = path.keys.remotePublicKey
        guard routes[key] != nil || routes.count < HyperLimits.routeCount else { return }
        routes[key] = SocketRoute(socket: path.socket, address: path.address, kind: path.kind)
    }

    /// The addresses of a host asked for by ``HyperOutput/resolveHost(_:)``; empty if there are none.
    package func hostResolved(_ host: String, addresses: [SocketAddress], now: MonotonicTime) {
        rpc.hostResolved(host, addresses: addresses, now: now)
        settle(now: now)
    }

    /// Does what is due at `now`.
    package func wake(now: MonotonicTime) {
        rpc.wake(now: now)
        settle(now: now)
        if let due = currentPartDeadline(), due <= now {
            for id in connectors.keys.sorted() where connectors[id]?.nextDeadline.map({ $0 <= now }) == true {
                withConnector(id, now: now) { $0.wake(&$1) }
            }
            for id in servers.keys.sorted() where servers[id]?.nextDeadline.map({ $0 <= now }) == true {
                withServer(id, now: now) { $0.wake(&$1) }
            }
        }
        settle(now: now)
    }

    /// When to call ``wake(now:)`` at the latest; nil if never.
    package var nextDeadline: MonotonicTime? {
        guard let part = currentPartDeadline() else { return rpc.nextDeadline }
        return min(part, rpc.nextDeadline ?? part)
    }

    private func currentPartDeadline() -> MonotonicTime? {
        guard isPartDeadlineStale else { return partDeadline }
        isPartDeadlineStale = false
        partDeadline =
            (connectors.values.lazy.compactMap(\.nextDeadline).min()).map { first in
                min(first, servers.values.lazy.compactMap(\.nextDeadline).min() ?? first)
            } ?? servers.values.lazy.compactMap(\.nextDeadline).min()
        return partDeadline
    }

    /// The next thing to do, or nil when there is nothing more.
    package func pollOutput() -> HyperOutput? {
        while outputs.isEmpty, let commit = heldCommits.popFirst() {
            commitNeeded(commit.query, commit.reply, now: commit.time)
            settle(now: commit.time)
        }
        return outputs.popFirst()
    }

    /// The next thing to do about blind relays, or nil; to be polled beside ``pollOutput()`` if relays are used.
    package func pollRelayOutput() -> HyperRelayOutput? { relayOutputs.popFirst() }

    // MARK: Parts

    func makeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    func withConnector(
        _ id: ConnectionID, now: MonotonicTime, _ body: (inout Connector, inout HyperContext) -> Void
    ) {
        guard connectors[id] != nil else { return }
        perform(.connector(id), now: now) { body(&connectors[id]!, &$0) }
        if connectors[id]?.isDone == true { connectors[id] = nil }
    }

    func withServer(_ id: ServerID, now: MonotonicTime, _ body: (inout HandshakeServer, inout HyperContext) -> Void) {
        guard servers[id] != nil else { return }
        perform(.server(id), now: now) { body(&servers[id]!, &$0) }
        if closingServers.contains(id), !requestOwners.values.contains(where: { $0.owner == .server(id) }) {
            closingServers.remove(id)
            servers[id] = nil
        }
    }

    private func perform(_ owner: Owner, now: MonotonicTime, _ body: (inout HyperContext) -> Void) {
        context.now = now
        context.isFirewalled = rpc.isFirewalled
        context.isOnline = rpc.isOnline
        context.hasRandomPorts = rpc.publicAddress?.port == 0
        context.publicAddress = rpc.remoteAddress
        context.localAddresses = localHosts.map { $0.with(port: rpc.serverPort) }
        context.recentNodes = rpc.knownNodes(limit: HyperLimits.peerAddressCount)
        body(&context)
        isPartDeadlineStale = true
        let actions = context.actions
        context.actions = []
        for action in actions { execute(action, of: owner, now: now) }
    }

    private func execute(_ action: HyperAction, of owner: Owner, now: MonotonicTime) {
        switch action {
        case .call(let tag, let call):
            request(call, tag: tag, owner: owner, now: now)
        case .cancelAll:
            cancelAll(of: owner, now: now)
        case .findPeer(let target, let nodes, let retryCount):
            var options = RPCQueryOptions()
            options.startNodes = nodes
            options.retries = retryCount
            let query = rpc.query(
                .external(HyperCommand.findPeer.rawValue), target: target, options: options, now: now)
            queryOwners[query] = owner
        case .send(let datagram):
            send(datagram)
        case .bindSocket(let socket):
            extraSockets[socket] = ExtraSocket(owner: owner)
            outputs.append(.bindSocket(socket))
        case .releaseSocket(let socket):
            guard extraSockets.removeValue(forKey: socket) != nil else { return }
            outputs.append(.releaseSocket(socket))
        case .handOverSocket(let socket):
            extraSockets[socket] = nil
        case .output(let output):
            emit(output)
        case .relay(let output):
            if case .upgrade(let path) = output { remember(path) }
            relayOutputs.append(output)
        case .forget(let connection):
            incoming[connection] = nil
        case .answerHandshake(let route, let noise, let socket):
            answerHandshake(route, noise: noise, socket: socket)
        case .answerHolepunch(let request, let payload, let peerAddress, let socket):
            let message = HolepunchMessage(mode: .fromServer, id: 0, payload: payload, peerAddress: peerAddress)
            rpc.relay(request, value: message.encoded, to: request.from.address, socket: socket)
        case .rememberRelays(let publicKey, let addresses):
            relayCache.set(addresses, for: publicKey, now: now)
        }
    }

    private func emit(_ output: HyperOutput) {
        switch output {
        case .connect(let path):
            if !path.isRelayed { incoming[path.connection] = nil }
            remember(path)
        case .connectionFailed(let connection, _): incoming[connection] = nil
        case .serverClosed(let id): closingServers.insert(id)
        case .send, .bindSocket, .releaseSocket, .resolveHost, .operation, .handshake, .announced, .event: break
        }
        outputs.append(output)
    }

    func request(_ call: HyperCall, tag: HyperTag, owner: Owner, now: MonotonicTime) {
        var options = RPCRequestOptions()
        options.retries = call.retryCount
        options.socket = call.socket
        options.isPaced = call.isPaced
        options.isHurried = call.isHurried
        let id = rpc.request(
            call.command, target: call.target, token: call.token, value: call.value,
            to: RPCContact(address: call.to), options: options, now: now)
        requestOwners[id] = (owner, tag)
    }

    private func cancelAll(of owner: Owner, now: MonotonicTime) {
        // Sorted, because the order of a dictionary is not reproducible.
        for id in requestOwners.filter({ $0.value.owner == owner }).keys.sorted() {
            requestOwners[id] = nil
            rpc.cancel(id, now: now)
        }
        for id in queryOwners.filter({ $0.value == owner }).keys.sorted() {
            queryOwners[id] = nil
            rpc.cancel(id, now: now)
        }
    }

    private func send(_ datagram: OutgoingDatagram) {
        if let extra = extraSockets[datagram.socket], !extra.isBound {
            if extra.held.count < HyperDHTNode.heldDatagramLimit {
                extraSockets[datagram.socket]!.held.append(datagram)
            }
        } else {
            outputs.append(.send(datagram))
        }
    }

    // MARK: Outputs of the node below

    /// Carries out what the node below wants; every public method ends with it.
    func settle(now: MonotonicTime) {
        while let output = rpc.pollOutput() {
            switch output {
            case .send(let datagram):
                send(datagram)
            case .requestFinished(let id, let result):
                guard let (owner, tag) = requestOwners.removeValue(forKey: id) else { continue }
                requestFinished(tag, of: owner, reply: try? result.get(), now: now)
            case .queryReply(let id, let reply):
                queryReplied(id, reply, now: now)
            case .commitNeeded(let id, let reply):
                // A signature takes as long as some packets: the first ones can be on their way meanwhile.
                heldCommits.append(HeldCommit(query: id, reply: reply, time: now))
            case .queryFinished(let id, let result):
                queryFinished(id, result, now: now)
            case .request(let request):
                handleRequest(request, now: now)
            case .resolveHost(let host):
                outputs.append(.resolveHost(host))
            case .event(let event):
                noteEvent(event, now: now)
            }
        }
    }

    private func requestFinished(_ tag: HyperTag, of owner: Owner, reply: RPCReply?, now: MonotonicTime) {
        switch owner {
        case .operation(let id):
            operationRequestFinished(id, tag, reply, now: now)
        case .connector(let id):
            withConnector(id, now: now) { connector, context in
                switch tag {
                case .attempt(let index): connector.attempted(index, reply: reply, &context)
                case .localPing: connector.localPingEnded(reply, &context)
                case .holepunch(let round): connector.holepunched(reply, round: round, &context)
                case .natSample(let socket): connector.sampled(socket, reply: reply, &context)
                case .farewell, .relayPing, .announce, .leaving, .left, .commit, .recommit, .unannounce, .ping:
                    break
                }
            }
        case .server(let id):
            withServer(id, now: now) { server, context in
                switch tag {
                case .natSample(let socket): server.sampled(socket, reply: reply, &context)
                case .relayPing: server.announcer.pinged(reply, &context)
                case .announce(let index): server.announcer.announced(index, reply: reply, &context)
                case .leaving(let node): server.announcer.left(node, token: reply, &context)
                case .left(let node): server.announcer.left(node, &context)
                case .attempt, .localPing, .holepunch, .farewell, .commit, .recommit, .unannounce, .ping: break
                }
            }
        }
    }

    private func queryReplied(_ id: QueryID, _ reply: RPCReply, now: MonotonicTime) {
        switch queryOwners[id] {
        case .connector(let owner): withConnector(owner, now: now) { $0.found(reply, &$1) }
        case .operation(let owner): operationReplied(owner, reply, now: now)
        case .server, nil: break
        }
    }

    private func commitNeeded(_ id: QueryID, _ reply: RPCReply, now: MonotonicTime) {
        guard case .operation(let owner) = queryOwners[id] else {
            return rpc.commitFinished(id, succeeded: false, now: now)
        }
        operationCommit(owner, query: id, reply, now: now)
    }

    private func queryFinished(_ id: QueryID, _ result: RPCQueryResult, now: MonotonicTime) {
        switch queryOwners.removeValue(forKey: id) {
        case .connector(let owner): withConnector(owner, now: now) { $0.queryFinished(&$1) }
        case .server(let owner): withServer(owner, now: now) { $0.announcer.queryFinished(result, &$1) }
        case .operation(let owner): operationQueryFinished(owner, result, now: now)
        case nil: break
        }
    }

    private func noteEvent(_ event: RPCEvent, now: MonotonicTime) {
        outputs.append(.event(event))
        for id in servers.keys.sorted() {
            withServer(id, now: now) { server, context in
                switch event {
                // A reachable node asks from another socket, to which its relays must learn to forward.
                case .networkChanged, .persistent, .wokeUp: server.announcer.refresh(&context)
                case .networkUpdated: server.announcer.networkChanged(&context)
                case .bootstrapped, .ephemeral, .publicAddressChanged: break
                }
            }
        }
    }
}
