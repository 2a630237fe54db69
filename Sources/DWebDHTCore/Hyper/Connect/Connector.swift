package import DWebBase
package import DWebCrypto

/// Whom to connect to, and how; spec 20 section 11.1.
package struct ConnectOptions: Sendable {
    /// The peer.
    package var remotePublicKey: PublicKey
    /// Who we are.
    package var keyPair: KeyPair
    /// Our id of the stream, unique among the driver's live streams.
    package var streamID: UInt32
    /// Nodes that may lead to the peer.
    package var relayAddresses: [SocketAddress] = []
    /// Whether an address in the same network may be used, and ours be told.
    package var isLocalConnectionAllowed = true
    /// Whether the first hole-punch round already opens our firewall for the peer.
    package var isFastOpenEnabled = true
    /// Whether the socket can serve later connections to the same peer.
    package var isSocketReusable = false
    /// Blind relays to offer, of which one is picked; the server's own choice comes first.
    package var relayThrough: [PublicKey] = []

    /// Connects `keyPair` to `remotePublicKey`.
    package init(to remotePublicKey: PublicKey, as keyPair: KeyPair, streamID: UInt32) {
        self.remotePublicKey = remotePublicKey
        self.keyPair = keyPair
        self.streamID = streamID
    }
}

/// The client's side of making one connection; spec 20 sections 11.1 and 12.2.
///
/// It finds nodes that lead to the peer, shakes hands through them, and then takes the first path that works: the
/// peer's open address, the same network, or a hole punched through both firewalls.
struct Connector: Sendable {
    /// The first good answer to the handshake.
    struct Answer: Sendable {
        var relayAddress: SocketAddress
        var serverAddress: SocketAddress
        var clientAddress: SocketAddress
        var payload: NoisePayload
        var stream: NoisePayload.StreamInfo
        var keys: HandshakeKeys
    }

    let id: ConnectionID
    let options: ConnectOptions
    let target: Bytes32
    private var initiator: any HandshakeInitiator
    private var noise: [UInt8]?
    private(set) var firewall = Firewall.unknown
    private(set) var isDone = false

    // The attempt that takes the way of an earlier connection; it comes before all others.
    private static let routeIndex = -1
    private var route: SocketRoute?

    // Search.
    private var candidates: [SocketAddress] = []
    private var nextCandidate = 0
    private var isTryingCandidates = false
    private var waiting: [SocketAddress] = []
    private var tried: [SocketAddress] = []
    private var inFlight: Set<Int> = []
    private var isQueryRunning = false
    private var queriesLeft = 1

    // Paths after the handshake.
    private(set) var answer: Answer?
    private var early: (socket: SocketID, address: SocketAddress)?
    private var isLocalPingRunning = false
    private var passiveDeadline: MonotonicTime?
    private var punch: ClientPunch?
    private var ownRelay: NoisePayload.RelayThrough?
    private var relay: BlindRelayAttempt?
    private var failure: ConnectError?

    init(
        id: ConnectionID, options: ConnectOptions, target: Bytes32, initiator: any HandshakeInitiator
    ) {
        self.id = id
        self.options = options
        self.target = target
        self.initiator = initiator
    }

    var nextDeadline: MonotonicTime? {
        guard !isDone else { return nil }
        return [passiveDeadline, punch?.nextDeadline, relay?.nextDeadline].compactMap { $0 }.min()
    }

    // MARK: Search

    /// Begins.
    ///
    /// - Parameters:
    ///   - known: Nodes that led to the peer earlier; the options' own come first.
    ///   - forward: A node's own knowledge of the peer's address, which beats both.
    ///   - route: The way that an earlier connection took, to be tried before anything else.
    mutating func start(
        known: [SocketAddress], forward: SocketAddress?, route: SocketRoute? = nil, _ context: inout HyperContext
    ) {
        if let forward {
            candidates = [forward]
        } else if !options.relayAddresses.isEmpty {
            candidates = options.relayAddresses
        } else {
            candidates = known
        }
        candidates = candidates.prefix(HyperLimits.serverRelayCount).filter { $0.port != 0 && $0.family == .ipv4 }
        queriesLeft = candidates.isEmpty ? 1 : 2
        isTryingCandidates = !candidates.isEmpty
        self.route = route
        if let route { attempt(route, &context) } else { search(&context) }
    }

    private mutating func search(_ context: inout HyperContext) {
        startQuery(&context)
        startAttempts(&context)
    }

    private mutating func startQuery(_ context: inout HyperContext) {
        let nodes = queriesLeft == 2 ? candidates : []
        queriesLeft -= 1
        isQueryRunning = true
        context.actions.append(.findPeer(target: target, nodes: nodes, retryCount: 3))
    }

