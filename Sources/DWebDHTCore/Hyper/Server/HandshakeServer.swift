package import DWebBase
import DWebCrypto

/// How a key pair listens; spec 20 section 11.2.
package struct ListenOptions: Sendable {
    /// Whether clients are told the host's own addresses, for connections within one network.
    package var isLocalAddressShared = true
    /// Whether the server takes part in hole punching.
    package var isHolepunchEnabled = true
    /// Whether the socket can serve later connections of the same peer.
    package var isSocketReusable = false
    /// Blind relays to offer, of which one is picked per client.
    package var relayThrough: [PublicKey] = []
    /// Whether they are offered only while this side's network uses another port for every destination.
    package var offersRelayOnlyIfRandomized = false

    /// The usual options.
    package init() {}
}

/// The server's side of making connections, for one listening key pair; spec 20 sections 11.2 and 12.3.
struct HandshakeServer: Sendable {
    let id: ServerID
    let keyPair: KeyPair
    let target: Bytes32
    let options: ListenOptions
    var announcer: Announcer
    private let makeResponder: @Sendable (KeyPair, KeyPair) -> any HandshakeResponder
    private var slots: [HandshakeSlot?] = []
    // The same Noise message arrives through several relays, and again when it is repeated.
    private var indices: [Bytes32: Int] = [:]
    private var connections: [ConnectionID: Int] = [:]
    private var rate = HandshakeRate()

    init(
        id: ServerID, keyPair: KeyPair, options: ListenOptions,
        makeResponder: @escaping @Sendable (KeyPair, KeyPair) -> any HandshakeResponder
    ) {
        self.id = id
        self.keyPair = keyPair
        self.options = options
        self.makeResponder = makeResponder
        target = Blake2b.hash32(keyPair.publicKey.bytes)
        announcer = Announcer(server: id, keyPair: keyPair, target: target)
    }

    /// The number of handshakes that hold a slot.
    var handshakeCount: Int { indices.count }

    /// The connections of all slots.
    var connectionIDs: [ConnectionID] { connections.keys.sorted() }

    var nextDeadline: MonotonicTime? {
        var deadline = announcer.nextDeadline
        for slot in slots {
            if let due = slot?.nextDeadline { deadline = min(deadline ?? due, due) }
        }
        return deadline
    }

    // MARK: Handshake

    /// Takes message 1 of a client. `connection` names it if it is a new one; returns whether it is.
    mutating func handshake(
        _ route: HandshakeRoute, connection: ConnectionID, _ context: inout HyperContext
    ) -> Bool {
        let noise = route.message.noise
        guard !noise.isEmpty, noise.count <= HyperLimits.noiseByteCount else { return false }
        let key = Blake2b.hash32(noise)
        if let index = indices[key] {
            repeated(route, index: index, &context)
            return false
        }
        let isDirect = route.message.mode == .fromClient
        let source = route.request.from.address
        guard let clientAddress = isDirect ? source : route.message.peerAddress, clientAddress.port != 0,
            hasRoom(for: clientAddress, from: source), rate.admits(source, isRelay: announcer.isRelay(source), context)
        else { return false }
        var responder = makeResponder(keyPair, context.random.keyPair())
        guard let (bytes, remotePublicKey) = try? responder.readMessage1(noise),
            let payload = try? NoisePayload(decoding: bytes)
        else { return false }
        let slot = HandshakeSlot(
            connection: connection, key: key, route: route, clientAddress: clientAddress, isDirect: isDirect,
            remotePublicKey: remotePublicKey, remotePayload: payload, responder: responder,
            deadline: context.now + HyperTimes.handshakeTimeout)
        let index = slots.firstIndex { $0 == nil } ?? slots.count
        if index == slots.count { slots.append(slot) } else { slots[index] = slot }
        indices[key] = index
        connections[connection] = index
        context.actions.append(
            .output(
                .handshake(
                    IncomingHandshake(
                        connection: connection, server: id, remotePublicKey: remotePublicKey,
                        address: clientAddress, isDirect: isDirect, payload: payload))))
        return true
    }

    private mutating func repeated(_ route: HandshakeRoute, index: Int, _ context: inout HyperContext) {
        switch slots[index]!.phase {
        case .deciding:
            if slots[index]!.waiting.count < HandshakeSlot.waitingLimit { slots[index]!.waiting.append(route) }
        case .answered, .connected, .failed:
            answer(route, index: index, &context)
        case .refused:
            break
        }
    }

