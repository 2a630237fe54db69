import DWebBase
import DWebCrypto

extension HyperDHTNode {
    /// Answers, forwards or drops what a peer asks.
    func handleRequest(_ request: IncomingRequest, now: MonotonicTime) {
        guard let command = HyperCommand(rawValue: request.command) else { return rpc.decline(request) }
        switch command {
        case .peerHandshake: return routeHandshake(request, now: now)
        case .peerHolepunch: return routeHolepunch(request, now: now)
        case .findPeer, .lookup, .announce, .unannounce, .mutablePut, .mutableGet, .immutablePut, .immutableGet,
            .plugin:
            break
        }
        guard let nodeID = rpc.id else { return rpc.decline(request) }
        let stored = StoreRequest(
            target: request.target, token: request.token, value: request.value, from: request.from.address,
            nodeID: nodeID)
        let reply: StoreReply
        switch command {
        case .peerHandshake, .peerHolepunch, .plugin: reply = .silent
        case .findPeer: reply = store.findPeer(stored, now: now)
        case .lookup: reply = store.lookup(stored, now: now)
        case .announce: reply = store.announce(stored, unixMilliseconds: unixMilliseconds(now), now: now)
        case .unannounce: reply = store.unannounce(stored)
        case .mutablePut: reply = store.mutablePut(stored, now: now)
        case .mutableGet: reply = store.mutableGet(stored, now: now)
        case .immutablePut: reply = store.immutablePut(stored, now: now)
        case .immutableGet: reply = store.immutableGet(stored, now: now)
        }
        switch reply {
        case .value(let value): rpc.reply(to: request, value: value)
        case .acknowledgement: rpc.reply(to: request, includesToken: false, includesCloserNodes: false)
        case .error(let code): rpc.reply(to: request, error: RPCErrorCode(rawValue: code), includesToken: false)
        case .silent: break
        }
    }

    private func unixMilliseconds(_ now: MonotonicTime) -> UInt64 {
        UInt64(max(0, configuration.unixMillisecondsAtOrigin &+ now.milliseconds))
    }

    // MARK: Handshakes

    private func routeHandshake(_ request: IncomingRequest, now: MonotonicTime) {
        guard let value = request.value, let target = request.target,
            let message = try? HandshakeMessage(decoding: value)
        else { return }
        if let server = serversByTarget[target] {
            switch message.mode {
            case .fromClient, .fromRelay, .fromSecondRelay: break
            case .fromServer, .reply: return
            }
            let connection = ConnectionID(sequence: makeSequence())
            withServer(server, now: now) {
                let route = HandshakeRoute(request: request, message: message)
                if $0.handshake(route, connection: connection, &$1) { incoming[connection] = server }
            }
            return
        }
        let source = request.from.address
        // What is too short to be a handshake would only be sent on larger than it came.
        let isEmpty =
            message.noise.isEmpty
            || message.mode == .fromClient && message.noise.count < HyperLimits.forwardedNoiseByteCount
        switch message.mode {
        case .fromClient:
            guard !isEmpty else { return }
            guard let next = message.relayAddress ?? store.forwardAddress(for: target, now: now) else {
                // The client finds its own way to a node that knows more.
                return rpc.reply(to: request, includesToken: false)
            }
            let forwarded = HandshakeMessage(mode: .fromRelay, noise: message.noise, peerAddress: source)
            forward(request, forwarded.encoded, to: next, now: now)
        case .fromRelay:
            guard !isEmpty, let next = store.forwardAddress(for: target, now: now) else { return }
            let forwarded = HandshakeMessage(
                mode: .fromSecondRelay, noise: message.noise, peerAddress: message.peerAddress, relayAddress: source)
            forward(request, forwarded.encoded, to: next, now: now)
        case .fromServer:
            guard !isEmpty, let client = message.peerAddress else { return }
            let reply = HandshakeMessage(mode: .reply, noise: message.noise, peerAddress: source)
            answer(request, reply.encoded, to: client, now: now)
        case .fromSecondRelay, .reply:
            return
        }
    }

    /// Sends a server's answer back on the way its request took.
    func answerHandshake(_ route: HandshakeRoute, noise: [UInt8], socket: SocketID?) {
        let request = route.request
        let back = HandshakeMessage(mode: .fromServer, noise: noise, peerAddress: route.message.peerAddress)
        switch route.message.mode {
        case .fromClient:
            let reply = HandshakeMessage(mode: .reply, noise: noise)
            rpc.reply(
                to: request, value: reply.encoded, includesToken: false, includesCloserNodes: false, socket: socket)
        case .fromRelay:
            rpc.relay(request, value: back.encoded, to: request.from.address, socket: socket)
        case .fromSecondRelay:
            guard let relay = route.message.relayAddress,
                AddressClass.mayForward(to: relay, for: request.from.address)
            else { return }
            rpc.relay(request, value: back.encoded, to: relay, socket: socket)
        case .fromServer, .reply:
            return
        }
    }

    // MARK: Hole punching

    private func routeHolepunch(_ request: IncomingRequest, now: MonotonicTime) {
        guard let value = request.value, let target = request.target,
            let message = try? HolepunchMessage(decoding: value)
        else { return }
        let source = request.from.address
        switch message.mode {
        case .fromClient:
            guard let next = message.peerAddress ?? store.forwardAddress(for: target, now: now) else { return }
            let forwarded = HolepunchMessage(
                mode: .fromRelay, id: message.id, payload: message.payload, peerAddress: source)
            forward(request, forwarded.encoded, to: next, now: now)
        case .fromRelay:
            guard let server = serversByTarget[target], message.peerAddress != nil else { return }
            withServer(server, now: now) { $0.holepunch(request, message, &$1) }
        case .fromServer:
            guard let client = message.peerAddress else { return }
            let reply = HolepunchMessage(
                mode: .reply, id: message.id, payload: message.payload, peerAddress: source)
            answer(request, reply.encoded, to: client, now: now)
        case .fromSecondRelay, .reply:
            return
        }
    }

    // MARK: Forwarding

    private func forward(_ request: IncomingRequest, _ value: [UInt8], to next: SocketAddress, now: MonotonicTime) {
        guard mayForward(request, to: next, now: now) else { return }
        rpc.relay(request, value: value, to: next)
    }

    private func answer(_ request: IncomingRequest, _ value: [UInt8], to client: SocketAddress, now: MonotonicTime) {
        guard mayForward(request, to: client, now: now) else { return }
        rpc.reply(
            to: request, value: value, includesToken: false, includesCloserNodes: false, destination: client)
    }

    private func mayForward(_ request: IncomingRequest, to next: SocketAddress, now: MonotonicTime) -> Bool {
        AddressClass.mayForward(to: next, for: request.from.address) && gate.admits(request.from.address, now: now)
    }
}