    /// A node has a record of the peer.
    mutating func found(_ reply: RPCReply, _ context: inout HyperContext) {
        guard answer == nil, !isDone, let value = reply.value,
            let record = try? PeerRecord(decoding: value), record.publicKey == options.remotePublicKey
        else { return }
        let node = reply.from.address
        guard !candidates.contains(node), !waiting.contains(node), !tried.contains(node),
            tried.count + waiting.count < HyperLimits.candidateCount
        else { return }
        waiting.append(node)
        startAttempts(&context)
    }

    mutating func queryFinished(_ context: inout HyperContext) {
        isQueryRunning = false
        continueSearch(&context)
    }

    private mutating func startAttempts(_ context: inout HyperContext) {
        guard answer == nil, !isDone else { return }
        if isTryingCandidates, nextCandidate < candidates.count, !inFlight.contains(where: { $0 < candidates.count }) {
            let index = nextCandidate
            nextCandidate += 1
            attempt(candidates[index], index: index, &context)
        }
        isTryingCandidates = nextCandidate < candidates.count
        while inFlight.filter({ $0 >= candidates.count }).count < 2, !waiting.isEmpty {
            let address = waiting.removeFirst()
            tried.append(address)
            attempt(address, index: candidates.count + tried.count - 1, &context)
        }
    }

    /// One try of a second: the peer may be gone, and then the usual ways should not come late.
    private mutating func attempt(_ route: SocketRoute, _ context: inout HyperContext) {
        guard let noise = message1(&context) else { return fail(.peerConnectionFailed, &context) }
        inFlight.insert(Connector.routeIndex)
        let message = HandshakeMessage(mode: .fromClient, noise: noise)
        var call = HyperCall.external(
            .peerHandshake, to: route.address, target: target, value: message.encoded, socket: route.socket)
        call.retryCount = 0
        context.actions.append(.call(.attempt(Connector.routeIndex), call))
    }

    private mutating func attempt(_ address: SocketAddress, index: Int, _ context: inout HyperContext) {
        guard let noise = message1(&context) else { return fail(.peerConnectionFailed, &context) }
        inFlight.insert(index)
        let message = HandshakeMessage(mode: .fromClient, noise: noise)
        context.actions.append(
            .call(
                .attempt(index),
                .external(.peerHandshake, to: address, target: target, value: message.encoded)))
    }

    /// Message 1 is made once: the server recognises repetitions by its bytes.
    private mutating func message1(_ context: inout HyperContext) -> [UInt8]? {
        if let noise { return noise }
        var payload = NoisePayload()
        firewall = context.publicAddress == nil ? .unknown : .open
        payload.firewall = firewall
        if let address = context.publicAddress { payload.addresses4.append(address) }
        if options.isLocalConnectionAllowed { payload.addresses4 += context.localAddresses }
        payload.stream = NoisePayload.StreamInfo(id: options.streamID, isSocketReusable: options.isSocketReusable)
        payload.secretStreamVersion = 1
        if context.usesBlindRelays, let relay = options.relayThrough.randomElement(using: &context.random) {
            ownRelay = NoisePayload.RelayThrough(publicKey: relay, token: context.random.bytes32())
            payload.relayThrough = ownRelay
        }
        noise = try? initiator.makeMessage1(payload: payload.encoded)
        return noise
    }

    /// A handshake attempt has an answer, or none.
    mutating func attempted(_ index: Int, reply: RPCReply?, _ context: inout HyperContext) {
        guard inFlight.remove(index) != nil, answer == nil, !isDone else { return }
        if let reply, let good = read(reply, asked: address(ofAttempt: index), &context) {
            let kind = index == Connector.routeIndex ? route?.kind : nil
            let isRelayed = good.serverAddress != good.relayAddress
            succeed(good, socket: reply.socket, isRelayed: isRelayed, directKind: kind ?? .open, &context)
            return
        }
        guard index != Connector.routeIndex else { return isDone ? () : search(&context) }
        startAttempts(&context)
        continueSearch(&context)
    }

    private func address(ofAttempt index: Int) -> SocketAddress {
        if index == Connector.routeIndex, let route { return route.address }
        return index < candidates.count ? candidates[index] : tried[index - candidates.count]
    }

