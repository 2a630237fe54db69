public import DWebBase
public import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebStreamCore
import DWebWireCore
import DequeModule

/// What a listening key pair does with those who come, called on the loop.
struct ListenHandlers {
    /// Decides about a client, now or later, by ``DHTNode/accept(_:)`` or ``DHTNode/refuse(_:)``.
    var admit: (IncomingHandshake) -> Void
    /// Takes a client's stream, which is connected.
    var connected: (StreamLink) -> Void
    /// Learns that clients can find the key pair through these nodes.
    var announced: ([SocketAddress]) -> Void
}

extension DHTNode {
    /// Streams, open and in the making, that one node carries at a time.
    static let streamLimit = 8_192
    /// How long the end of a node or a listener waits for announcements to be withdrawn.
    static let withdrawalTimeLimit = Duration.seconds(3)
    private static let firstWordRepetitions: [Duration] = [.milliseconds(500), .milliseconds(1_500), .seconds(4)]

    // MARK: Dialling

    /// Dials a peer by its key.
    ///
    /// - Parameters:
    ///   - remotePublicKey: The peer, which must be listening.
    ///   - keyPair: Who this side is.
    ///   - relayAddresses: Nodes that may lead to the peer, if known.
    /// - Throws: ``DSwarmError`` with code `connectFailed`, `suspended`, `closed` or `cancelled`.
    public func connect(
        to remotePublicKey: PublicKey, as keyPair: KeyPair, relayAddresses: [SocketAddress] = []
    ) async throws(DSwarmError) -> SwarmConnection {
        try await started()
        var result = try await dialled(
            remotePublicKey, as: keyPair, relayAddresses: relayAddresses, relayChoice: .configured)
        if case .failure(let error) = result, error.isAvoidableByRelay, !configuration.relays.isEmpty,
            configuration.relayUse == .whenNeeded
        {
            result = try await dialled(
                remotePublicKey, as: keyPair, relayAddresses: relayAddresses, relayChoice: .forced)
        }
        switch result {
        case .success(let link): return SwarmConnection(link: link, node: self, topics: [])
        case .failure(let error): throw DSwarmError(error)
        }
    }

    private func dialled(
        _ remotePublicKey: PublicKey, as keyPair: KeyPair, relayAddresses: [SocketAddress], relayChoice: RelayChoice
    ) async throws(DSwarmError) -> Result<StreamLink, ConnectError> {
        let promise = Promise<Result<StreamLink, ConnectError>>()
        let connection = dial(
            remotePublicKey, as: keyPair, relayAddresses: relayAddresses, relayChoice: relayChoice
        ) { result in
            // Nobody waits any more: the stream has no owner.
            if !promise.resolve(result), case .success(let link) = result { link.stream.destroy() }
        }
        let result = await promise.value(onCancel: .failure(.destroyed))
        if case .failure = result, Task.isCancelled {
            if let connection { cancel(connection) }
            throw .cancelled
        }
        return result
    }

    /// Begins to dial; `finish` is called once, unless ``cancel(_:)`` comes first.
    func dial(
        _ remotePublicKey: PublicKey, as keyPair: KeyPair, relayAddresses: [SocketAddress],
        relayChoice: RelayChoice = .configured, finish: @escaping (Result<StreamLink, ConnectError>) -> Void
    ) -> ConnectionID? {
        guard phase == .running, let stream = makeStream() else {
            finish(.failure(phase == .suspended ? .suspended : .destroyed))
            return nil
        }
        var options = ConnectOptions(to: remotePublicKey, as: keyPair, streamID: stream.localID)
        options.relayAddresses = relayAddresses
        options.isLocalConnectionAllowed = configuration.isLocalConnectionAllowed
        options.isFastOpenEnabled = configuration.isFastOpenEnabled
        options.isSocketReusable = configuration.isSocketReusable
        options.relayThrough = offersRelays(relayChoice) ? configuration.relays : []
        let connection = machine.connect(options, now: loop.now)
        pending[connection] = PendingStream(stream: stream, keyPair: keyPair, finish: finish)
        pendingConnections[stream.localID] = connection
        settleLater()
        return connection
    }

    /// Whether an attempt offers the configured blind relays.
    enum RelayChoice {
        /// As ``DHTConfiguration/relayUse`` says.
        case configured
        /// In any case: an attempt without one failed.
        case forced
        /// In no case: the peer is a relay itself.
        case none
    }

    private func offersRelays(_ choice: RelayChoice) -> Bool {
        switch choice {
        case .configured: configuration.relayUse == .first || machine.rpc.publicAddress?.port == 0
        case .forced: true
        case .none: false
        }
    }

