import DWebBase
import DWebCrypto

/// One client's handshake at a server, until it is connected or given up; spec 20 section 11.2.
struct HandshakeSlot: Sendable {
    enum Phase: Sendable, Equatable {
        /// The driver has not yet said whether the client is welcome.
        case deciding
        /// The answer is made; the connection is not.
        case answered
        case connected
        case failed
        /// The driver refused: the client never gets an answer.
        case refused
    }

    /// A hole-punch message that waits for the analysis of our network.
    struct PendingPunch: Sendable {
        var request: IncomingRequest
        var peerAddress: SocketAddress
        var payload: HolepunchPayload
        var isThroughRelay: Bool
        var isReopening = false
    }

    /// Requests that wait for the driver's decision, and hole-punch messages that wait for the analysis.
    static let waitingLimit = 8

    let connection: ConnectionID
    let key: Bytes32
    let clientAddress: SocketAddress
    let isDirect: Bool
    /// The request that opened the slot.
    let request: IncomingRequest
    let remotePublicKey: PublicKey
    let remotePayload: NoisePayload
    var responder: any HandshakeResponder
    var phase = Phase.deciding
    var waiting: [HandshakeRoute] = []
    var reply: [UInt8]?
    var streamID: UInt32 = 0
    var keys: HandshakeKeys?
    var seal: HolepunchSeal?
    var puncher: Puncher?
    var relay: BlindRelayAttempt?
    var isReplyFromPuncher = false
    /// Whether the client was offered to use the socket again.
    var offersReuse = false
    var round: UInt64 = 0
    var punches: [PendingPunch] = []
    /// When the client has to have come.
    var deadline: MonotonicTime?
    /// When the slot is freed.
    var clearDeadline: MonotonicTime?

    init(
        connection: ConnectionID, key: Bytes32, route: HandshakeRoute, clientAddress: SocketAddress, isDirect: Bool,
        remotePublicKey: PublicKey, remotePayload: NoisePayload, responder: any HandshakeResponder,
        deadline: MonotonicTime
    ) {
        self.connection = connection
        self.key = key
        self.clientAddress = clientAddress
        self.isDirect = isDirect
        request = route.request
        self.remotePublicKey = remotePublicKey
        self.remotePayload = remotePayload
        self.responder = responder
        self.deadline = deadline
        waiting = [route]
    }

    var nextDeadline: MonotonicTime? {
        [deadline, clearDeadline, puncher?.nextDeadline, relay?.nextDeadline].compactMap { $0 }.min()
    }

    /// The socket that answers leave from; nil for the one that the request arrived on.
    var replySocket: SocketID? { isReplyFromPuncher ? puncher?.socket : nil }

    // MARK: Ends

    /// The client's stream runs on `socket` from now on.
    mutating func connect(
        on socket: SocketID, _ address: SocketAddress, _ kind: HyperPathKind, _ context: inout HyperContext
    ) {
        guard phase == .answered, let keys, let stream = remotePayload.stream,
            relay?.isRelay(socket, address) != true
        else { return }
        phase = .connected
        puncher?.destroy(keeping: socket, &context)
        punches = []
        clearLater(&context)
        let path = HyperPath(
            connection: connection, isInitiator: false, socket: socket, address: address, streamID: streamID,
            remoteStreamID: stream.id, keys: keys, kind: kind, isReusable: offersReuse && stream.isSocketReusable)
        if relay?.phase == .paired {
            context.actions.append(.relay(.upgrade(path)))
            context.actions.append(.forget(connection))
        } else {
            relay?.abandon(&context)
            context.actions.append(.output(.connect(path)))
        }
    }

    /// How a packet found its way that came before this side had a path.
    func arrivalKind(_ socket: SocketID, _ address: SocketAddress) -> HyperPathKind {
        if socket >= .firstExtra, let puncher { return .holePunched(puncher.strategy) }
        return AddressClass(address) == .privateUse && !address.hasSameHost(as: clientAddress) ? .localNetwork : .open
    }

    /// The blind relay joined both sides: the stream can run through it until there is a direct path.
    mutating func relayPaired(
        on socket: SocketID, _ address: SocketAddress, remoteStreamID: UInt32, _ context: inout HyperContext
    ) {
        guard phase == .answered, relay?.phase == .pending, let keys else { return }
        relay?.paired(on: socket, address)
        context.actions.append(
            .output(
                .connect(
                    HyperPath(
                        connection: connection, isInitiator: false, socket: socket, address: address,
                        streamID: streamID, remoteStreamID: remoteStreamID, keys: keys, kind: .relayed))))
        // The client is here; a direct path may still take its time, but not hold a socket for ever.
        deadline = puncher?.isPunching == true ? nil : context.now + HyperTimes.relayedPunchWait
        if puncher?.isDestroyed != false { fail(.holepunchAborted, &context) }
    }

    mutating func relayFailed(_ context: inout HyperContext) {
        relay?.fail()
        if phase == .answered, puncher?.isDestroyed != false, deadline == nil { fail(.relayAborted, &context) }
    }

    mutating func wake(_ context: inout HyperContext) {
        puncher?.wake(&context)
        advance(&context)
        if relay?.wake(&context) == true { relayFailed(&context) }
        if let due = deadline, due <= context.now {
            deadline = nil
            fail(.holepunchAborted, &context)
        }
    }