    private mutating func continueSearch(_ context: inout HyperContext) {
        guard answer == nil, !isDone, !isQueryRunning, inFlight.isEmpty, waiting.isEmpty, !isTryingCandidates else {
            return
        }
        if queriesLeft > 0 {
            startQuery(&context)
        } else {
            let error = tried.isEmpty && candidates.isEmpty ? ConnectError.peerNotFound : .peerConnectionFailed
            fail(failure ?? error, &context)
        }
    }

    /// The usable content of an answer; nil if it is none.
    private mutating func read(
        _ reply: RPCReply, asked: SocketAddress, _ context: inout HyperContext
    ) -> Answer? {
        guard reply.from.address == asked, let value = reply.value,
            let message = try? HandshakeMessage(decoding: value), message.mode == .reply, !message.noise.isEmpty
        else { return nil }
        // A copy reads, so that a forged answer from one relay does not spoil the true one from another.
        var copy = initiator
        guard let (bytes, keys) = try? copy.readMessage2(message.noise),
            let payload = try? NoisePayload(decoding: bytes), keys.remotePublicKey == options.remotePublicKey
        else { return nil }
        guard payload.version == NoisePayload.currentVersion else {
            fail(.serverIncompatible, &context)
            return nil
        }
        guard payload.error == .none, let stream = payload.stream else {
            fail(.serverError, &context)
            return nil
        }
        return Answer(
            relayAddress: asked, serverAddress: message.peerAddress ?? asked, clientAddress: reply.to,
            payload: payload, stream: stream, keys: keys)
    }

    // MARK: Paths

    private mutating func succeed(
        _ answer: Answer, socket: SocketID, isRelayed: Bool, directKind: HyperPathKind, _ context: inout HyperContext
    ) {
        self.answer = answer
        waiting = []
        inFlight = []
        context.actions.append(.cancelAll)
        if let early { return establish(on: early.socket, early.address, .open, &context) }
        if !isRelayed { return establish(on: socket, answer.relayAddress, directKind, &context) }
        let relays = answer.payload.holepunch?.relays ?? []
        if answer.payload.firewall == .open || relays.isEmpty {
            let isUsable = { (address: SocketAddress) in !AddressClass(address).isBogon && address.port != 0 }
            let address = answer.payload.addresses4.first(where: isUsable) ?? answer.serverAddress
            return establish(on: context.mainSocket, address, .open, &context)
        }
        if firewall == .open {
            passiveDeadline = context.now + HyperTimes.passiveConnect
            return
        }
        startRelay(answer.payload, &context)
        if options.isLocalConnectionAllowed, answer.clientAddress.hasSameHost(as: answer.serverAddress) {
            let usable = answer.payload.addresses4.filter { AddressClass($0) != .reserved && $0.port != 0 }
            if let first = usable.first {
                let address = AddressClass.bestMatch(of: context.localAddresses, among: usable) ?? first
                isLocalPingRunning = true
                context.actions.append(.call(.localPing, .ping(address)))
            }
        }
        punch = ClientPunch(
            answer: answer, options: options, relays: relays, hasBlindRelay: relay != nil, &context)
        settle(&context)
    }

    private mutating func startRelay(_ payload: NoisePayload, _ context: inout HyperContext) {
        guard context.usesBlindRelays, let through = payload.relayThrough ?? ownRelay else { return }
        relay = BlindRelayAttempt(
            BlindRelayRequest(
                connection: id, relay: through.publicKey, token: through.token,
                isInitiator: payload.relayThrough == nil, streamID: options.streamID), &context)
    }

    /// The blind relay joined both sides: the stream can run through it until there is a direct path.
    mutating func relayPaired(
        on socket: SocketID, _ address: SocketAddress, remoteStreamID: UInt32, _ context: inout HyperContext
    ) {
        guard !isDone, relay?.phase == .pending, let answer else { return }
        relay?.paired(on: socket, address)
        rememberRelays(&context)
        context.actions.append(
            .output(
                .connect(
                    HyperPath(
                        connection: id, isInitiator: true, socket: socket, address: address,
                        streamID: options.streamID, remoteStreamID: remoteStreamID, keys: answer.keys,
                        kind: .relayed))))
        settle(&context)
    }

    /// The connection to the relay stands: what comes from there is not the peer's own traffic.
    mutating func relayReached(on socket: SocketID, _ address: SocketAddress) { relay?.reached(on: socket, address) }

    mutating func relayFailed(_ context: inout HyperContext) {
        guard !isDone else { return }
        relay?.fail()
        failure = failure ?? .relayAborted
        settle(&context)
    }

    mutating func localPingEnded(_ reply: RPCReply?, _ context: inout HyperContext) {
        guard isLocalPingRunning, !isDone else { return }
        isLocalPingRunning = false
        if let reply {
            // The ping may leave from either socket; the stream uses the one whose port is known to the peer.
            establish(on: .server, reply.from.address, .localNetwork, &context)
        } else {
            settle(&context)
        }
    }

