package import DWebBase
import HeapModule

/// An answer that waits for the delay its requester asked for.
struct DelayedReply {
    let request: RPCRequest
    let from: SocketAddress
    let socket: SocketID
}

extension RPCNode {
    // MARK: For the upper layer

    /// Answers a request of a peer. An answer that is much longer than its request may be left out; see ``SourceGate``.
    ///
    /// - Parameters:
    ///   - value: The command's result.
    ///   - error: Why it is refused.
    ///   - includesToken: Whether the requester gets a token for its next request.
    ///   - includesCloserNodes: Whether it gets the nodes closest to the target, if it gave one.
    ///   - destination: Where the answer goes if not to the requester; see spec 20 section 9.
    ///   - socket: The socket to answer from if not the one that the request arrived on.
    package func reply(
        to request: IncomingRequest, value: [UInt8]? = nil, error: RPCErrorCode = .ok, includesToken: Bool = true,
        includesCloserNodes: Bool = true, destination: SocketAddress? = nil, socket: SocketID? = nil
    ) {
        // A requester with a token has proven that it receives at its address.
        let requestByteCount = request.token == nil && destination == nil ? request.byteCount : nil
        sendReply(
            transaction: request.transaction, target: includesCloserNodes ? request.target : nil, value: value,
            error: error, includesToken: includesToken, requestByteCount: requestByteCount,
            to: destination ?? request.from.address, on: socket ?? request.socket)
    }

    /// Answers that the command is not known here.
    package func decline(_ request: IncomingRequest) {
        reply(to: request, error: .unknownCommand, includesToken: false)
    }

    /// Passes a request on: the same command, target and transaction with another value, and no token; sent once and
    /// not
    /// tracked. Spec 20 section 9.
    package func relay(
        _ request: IncomingRequest, value: [UInt8]?, to destination: SocketAddress, socket: SocketID? = nil
    ) {
        sendRequest(
            transaction: request.transaction, command: .external(request.command), target: request.target,
            value: value, to: destination, on: socket ?? request.socket)
    }

    /// Sends a request packet with a given transaction id once; an answer to it is not expected here.
    package func sendRequest(
        transaction: UInt16, command: RPCCommand, target: Bytes32? = nil, value: [UInt8]? = nil,
        to destination: SocketAddress, on socket: SocketID, timeToLive: UInt8 = 0
    ) {
        guard let destination = sendable(destination) else { return }
        let message = RPCRequest(
            transaction: transaction, to: destination, id: includedID(on: socket), command: command, target: target,
            value: value)
        outputs.append(
            .send(
                OutgoingDatagram(
                    socket: socket, destination: destination, bytes: message.encoded(), timeToLive: timeToLive)))
    }

    /// Sends a response packet with a given transaction id, without token and closer nodes.
    package func sendResponse(
        transaction: UInt16, value: [UInt8]? = nil, error: RPCErrorCode = .ok, to destination: SocketAddress,
        on socket: SocketID
    ) {
        sendReply(
            transaction: transaction, target: nil, value: value, error: error, includesToken: false,
            to: destination, on: socket)
    }

    /// Sends any datagram, such as the one byte of a hole punch.
    package func sendDatagram(
        _ bytes: [UInt8], to destination: SocketAddress, on socket: SocketID, timeToLive: UInt8 = 0
    ) {
        guard let destination = sendable(destination) else { return }
        outputs.append(
            .send(OutgoingDatagram(socket: socket, destination: destination, bytes: bytes, timeToLive: timeToLive)))
    }

    // MARK: Inside

    private func sendable(_ destination: SocketAddress) -> SocketAddress? {
        let destination = destination.unmapped
        return phase == .running && destination.family == .ipv4 && destination.port != 0 ? destination : nil
    }