    private func answer(_ route: HandshakeRoute, index: Int, _ context: inout HyperContext) {
        guard let slot = slots[index], let reply = slot.reply else { return }
        // A connected slot has given its punch socket away; its answer can only come from the arrival socket.
        let socket = slot.phase == .answered ? slot.replySocket : nil
        context.actions.append(.answerHandshake(route, noise: reply, socket: socket))
    }

    private func hasRoom(for client: SocketAddress, from source: SocketAddress) -> Bool {
        guard indices.count < HyperLimits.handshakeCount else { return false }
        let fromClient = slots.count { $0?.clientAddress.hasSameHost(as: client) == true }
        guard fromClient < limit(for: client) else { return false }
        // Whoever is none of our relays can make up clients' addresses, but not its own.
        if announcer.isRelay(source) { return true }
        let fromSource = slots.count { $0?.request.from.address.hasSameHost(as: source) == true }
        return fromSource < limit(for: source)
    }

    private func limit(for host: SocketAddress) -> Int {
        AddressClass(host) == .privateUse
            ? HyperLimits.handshakesPerPrivateHostCount : HyperLimits.handshakesPerHostCount
    }

    /// The driver welcomes the client and has a stream for it.
    mutating func accept(_ connection: ConnectionID, streamID: UInt32, _ context: inout HyperContext) {
        guard let index = connections[connection], slots[index]!.phase == .deciding else {
            // It gave up meanwhile.
            context.actions.append(.output(.connectionFailed(connection, .holepunchAborted)))
            return
        }
        let payload = slots[index]!.remotePayload
        var answer = NoisePayload()
        if payload.version != NoisePayload.currentVersion {
            answer.error = .versionMismatch
        } else if payload.stream == nil {
            answer.error = .aborted
        }
        let isGood = answer.error == .none
        answer.firewall = context.publicAddress == nil ? .unknown : .open
        if context.publicAddress == nil {
            answer.holepunch = NoisePayload.Holepunch(id: UInt64(index), relays: announcer.relays)
        }
        if let address = context.publicAddress { answer.addresses4.append(address) }
        if options.isLocalAddressShared { answer.addresses4 += context.localAddresses }
        answer.stream = NoisePayload.StreamInfo(
            id: isGood ? streamID : 0, isSocketReusable: options.isSocketReusable)
        answer.secretStreamVersion = 1
        let offersRelay = context.usesBlindRelays && (!options.offersRelayOnlyIfRandomized || context.hasRandomPorts)
        if isGood, offersRelay, let relay = options.relayThrough.randomElement(using: &context.random) {
            answer.relayThrough = NoisePayload.RelayThrough(publicKey: relay, token: context.random.bytes32())
        }
        if !announcer.relayAddresses.isEmpty { answer.relayAddresses = announcer.relayAddresses }
        slots[index]!.streamID = streamID
        slots[index]!.offersReuse = options.isSocketReusable
        slots[index]!.phase = .answered
        guard let (message, keys) = try? slots[index]!.responder.makeMessage2(payload: answer.encoded) else {
            slots[index]!.fail(.peerConnectionFailed, &context)
            return
        }
        slots[index]!.reply = message
        slots[index]!.keys = keys
        let waiting = slots[index]!.waiting
        slots[index]!.waiting = []
        if isGood {
            prepare(index, ownRelay: answer.relayThrough, &context)
        } else {
            slots[index]!.fail(.serverIncompatible, &context)
        }
        for route in waiting { self.answer(route, index: index, &context) }
    }

    /// Chooses how the connection is to come about, in the order of spec 20 section 11.2.
    private mutating func prepare(
        _ index: Int, ownRelay: NoisePayload.RelayThrough?, _ context: inout HyperContext
    ) {
        let slot = slots[index]!
        if slot.remotePayload.firewall == .open || slot.isDirect {
            let socket = slot.isDirect ? slot.request.socket : context.mainSocket
            // On a punch socket only a peer comes that was there before.
            let kind = socket >= .firstExtra ? HyperPathKind.holePunched(.passive) : .open
            slots[index]!.connect(on: socket, slot.clientAddress, kind, &context)
            return
        }
        slots[index]!.deadline = context.now + HyperTimes.handshakeTimeout
        // A client connects to an open server by itself.
        if context.usesBlindRelays, context.publicAddress == nil,
            let through = ownRelay ?? slot.remotePayload.relayThrough
        {
            slots[index]!.relay = BlindRelayAttempt(
                BlindRelayRequest(
                    connection: slot.connection, relay: through.publicKey, token: through.token,
                    isInitiator: ownRelay != nil, streamID: slot.streamID), &context)
        }
        if slot.clientAddress.hasSameHost(as: slot.request.to), options.isLocalAddressShared {
            let inner = slot.remotePayload.addresses4.filter { AddressClass($0) == .privateUse }
            if AddressClass.bestMatch(of: context.localAddresses, among: inner) != nil {
                // The answer shows the normal socket's address: that is where the client will try.
                makePuncher(index, &context)
                return
            }
        }
        guard context.publicAddress == nil, options.isHolepunchEnabled else { return }
        makePuncher(index, &context)
        slots[index]!.isReplyFromPuncher = true
    }