    /// Gives up dialling; nothing more is reported.
    func cancel(_ connection: ConnectionID) {
        guard let entry = pending.removeValue(forKey: connection) else { return }
        pendingConnections[entry.stream.localID] = nil
        machine.cancel(connection, now: loop.now)
        entry.stream.destroy()
        settleLater()
    }

    private func makeStream() -> UDXStream? {
        guard multiplexer.streamCount < DHTNode.streamLimit else { return nil }
        var options = UDXStreamOptions()
        options.phaseSeed = UInt32(truncatingIfNeeded: random.next())
        // Other sources are let in as well, but seen: one of them may be the direct path of a relayed stream.
        options.sourcePolicy = .remote
        let log = arrivals
        return try? multiplexer.createStream(localID: streamIDs.draw(random: &random), options: options) {
            log.judge($0)
        }
    }

    func connect(_ path: HyperPath) {
        guard let entry = pending.removeValue(forKey: path.connection) else {
            // The stream is gone, so its socket has no use.
            if path.socket >= .firstExtra { closeUnusedSocket(path.socket) }
            return
        }
        pendingConnections[entry.stream.localID] = nil
        guard let slot = slots[path.socket],
            (try? entry.stream.connect(on: slot.udxID, remoteID: path.remoteStreamID, address: path.address)) != nil
        else {
            entry.stream.destroy()
            entry.finish(.failure(.peerConnectionFailed))
            return
        }
        let handshake = HandshakeResult(
            transmitKey: path.keys.transmitKey, receiveKey: path.keys.receiveKey,
            handshakeHash: path.keys.handshakeHash, localPublicKey: entry.keyPair.publicKey,
            remotePublicKey: path.keys.remotePublicKey, isInitiator: path.isInitiator)
        // A relayed stream is a guest on the socket of the connection to its relay.
        let isOwnSocket = path.socket >= .firstExtra && !path.isRelayed
        if isOwnSocket { slots[path.socket]!.hasCarriedStream = true }
        let link = StreamLink(
            stream: entry.stream, handshake: handshake, kind: path.kind, ownSocket: isOwnSocket ? path.socket : nil)
        links[entry.stream.localID] = link
        if path.isRelayed { noteRelayed(link, path.connection) }
        if !path.isInitiator, path.kind == .open { speakFirst(link) }
        entry.finish(.success(link))
    }

    /// Lets a client that anybody can reach hear of us: it waits for our first packet, whether or not there is something
    /// to say yet. A message may be lost, so it is repeated until something came back.
    private func speakFirst(_ link: StreamLink) {
        try? link.stream.sendMessage([])
        for delay in DHTNode.firstWordRepetitions {
            _ = schedule(at: loop.now + delay) { [weak self, weak link] in
                guard let self, let link, !link.isClosed, link.stream.statistics.packetsReceived == 0 else { return }
                try? link.stream.sendMessage([])
                self.assumeIsolated { $0.settleLater() }
            }
        }
    }

    func failConnection(_ connection: ConnectionID, _ error: ConnectError) {
        guard let entry = pending.removeValue(forKey: connection) else { return }
        pendingConnections[entry.stream.localID] = nil
        entry.stream.destroy()
        entry.finish(.failure(error))
    }

    // MARK: Listening

    /// Listens as `keyPair` until the handle is closed; returns once peers can find it.
    ///
    /// - Parameters:
    ///   - pendingLimit: Connections that may wait to be taken; while there are more, nobody is answered.
    ///   - admits: Asked about each client before it gets an answer; nil admits everyone.
    /// - Throws: ``DSwarmError`` with code `alreadyListening`, `suspended`, `closed` or `cancelled`.
    public func listen(
        as keyPair: KeyPair, pendingLimit: Int = 64, admits: (@Sendable (PublicKey) async -> Bool)? = nil
    ) async throws(DSwarmError) -> DHTServer {
        try await started()
        let queue = ConnectionQueue(limit: pendingLimit)
        let promise = Promise<DSwarmError?>()
        let handlers = ListenHandlers(
            admit: { [weak self] handshake in
                self?.assumeIsolated { $0.decide(handshake, queue: queue, admits: admits) }
            },
            connected: { [weak self] link in
                guard let self else { return }
                link.onClose = { queue.remove(link) }
                if !queue.add(SwarmConnection(link: link, node: self, topics: [])) { link.stream.destroy() }
            },
            announced: { _ in promise.resolve(nil) })
        guard let id = startListening(as: keyPair, handlers) else {
            throw phase == .running
                ? DSwarmError(.alreadyListening, "The key \(keyPair.publicKey) listens already")
                : (phase == .suspended ? .suspended : .closed)
        }
        if let error = await promise.value(onCancel: .cancelled) {
            await stopListening(id)
            throw error
        }
        return DHTServer(publicKey: keyPair.publicKey, id: id, node: self, queue: queue)
    }