    /// A packet for the stream came in before the stream was connected.
    mutating func traffic(on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext) {
        guard !isDone, relay?.isRelay(socket, address) != true else { return }
        if answer == nil {
            early = (socket, address)
        } else {
            establish(on: socket, address, arrivalKind(socket, address, context), &context)
        }
    }

    /// How a packet found its way that came before this side had a path.
    private func arrivalKind(
        _ socket: SocketID, _ address: SocketAddress, _ context: HyperContext
    ) -> HyperPathKind {
        if socket >= .firstExtra, let punch { return .holePunched(punch.strategy) }
        let isLocal = AddressClass(address) == .privateUse && answer?.clientAddress.hasSameHost(as: address) != true
        return isLocal && firewall != .open ? .localNetwork : .open
    }

    /// The answer to a hole-punch message, or none.
    mutating func holepunched(_ reply: RPCReply?, round: UInt64, _ context: inout HyperContext) {
        punch?.replied(reply, round: round, &context)
        settle(&context)
    }

    /// A ping from a punch socket was answered, or not.
    mutating func sampled(_ socket: SocketID, reply: RPCReply?, _ context: inout HyperContext) {
        punch?.sampled(socket, reply: reply, &context)
        settle(&context)
    }

    /// A one-byte packet arrived on a punch socket.
    mutating func punched(on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext) {
        punch?.punched(on: socket, from: address, &context)
        settle(&context)
    }

    mutating func wake(_ context: inout HyperContext) {
        guard !isDone else { return }
        if let due = passiveDeadline, due <= context.now {
            passiveDeadline = nil
            failure = .holepunchAborted
        }
        if relay?.wake(&context) == true { failure = failure ?? .relayAborted }
        punch?.wake(&context)
        settle(&context)
    }

    /// Takes what the punch came to, and fails once no path is left.
    mutating func settle(_ context: inout HyperContext) {
        guard !isDone, answer != nil else { return }
        switch punch?.takeOutcome() {
        case .connected(let socket, let address):
            return establish(on: socket, address, .holePunched(punch!.strategy), &context)
        case .failed(let error):
            failure = failure ?? error
            punch?.destroy(keeping: nil, &context)
            punch = nil
        case nil: break
        }
        guard punch == nil, !isLocalPingRunning, passiveDeadline == nil else { return }
        switch relay?.phase {
        case .pending: return
        case .paired: isDone = true
        case .failed, nil: fail(failure ?? .holepunchAborted, &context)
        }
    }

    private mutating func establish(
        on socket: SocketID, _ address: SocketAddress, _ kind: HyperPathKind, _ context: inout HyperContext
    ) {
        guard let answer, !isDone else { return }
        isDone = true
        punch?.destroy(keeping: socket, &context)
        punch = nil
        context.actions.append(.cancelAll)
        let path = HyperPath(
            connection: id, isInitiator: true, socket: socket, address: address, streamID: options.streamID,
            remoteStreamID: answer.stream.id, keys: answer.keys, kind: kind,
            isReusable: options.isSocketReusable && answer.stream.isSocketReusable)
        if relay?.phase == .paired {
            context.actions.append(.relay(.upgrade(path)))
        } else {
            relay?.abandon(&context)
            rememberRelays(&context)
            context.actions.append(.output(.connect(path)))
        }
    }

    private func rememberRelays(_ context: inout HyperContext) {
        guard let answer else { return }
        let relays = (answer.payload.relayAddresses ?? []).prefix(HyperLimits.serverRelayCount)
        let good = relays.filter { $0.port != 0 }
        context.actions.append(
            .rememberRelays(options.remotePublicKey, good.isEmpty ? [answer.relayAddress] : Array(good)))
    }

    /// Ends with an error.
    mutating func fail(_ error: ConnectError, _ context: inout HyperContext) {
        guard !isDone else { return }
        isDone = true
        punch?.destroy(keeping: nil, &context)
        punch = nil
        context.actions.append(.cancelAll)
        guard relay?.phase != .paired else { return }
        relay?.abandon(&context)
        context.actions.append(.output(.connectionFailed(id, error)))
    }

    /// Ends without a word.
    mutating func cancel(_ context: inout HyperContext) {
        guard !isDone else { return }
        isDone = true
        punch?.destroy(keeping: nil, &context)
        punch = nil
        relay?.abandon(&context)
        context.actions.append(.cancelAll)
    }
}
