import DWebBase
import DWebCrypto

/// The client's rounds of hole punching; spec 20 section 12.2.
///
/// First a probe through the relay the server chose, in which both sides learn what the other's network is like; then
/// the round in which both say that they punch, through the relay the client chose, with proof of address.
struct ClientPunch: Sendable {
    /// What became of it.
    enum Outcome: Sendable, Equatable {
        case connected(SocketID, SocketAddress)
        case failed(ConnectError)
    }

    private enum Phase: Sendable {
        /// A probe is out; `isRetry` if it is the second one.
        case probing(isRetry: Bool)
        /// The peer does not know its network yet: it gets a moment.
        case waitingForPeer(until: MonotonicTime, isRetry: Bool)
        /// Our own network is being analysed.
        case analyzing(isReopening: Bool, isRetry: Bool)
        /// The round that starts the punching is out.
        case announcing
        /// The peer is told that we have to wait for our turn.
        case postponing
        /// Another random punch runs, here or there.
        case waitingForTurn(until: MonotonicTime)
        case punching
        case ended
    }

    private let target: Bytes32
    private let slot: UInt64
    private let seal: HolepunchSeal
    private let clientRelay: SocketAddress
    private let serverRelay: RelayPath
    private let isFastOpenEnabled: Bool
    /// Whether there is time: the stream may run through a blind relay meanwhile.
    private let hasBlindRelay: Bool
    private var serverAddress: SocketAddress
    private var puncher: Puncher
    private var phase = Phase.ended
    private var round: UInt64 = 0
    private var peerToken: Bytes32?
    private var peerAddress: SocketAddress?
    private var outcome: Outcome?
    // Who was asked last, and which of the server's addresses our token was made for.
    private var askedRelay: SocketAddress
    private var provenAddress: SocketAddress?
    /// Whether we had to wait: the peer is then asked through its own relay, and its address is proven already.
    private var isDelayed = false
    /// Whether a random punch is kept free for us while the peer is asked; others must not start meanwhile.
    private var holdsRandomPunch = false

    init(
        answer: Connector.Answer, options: ConnectOptions, relays: [RelayPath], hasBlindRelay: Bool,
        _ context: inout HyperContext
    ) {
        precondition(!relays.isEmpty, "a hole is punched with the help of the server's relays")
        target = Blake2b.hash32(options.remotePublicKey.bytes)
        slot = answer.payload.holepunch?.id ?? 0
        seal = HolepunchSeal(secret: answer.keys.holepunchSecret, localSecret: context.random.bytes32())
        clientRelay = answer.relayAddress
        serverRelay = relays.first { $0.relayAddress == answer.relayAddress } ?? relays[0]
        isFastOpenEnabled = options.isFastOpenEnabled
        self.hasBlindRelay = hasBlindRelay
        askedRelay = answer.relayAddress
        serverAddress = answer.serverAddress
        puncher = Puncher(isInitiator: true, remoteFirewall: answer.payload.firewall, &context)
        probe(isRetry: false, &context)
    }

    var nextDeadline: MonotonicTime? {
        var deadline = puncher.nextDeadline
        switch phase {
        case .waitingForPeer(let until, _), .waitingForTurn(let until): deadline = min(deadline ?? until, until)
        case .probing, .analyzing, .announcing, .postponing, .punching, .ended: break
        }
        return deadline
    }

    /// How this side punched so far.
    var strategy: PunchStrategy { puncher.strategy }

    mutating func takeOutcome() -> Outcome? {
        defer { outcome = nil }
        return outcome
    }

    // MARK: Inputs

    mutating func wake(_ context: inout HyperContext) {
        puncher.wake(&context)
        if case .waitingForPeer(let until, let isRetry) = phase, until <= context.now {
            phase = .analyzing(isReopening: false, isRetry: isRetry)
        }
        if case .waitingForTurn(let until) = phase, until <= context.now { announce(&context) }
        advance(&context)
    }