    /// Begins to listen; nil if the key pair listens already or the node does not run.
    func startListening(
        as keyPair: KeyPair, _ handlers: ListenHandlers, offersRelays: Bool = true
    ) -> ServerID? {
        guard phase == .running || phase == .suspended else { return nil }
        var options = ListenOptions()
        options.isLocalAddressShared = configuration.isLocalConnectionAllowed
        options.isSocketReusable = configuration.isSocketReusable
        options.relayThrough = offersRelays ? configuration.relays : []
        options.offersRelayOnlyIfRandomized = configuration.relayUse == .whenNeeded
        guard let id = machine.listen(as: keyPair, options: options, now: loop.now) else { return nil }
        listeners[id] = Listener(keyPair: keyPair, handlers: handlers)
        settleLater()
        return id
    }

    /// Stops listening and returns once the announcements are withdrawn, or at `deadline`: three seconds from now unless
    /// given.
    func stopListening(_ id: ServerID, until deadline: MonotonicTime? = nil) async {
        guard listeners[id] != nil else { return }
        let promise = Promise<Void>()
        listeners[id]!.closeWaiters.append(promise)
        machine.close(id, now: loop.now)
        settleLater()
        let end = deadline ?? loop.now + DHTNode.withdrawalTimeLimit
        let timer = loop.schedule(at: end) { promise.resolve(()) }
        await promise.value()
        timer.cancel()
    }

    /// Stops listening with every key pair, and waits until `deadline` for that.
    func withdrawListeners(until deadline: MonotonicTime) async {
        guard phase == .running else { return }
        await withDiscardingTaskGroup { group in
            for id in listeners.keys.sorted() { group.addTask { await self.stopListening(id, until: deadline) } }
        }
    }

    /// Nodes that lead to a listening key pair.
    func relayAddresses(of id: ServerID) -> [SocketAddress] { machine.relayAddresses(of: id) }

    private func decide(
        _ handshake: IncomingHandshake, queue: ConnectionQueue, admits: (@Sendable (PublicKey) async -> Bool)?
    ) {
        guard queue.hasRoom else { return refuse(handshake.connection) }
        guard let admits else { return accept(handshake) }
        add(
            .ask {
                let isAdmitted = await admits(handshake.remotePublicKey)
                await self.answer(handshake, isAdmitted: isAdmitted)
            })
    }

    func answer(_ handshake: IncomingHandshake, isAdmitted: Bool) {
        if isAdmitted { accept(handshake) } else { refuse(handshake.connection) }
    }

    func receive(_ handshake: IncomingHandshake) {
        guard phase == .running, let listener = listeners[handshake.server] else {
            return refuse(handshake.connection)
        }
        listener.handlers.admit(handshake)
    }

    /// Welcomes a client.
    func accept(_ handshake: IncomingHandshake) {
        guard phase == .running, let listener = listeners[handshake.server], let stream = makeStream() else {
            return refuse(handshake.connection)
        }
        let connected = listener.handlers.connected
        pending[handshake.connection] = PendingStream(stream: stream, keyPair: listener.keyPair) { result in
            if case .success(let link) = result { connected(link) }
        }
        pendingConnections[stream.localID] = handshake.connection
        machine.accept(handshake.connection, streamID: stream.localID, now: loop.now)
        settleLater()
    }

    /// Leaves a client without an answer.
    func refuse(_ connection: ConnectionID) {
        machine.refuse(connection, now: loop.now)
        settleLater()
    }

    func noteAnnounced(_ id: ServerID, _ relayAddresses: [SocketAddress]) {
        listeners[id]?.announced = relayAddresses
        listeners[id]?.handlers.announced(relayAddresses)
    }

    func noteClosed(_ id: ServerID) {
        guard let listener = listeners.removeValue(forKey: id) else { return }
        for waiter in listener.closeWaiters { waiter.resolve(()) }
    }

    // MARK: Events of streams

    func handle(_ event: UDXEvent, of stream: UDXStream) {
        guard let link = links[stream.localID] else {
            if case .closed = event { forget(stream) }
            return
        }
        switch event {
        case .readable, .ended: link.serveReader()
        case .drained:
            link.writer?.resolve(nil)
            link.writer = nil
        case .message(let payload): receive(payload, on: link)
        case .remoteChanged: noteOldPathDone(link)
        case .closed(let reason):
            links[stream.localID] = nil
            streamIDs.release(stream.localID)
            leaveRelay(of: link)
            switch reason {
            case .reset, .timedOut: machine.forgetRoute(to: link.handshake.remotePublicKey)
            case .finished, .destroyed: break
            }
            if let socket = link.ownSocket { streamLeft(socket) }
            link.close(reason)
        }
    }