    private mutating func makePuncher(_ index: Int, _ context: inout HyperContext) {
        slots[index]!.seal = HolepunchSeal(
            secret: slots[index]!.keys!.holepunchSecret, localSecret: context.random.bytes32())
        slots[index]!.puncher = Puncher(
            isInitiator: false, remoteFirewall: slots[index]!.remotePayload.firewall, &context)
    }

    /// The driver does not want the client: it never gets an answer.
    mutating func refuse(_ connection: ConnectionID, _ context: inout HyperContext) {
        guard let index = connections[connection], slots[index]!.phase == .deciding else { return }
        slots[index]!.phase = .refused
        slots[index]!.waiting = []
        slots[index]!.clearLater(&context)
    }

    // MARK: Hole punching

    mutating func holepunch(
        _ request: IncomingRequest, _ message: HolepunchMessage, _ context: inout HyperContext
    ) {
        guard let index = Int(exactly: message.id), slots.indices.contains(index), slots[index] != nil else { return }
        let isThroughRelay = announcer.isRelay(request.from.address)
        slots[index]!.punched(request, message, isThroughRelay: isThroughRelay, &context)
    }

    mutating func sampled(_ socket: SocketID, reply: RPCReply?, _ context: inout HyperContext) {
        guard let index = slots.firstIndex(where: { $0?.puncher?.owns(socket) == true }) else { return }
        slots[index]!.puncher!.sampled(socket, reply: reply, &context)
        slots[index]!.advance(&context)
    }

    mutating func punched(on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext) {
        guard let index = slots.firstIndex(where: { $0?.puncher?.owns(socket) == true }) else { return }
        slots[index]!.puncher!.punched(on: socket, from: address, &context)
    }

    /// A packet for the client's stream came in before the stream was connected.
    mutating func traffic(
        _ connection: ConnectionID, on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext
    ) {
        guard let index = connections[connection], address.port != 0 else { return }
        slots[index]!.connect(on: socket, address, slots[index]!.arrivalKind(socket, address), &context)
    }

    /// The driver gave the client's stream up.
    mutating func cancel(_ connection: ConnectionID, _ context: inout HyperContext) {
        guard let index = connections[connection] else { return }
        slots[index]!.fail(.destroyed, isFinal: true, &context)
    }

    mutating func relayPaired(
        _ connection: ConnectionID, on socket: SocketID, _ address: SocketAddress, remoteStreamID: UInt32,
        _ context: inout HyperContext
    ) {
        guard let index = connections[connection] else { return }
        slots[index]!.relayPaired(on: socket, address, remoteStreamID: remoteStreamID, &context)
    }

    mutating func relayReached(_ connection: ConnectionID, on socket: SocketID, _ address: SocketAddress) {
        guard let index = connections[connection] else { return }
        slots[index]!.relay?.reached(on: socket, address)
    }

    mutating func relayFailed(_ connection: ConnectionID, _ context: inout HyperContext) {
        guard let index = connections[connection] else { return }
        slots[index]!.relayFailed(&context)
    }

    // MARK: Life

    mutating func wake(_ context: inout HyperContext) {
        announcer.wake(&context)
        for index in slots.indices where slots[index] != nil {
            slots[index]!.wake(&context)
            if let due = slots[index]!.clearDeadline, due <= context.now { clear(index) }
        }
        while let last = slots.last, last == nil { slots.removeLast() }
    }

    /// Gives up every handshake that is not connected yet.
    mutating func clearAll(_ error: ConnectError, _ context: inout HyperContext) {
        for index in slots.indices where slots[index] != nil {
            slots[index]!.fail(error, isFinal: true, &context)
            clear(index)
        }
        slots = []
    }

    private mutating func clear(_ index: Int) {
        guard let slot = slots[index] else { return }
        indices[slot.key] = nil
        connections[slot.connection] = nil
        slots[index] = nil
    }
}