    mutating func sampled(_ socket: SocketID, reply: RPCReply?, _ context: inout HyperContext) {
        puncher.sampled(socket, reply: reply, &context)
        advance(&context)
    }

    mutating func punched(on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext) {
        puncher.punched(on: socket, from: address, &context)
        advance(&context)
    }

    mutating func destroy(keeping socket: SocketID?, _ context: inout HyperContext) {
        phase = .ended
        giveBackRandomPunch(&context)
        puncher.destroy(keeping: socket, &context)
    }

    /// The answer to the hole-punch message of round `round`, or none.
    mutating func replied(_ reply: RPCReply?, round: UInt64, _ context: inout HyperContext) {
        guard round &+ 1 == self.round else { return }
        switch phase {
        case .probing, .announcing, .postponing: break
        case .waitingForPeer, .analyzing, .waitingForTurn, .punching, .ended: return
        }
        giveBackRandomPunch(&context)
        guard let reply else { return fail(.holepunchAborted, &context) }
        guard reply.from.address == askedRelay, let value = reply.value,
            let message = try? HolepunchMessage(decoding: value), message.mode == .reply
        else { return fail(.badHolepunchReply, &context) }
        guard let payload = seal.open(message.payload) else { return fail(.holepunchInvalid, &context) }
        if payload.error == .tryLater, hasBlindRelay, case .announcing = phase {
            isDelayed = true
            return waitForTurn(&context)
        }
        guard payload.error == .none else { return fail(.remoteAborted, &context) }
        // Our token was made for the address that the message went to, so its echo proves that address.
        let isEchoed = provenAddress.map { payload.remoteToken == seal.token(for: $0) } ?? false
        puncher.updateRemote(
            isPunching: payload.isPunching, firewall: payload.firewall, addresses: payload.addresses,
            verified: isEchoed ? provenAddress : nil)
        switch phase {
        case .probing(let isRetry): probed(payload, message: message, reply: reply, isRetry: isRetry, &context)
        case .announcing: announced(&context)
        case .postponing: waitForTurn(&context)
        case .waitingForPeer, .analyzing, .waitingForTurn, .punching, .ended: break
        }
    }

    // MARK: Probe

    private mutating func probe(isRetry: Bool, _ context: inout HyperContext) {
        if isFastOpenEnabled { puncher.openSession(serverAddress, &context) }
        var payload = HolepunchPayload()
        payload.firewall = puncher.nat.firewall
        payload.addresses = puncher.nat.addresses
        payload.remoteAddress = isFastOpenEnabled ? serverAddress : nil
        phase = .probing(isRetry: isRetry)
        send(&payload, to: serverRelay.relayAddress, peerAddress: serverRelay.peerAddress, &context)
    }

    private mutating func probed(
        _ payload: HolepunchPayload, message: HolepunchMessage, reply: RPCReply, isRetry: Bool,
        _ context: inout HyperContext
    ) {
        puncher.addSample(reply.to, from: reply.from.address, context)
        peerToken = payload.token
        peerAddress = message.peerAddress ?? reply.from.address
        if puncher.remoteFirewall == .unknown {
            phase = .waitingForPeer(until: context.now + HyperTimes.unknownFirewallWait, isRetry: isRetry)
        } else {
            phase = .analyzing(isReopening: false, isRetry: isRetry)
        }
        advance(&context)
    }

    /// Goes on once the analysis of our network has a result.
    private mutating func advance(_ context: inout HyperContext) {
        switch puncher.takeOutcome() {
        case .connected(let socket, let address):
            phase = .ended
            outcome = .connected(socket, address)
            return
        case .exhausted:
            return fail(.holepunchAborted, &context)
        case nil: break
        }
        guard case .analyzing(let isReopening, let isRetry) = phase else { return }
        switch puncher.verdict(allowsReopening: isReopening, &context) {
        case .pending:
            return
        case .unstable where !isReopening:
            phase = .analyzing(isReopening: true, isRetry: isRetry)
            return advance(&context)
        case .stable where isReopening:
            return probe(isRetry: true, &context)
        case .stable, .unstable:
            break
        }
        if puncher.remoteFirewall == .unknown || peerToken == nil, !isRetry { return probe(isRetry: true, &context) }
        if puncher.remoteFirewall == .unknown || puncher.nat.firewall == .unknown {
            return fail(.holepunchProbeTimeout, &context)
        }
        if puncher.remoteFirewall == .random, puncher.nat.firewall == .random {
            return fail(.doubleRandomizedNATs, &context)
        }
        announce(&context)
    }