    /// A stream closed before it had a peer.
    private func forget(_ stream: UDXStream) {
        streamIDs.release(stream.localID)
        if let ended = relayStreams.removeValue(forKey: stream.localID) { return ended() }
        guard let connection = pendingConnections[stream.localID] else { return }
        // A packet can destroy a stream before its path is known; anyone who knows the id can send one.
        machine.cancel(connection, now: loop.now)
        failConnection(connection, .peerConnectionFailed)
    }

    private func receive(_ payload: [UInt8], on link: StreamLink) {
        // An empty message belongs to the move from a relay to a direct path; what peers say is never empty.
        guard !payload.isEmpty else { return }
        if let reader = link.datagramReader {
            link.datagramReader = nil
            if reader.resolve(payload) { return }
        }
        if link.datagrams.count >= StreamLink.datagramLimit { link.datagrams.removeFirst() }
        link.datagrams.append(payload)
    }

    func destroyStreams() {
        for id in pending.keys.sorted() { failConnection(id, phase == .suspended ? .suspended : .destroyed) }
        for id in links.keys.sorted() { links[id]?.stream.destroy() }
    }

    // MARK: Handles

    func read(_ link: StreamLink) async throws(PortError) -> [UInt8]? {
        let bytes = link.takeBytes()
        if !bytes.isEmpty {
            settleLater()
            return bytes
        }
        if let end = link.readEnd { return try end.get() }
        precondition(link.reader == nil, "a connection has one reader at a time")
        let promise = Promise<Result<[UInt8]?, PortError>>()
        link.reader = promise
        let result = await promise.value(onCancel: .failure(PortError(.cancelled, "The task was cancelled")))
        if link.reader === promise { link.reader = nil }
        settleLater()
        return try result.get()
    }

    func write(_ chunk: [UInt8], to link: StreamLink) async throws(PortError) {
        guard !link.isClosed else { throw link.closeError ?? PortError(.closed, "The connection is closed") }
        guard !chunk.isEmpty else { return }
        let hasRoom: Bool
        do {
            hasRoom = try link.stream.write(chunk)
        } catch {
            throw PortError(.closed, "The connection's writable side has ended")
        }
        link.writtenByteCount += chunk.count
        settleLater()
        guard !hasRoom else { return }
        precondition(link.writer == nil, "a connection has one writer at a time")
        let promise = Promise<PortError?>()
        link.writer = promise
        let error = await promise.value(onCancel: PortError(.cancelled, "The task was cancelled"))
        if link.writer === promise { link.writer = nil }
        if let error { throw error }
    }

    func finish(_ link: StreamLink) {
        try? link.stream.end()
        settleLater()
    }

    nonisolated func abort(_ link: StreamLink) {
        guard !link.isClosed else { return }
        loop.execute {
            self.assumeIsolated { node in
                link.stream.destroy()
                node.settle()
            }
        }
    }

    /// Nobody refers to the connection any more.
    nonisolated func release(_ link: StreamLink) { abort(link) }

    func sendDatagram(_ payload: [UInt8], on link: StreamLink) -> Bool {
        guard payload.count <= link.stream.messageByteLimit, (try? link.stream.sendMessage(payload)) != nil else {
            return false
        }
        settleLater()
        return true
    }

    func readDatagram(_ link: StreamLink) async -> [UInt8]? {
        if let first = link.datagrams.popFirst() { return first }
        guard !link.isClosed else { return nil }
        precondition(link.datagramReader == nil, "a connection has one datagram reader at a time")
        let promise = Promise<[UInt8]?>()
        link.datagramReader = promise
        let payload = await promise.value(onCancel: nil)
        if link.datagramReader === promise { link.datagramReader = nil }
        return payload
    }

    func closed(_ link: StreamLink) async -> PortError? {
        guard !link.isClosed else { return link.closeError }
        let promise = Promise<PortError?>()
        link.closeWaiters.append(promise)
        return await promise.value(onCancel: PortError(.cancelled, "The task was cancelled"))
    }

    func setKeepAlive(_ body: @escaping @Sendable () -> Void, of link: StreamLink) { link.onKeepAliveNeeded = body }

    func remoteAddress(of link: StreamLink) -> SocketAddress? { link.stream.remoteAddress }

    func statistics(of link: StreamLink) -> UDXStatistics { link.stream.statistics }
}