    /// Gives direct paths up, and the connection unless a blind relay carries it or may do so.
    mutating func fail(_ error: ConnectError, isFinal: Bool = false, _ context: inout HyperContext) {
        guard phase == .answered || phase == .deciding else { return }
        let wasAnswered = phase == .answered
        puncher?.destroy(&context)
        punches = []
        waiting = []
        deadline = nil
        if relay?.phase == .paired {
            phase = .connected
            clearLater(&context)
            context.actions.append(.forget(connection))
            return
        }
        if relay?.phase == .pending, !isFinal { return }
        phase = .failed
        relay?.abandon(&context)
        clearLater(&context)
        // A client that nobody decided about has no stream to be freed.
        if wasAnswered { context.actions.append(.output(.connectionFailed(connection, error))) }
    }

    mutating func clearLater(_ context: inout HyperContext) {
        deadline = nil
        clearDeadline = clearDeadline ?? context.now + HyperTimes.handshakeClearWait
    }

    // MARK: Hole punching

    /// A hole-punch message of the client; spec 20 section 12.3.
    mutating func punched(
        _ request: IncomingRequest, _ message: HolepunchMessage, isThroughRelay: Bool, _ context: inout HyperContext
    ) {
        guard phase == .answered, let seal, let peerAddress = message.peerAddress,
            let payload = seal.open(message.payload)
        else { return }
        if payload.error != .none {
            round = max(round, payload.round)
            return abort(answering: request, peerAddress: peerAddress, &context)
        }
        guard puncher != nil else { return abort(answering: request, peerAddress: peerAddress, &context) }
        // A repetition while the first one still waits.
        let isKnown = punches.contains {
            $0.request.transaction == request.transaction && $0.request.from.address == request.from.address
        }
        guard !isKnown, punches.count < HandshakeSlot.waitingLimit else { return }
        if request.socket == puncher!.socket { puncher!.addSample(request.to, from: request.from.address, context) }
        if payload.round >= round {
            round = payload.round
            // Only what comes through our own relays proves anything: others could make up the address.
            let isEchoed = isThroughRelay && payload.remoteToken == seal.token(for: peerAddress)
            puncher!.updateRemote(
                isPunching: payload.isPunching, firewall: payload.firewall, addresses: payload.addresses,
                verified: isEchoed ? peerAddress : nil)
        }
        punches.append(
            PendingPunch(
                request: request, peerAddress: peerAddress, payload: payload, isThroughRelay: isThroughRelay))
        advance(&context)
    }

    /// Answers what waited for the analysis, and notes the end of the punching.
    mutating func advance(_ context: inout HyperContext) {
        guard phase == .answered else { return }
        while phase == .answered, !punches.isEmpty, puncher != nil, answerFirst(&context) {}
        if puncher?.takeOutcome() == .exhausted { fail(.holepunchAborted, &context) }
    }

    /// Returns whether the first waiting message is dealt with.
    private mutating func answerFirst(_ context: inout HyperContext) -> Bool {
        let pending = punches[0]
        switch puncher!.verdict(allowsReopening: pending.isReopening, &context) {
        case .pending:
            return false
        case .unstable where !puncher!.isRemotePunching && !pending.isReopening:
            punches[0].isReopening = true
            return true
        case .unstable where !puncher!.isRemotePunching:
            abort(answering: pending.request, peerAddress: pending.peerAddress, &context)
            return true
        case .stable, .unstable:
            break
        }
        punches.removeFirst()
        let firewall = puncher!.nat.firewall
        if firewall == .open || firewall == .consistent, let address = pending.payload.remoteAddress,
            puncher!.nat.addresses?.contains(address) == true
        {
            // The client opened its firewall for this very address: one packet may already be enough.
            puncher!.ping(pending.peerAddress, &context)
        }
        if puncher!.isRemotePunching {
            deadline = nil
            let isRandom = puncher!.remoteFirewall == .random || firewall == .random
            if isRandom, !puncher!.isPunching, !context.randomPunches.isAvailable(now: context.now) {
                if relay == nil {
                    abort(answering: pending.request, peerAddress: pending.peerAddress, error: .tryLater, &context)
                } else {
                    answer(pending, error: .tryLater, &context)
                }
                return true
            }
            guard puncher!.punch(&context) else {
                abort(answering: pending.request, peerAddress: pending.peerAddress, &context)
                return true
            }
        }
        // The peer decides by what it is told now.
        if firewall != .unknown { puncher!.freeze() }
        answer(pending, error: .none, &context)
        return true
    }

    private func answer(_ pending: PendingPunch, error: PeerErrorCode, _ context: inout HyperContext) {
        guard let puncher, let seal else { return }
        var answer = HolepunchPayload()
        answer.error = error
        answer.firewall = puncher.nat.firewall
        answer.round = round
        answer.isPunching = puncher.isPunching
        answer.addresses = puncher.nat.addresses
        answer.token = pending.isThroughRelay ? seal.token(for: pending.peerAddress) : nil
        answer.remoteToken = pending.payload.token
        send(answer, answering: pending.request, peerAddress: pending.peerAddress, socket: puncher.socket, &context)
    }

    private mutating func abort(
        answering request: IncomingRequest, peerAddress: SocketAddress, error: PeerErrorCode = .aborted,
        _ context: inout HyperContext
    ) {
        var answer = HolepunchPayload()
        answer.error = error
        answer.round = round
        send(answer, answering: request, peerAddress: peerAddress, socket: context.mainSocket, &context)
        fail(.holepunchAborted, &context)
    }

    private func send(
        _ payload: HolepunchPayload, answering request: IncomingRequest, peerAddress: SocketAddress,
        socket: SocketID, _ context: inout HyperContext
    ) {
        guard let seal else { return }
        let sealed = seal.seal(payload, nonce: context.random.bytes(SecretBox.nonceByteCount))
        context.actions.append(
            .answerHolepunch(request, payload: sealed, peerAddress: peerAddress, socket: socket))
    }
}