    // MARK: Punch

    private mutating func announce(_ context: inout HyperContext) {
        if serverRelay.relayAddress == clientRelay, let peerAddress, peerAddress != serverAddress {
            // The server moved to another socket; the relay is the same, so the address is right for us too.
            serverAddress = peerAddress
            puncher.openSession(serverAddress, &context)
        }
        puncher.freeze()
        let isRandom = puncher.remoteFirewall == .random || puncher.nat.firewall == .random
        let mustWait = isRandom && !context.randomPunches.isAvailable(now: context.now)
        if mustWait, !hasBlindRelay { return fail(.holepunchAborted, &context) }
        if mustWait, isDelayed { return waitForTurn(&context) }
        var payload = HolepunchPayload()
        payload.firewall = puncher.nat.firewall
        payload.isPunching = !mustWait
        payload.addresses = puncher.nat.addresses
        payload.token = isDelayed ? nil : seal.token(for: serverAddress)
        payload.remoteToken = peerToken
        phase = mustWait ? .postponing : .announcing
        let path = isDelayed ? serverRelay : RelayPath(relayAddress: clientRelay, peerAddress: serverAddress)
        send(&payload, to: path.relayAddress, peerAddress: path.peerAddress, &context)
        if mustWait {
            isDelayed = true
        } else if isRandom {
            holdsRandomPunch = true
            context.randomPunches.begin()
        }
    }

    private mutating func giveBackRandomPunch(_ context: inout HyperContext) {
        guard holdsRandomPunch else { return }
        holdsRandomPunch = false
        context.randomPunches.giveBack()
    }

    private mutating func waitForTurn(_ context: inout HyperContext) {
        let pause = Duration.milliseconds(Int.random(in: 10_000...20_000, using: &context.random))
        phase = .waitingForTurn(until: context.now + pause)
    }

    private mutating func announced(_ context: inout HyperContext) {
        guard puncher.isRemotePunching else { return fail(.remoteNotHolepunching, &context, tellsPeer: false) }
        phase = .punching
        guard puncher.punch(&context) else { return fail(.remoteNotHolepunchable, &context, tellsPeer: false) }
        advance(&context)
    }

    private mutating func fail(_ error: ConnectError, _ context: inout HyperContext, tellsPeer: Bool = true) {
        guard outcome == nil else { return }
        if case .ended = phase { return }
        if tellsPeer, error == .holepunchProbeTimeout || error == .doubleRandomizedNATs {
            var payload = HolepunchPayload()
            payload.error = .aborted
            send(
                &payload, to: serverRelay.relayAddress, peerAddress: serverRelay.peerAddress, &context,
                tag: .farewell)
        }
        phase = .ended
        outcome = .failed(error)
    }

    private mutating func send(
        _ payload: inout HolepunchPayload, to relay: SocketAddress, peerAddress: SocketAddress,
        _ context: inout HyperContext, tag: HyperTag? = nil
    ) {
        payload.round = round
        askedRelay = relay
        provenAddress = payload.token == nil ? nil : peerAddress
        let sealed = seal.seal(payload, nonce: context.random.bytes(SecretBox.nonceByteCount))
        let message = HolepunchMessage(mode: .fromClient, id: slot, payload: sealed, peerAddress: peerAddress)
        context.actions.append(
            .call(
                tag ?? .holepunch(round),
                .external(
                    .peerHolepunch, to: relay, target: target, value: message.encoded, socket: puncher.socket)))
        round += 1
    }
}