    private func sendReply(
        transaction: UInt16, target: Bytes32?, value: [UInt8]? = nil, error: RPCErrorCode = .ok, includesToken: Bool,
        requestByteCount: Int? = nil, to destination: SocketAddress, on socket: SocketID
    ) {
        guard let destination = sendable(destination) else { return }
        let message = RPCResponse(
            transaction: transaction, to: destination, id: includedID(on: socket),
            token: includesToken ? tokens.token(for: destination) : nil,
            closerNodes: target.map { table.closestAddresses(to: $0) } ?? [], error: error, value: value)
        let bytes = message.encoded()
        if let requestByteCount,
            !gate.admitsAmplification(bytes.count - requestByteCount, to: destination, now: lastHandled)
        {
            statistics.refusedRequestCount += 1
            return
        }
        outputs.append(.send(OutgoingDatagram(socket: socket, destination: destination, bytes: bytes)))
    }

    func handleRequest(
        _ request: RPCRequest, byteCount: Int, from source: SocketAddress, on socket: SocketID, now: MonotonicTime
    ) {
        lastHandled = now
        if let token = request.token, !tokens.accepts(token, from: source) {
            statistics.refusedTokenCount += 1
            sendReply(
                transaction: request.transaction, target: request.target, error: .invalidToken, includesToken: true,
                requestByteCount: byteCount, to: source, on: socket)
            return
        }
        statistics.incomingRequestCount += 1
        let contact = verified(request.id, at: source)
        if contact.id != nil {
            learn(contact, seenAs: request.to, isExternal: socket != defaultSocket, now: now)
        }
        guard request.command.isInternal else {
            outputs.append(
                .request(
                    IncomingRequest(
                        socket: socket, from: contact, to: request.to, transaction: request.transaction,
                        command: request.command.number, target: request.target, token: request.token,
                        value: request.value, byteCount: byteCount)))
            return
        }
        handleInternal(request, byteCount: byteCount, from: source, on: socket, now: now)
    }

    private func handleInternal(
        _ request: RPCRequest, byteCount: Int, from source: SocketAddress, on socket: SocketID, now: MonotonicTime
    ) {
        var reader = ByteReader(request.value ?? [])
        switch request.command {
        case .ping:
            sendReply(
                transaction: request.transaction, target: nil, includesToken: false, to: source, on: socket)
        case .pingNAT:
            guard let port = try? reader.readUInt16(), port != 0 else { return }
            sendReply(
                transaction: request.transaction, target: nil, includesToken: false, to: source.with(port: port),
                on: socket)
        case .findNode:
            guard let target = request.target else { return }
            sendReply(
                transaction: request.transaction, target: target, includesToken: false,
                requestByteCount: request.token == nil ? byteCount : nil, to: source, on: socket)
        case .downHint:
            guard let address = try? reader.readIPv4Address() else { return }
            checkHinted(address, now: now)
            sendReply(
                transaction: request.transaction, target: nil, includesToken: false, to: source, on: socket)
        case .delayedPing:
            guard let delay = try? reader.readUInt32(), delay <= RPCConstants.delayedPingLimitMilliseconds else {
                return
            }
            delayReply(to: request, from: source, on: socket, milliseconds: delay, now: now)
        default:
            sendReply(
                transaction: request.transaction, target: request.target, error: .unknownCommand,
                includesToken: false, requestByteCount: request.token == nil ? byteCount : nil, to: source, on: socket)
        }
    }

    private func delayReply(
        to request: RPCRequest, from source: SocketAddress, on socket: SocketID, milliseconds: UInt32,
        now: MonotonicTime
    ) {
        guard delayedReplies.count < RPCLimits.delayedReplies else { return }
        let hostCount = delayedReplies.values.count { $0.from.hasSameHost(as: source) }
        guard hostCount < RPCLimits.delayedRepliesPerHost else { return }
        let sequence = makeSequence()
        delayedReplies[sequence] = DelayedReply(request: request, from: source, socket: socket)
        timers.insert(
            RPCTimer(
                deadline: now + .milliseconds(Int(milliseconds)), sequence: sequence, kind: .delayedReply(sequence)))
    }

    func sendDelayedReply(_ sequence: UInt64) {
        guard let delayed = delayedReplies.removeValue(forKey: sequence) else { return }
        sendReply(
            transaction: delayed.request.transaction, target: nil, includesToken: false, to: delayed.from,
            on: delayed.socket)
    }
}
