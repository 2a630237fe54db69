import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// One node, fed with single datagrams.
private final class Bench {
    static let address = SocketAddress(ipv4: 80, 1, 0, 0, port: 49737)
    let node: HyperDHTNode
    var now = MonotonicTime(milliseconds: 5000)
    var outputs: [HyperOutput] = []
    private var transaction: UInt16 = 100

    init(isPersistent: Bool = true) {
        var rpc = RPCConfiguration.bootstrapper(address: Bench.address)
        if !isPersistent {
            rpc = RPCConfiguration()
            rpc.mode = .ephemeral
        }
        node = HyperDHTNode(
            HyperConfiguration(rpc: rpc, ciphers: HyperTestCipher.ciphers),
            random: SecureRandom(seed: Bytes32(repeating: 3)), now: now)
        node.setLocalAddresses([SocketAddress(ipv4: 192, 168, 7, 7, port: 0)])
        node.start(serverPort: 49737, now: now)
        _ = take()
    }

    /// What the node wants since the last call.
    func take() -> [HyperOutput] {
        var taken = outputs
        outputs = []
        while let output = node.pollOutput() { taken.append(output) }
        return taken
    }

    func advance(_ duration: Duration) {
        let end = now + duration
        while let due = node.nextDeadline, due <= end {
            now = max(now, due)
            node.wake(now: now)
            while let output = node.pollOutput() { outputs.append(output) }
        }
        now = end
    }

    /// Sends a request and returns its transaction and the datagrams it causes.
    @discardableResult
    func send(
        _ command: HyperCommand, target: Bytes32?, value: [UInt8]?, from: SocketAddress, token: Bytes32? = nil,
        on socket: SocketID = .server
    ) -> (transaction: UInt16, sent: [OutgoingDatagram], other: [HyperOutput]) {
        transaction &+= 1
        let request = RPCRequest(
            transaction: transaction, to: Bench.address, token: token, command: .external(command.rawValue),
            target: target, value: value)
        node.handle(ByteReader(request.encoded()), from: from, on: socket, now: now)
        var sent: [OutgoingDatagram] = []
        var other: [HyperOutput] = []
        for output in take() {
            if case .send(let datagram) = output { sent.append(datagram) } else { other.append(output) }
        }
        return (transaction, sent, other)
    }

    func announceSelf(_ keyPair: KeyPair, from: SocketAddress) throws -> Bytes32 {
        let target = Blake2b.hash32(keyPair.publicKey.bytes)
        let token = node.rpc.token(for: from)
        let value = Announcement.signed(
            .announce, target: target, nodeID: try #require(node.rpc.id), token: token, relayAddresses: [],
            keyPair: keyPair)
        let sent = send(.announce, target: target, value: value.encoded, from: from, token: token).sent
        let reply = try RPCResponse(datagram: try #require(sent.first).bytes)
        #expect(reply.error == .ok && reply.token == nil && reply.closerNodes.isEmpty)
        return target
    }
}

@Suite struct HyperRouterTests {
    private let server = SocketAddress(ipv4: 90, 0, 0, 1, port: 1111)
    private let client = SocketAddress(ipv4: 91, 0, 0, 1, port: 2222)
    private let relay = SocketAddress(ipv4: 92, 0, 0, 1, port: 3333)
    private let keyPair = KeyPair(seed: Bytes32(repeating: 2))
    private let noise = [UInt8](repeating: 7, count: 100)

    private func handshake(
        _ mode: RelayMode, noise: [UInt8]? = nil, peer: SocketAddress? = nil, relay: SocketAddress? = nil
    ) -> [UInt8] {
        HandshakeMessage(mode: mode, noise: noise ?? self.noise, peerAddress: peer, relayAddress: relay).encoded
    }

    private func holepunch(_ mode: RelayMode, id: UInt64 = 3, peer: SocketAddress? = nil) -> [UInt8] {
        HolepunchMessage(mode: mode, id: id, payload: [9], peerAddress: peer).encoded
    }

    // MARK: Handshakes at a relay

    @Test func unknownTargetsAreAnsweredWithoutValue() throws {
        for isPersistent in [true, false] {
            let bench = Bench(isPersistent: isPersistent)
            let result = bench.send(.peerHandshake, target: .zero, value: handshake(.fromClient), from: client)
            let datagram = try #require(result.sent.first)
            let reply = try RPCResponse(datagram: datagram.bytes)
            #expect(datagram.destination == client)
            #expect(reply.transaction == result.transaction)
            #expect(reply.value == nil && reply.token == nil && reply.error == .ok)
        }
    }

    @Test func handshakesAreForwardedToTheAnnouncedAddress() throws {
        let bench = Bench()
        let target = try bench.announceSelf(keyPair, from: server)
        let first = bench.send(.peerHandshake, target: target, value: handshake(.fromClient), from: client)
        #expect(first.sent.map(\.destination) == [server])
        let request = try RPCRequest(datagram: first.sent[0].bytes)
        #expect(request.transaction == first.transaction && request.target == target && request.token == nil)
        #expect(request.to == server && request.id == bench.node.rpc.id)
        #expect(
            try HandshakeMessage(decoding: request.value!)
                == HandshakeMessage(mode: .fromRelay, noise: noise, peerAddress: client))

        let second = bench.send(
            .peerHandshake, target: target, value: handshake(.fromRelay, peer: client), from: relay)
        #expect(second.sent.map(\.destination) == [server])
        #expect(
            try HandshakeMessage(decoding: RPCRequest(datagram: second.sent[0].bytes).value!)
                == HandshakeMessage(mode: .fromSecondRelay, noise: noise, peerAddress: client, relayAddress: relay))

        let back = bench.send(
            .peerHandshake, target: target, value: handshake(.fromServer, peer: client), from: server)
        #expect(back.sent.map(\.destination) == [client])
        let reply = try RPCResponse(datagram: back.sent[0].bytes)
        #expect(reply.transaction == back.transaction && reply.to == client && reply.token == nil)
        #expect(
            try HandshakeMessage(decoding: reply.value!)
                == HandshakeMessage(mode: .reply, noise: noise, peerAddress: server))

        let named = bench.send(
            .peerHandshake, target: .zero, value: handshake(.fromClient, relay: relay), from: client)
        #expect(named.sent.map(\.destination) == [relay])
    }

    @Test func incompleteHandshakesAreDropped() throws {
        let bench = Bench()
        let target = try bench.announceSelf(keyPair, from: server)
        let values: [[UInt8]?] = [
            nil, [], [0xff], handshake(.fromClient, noise: []), handshake(.fromRelay, noise: [], peer: client),
            handshake(.fromServer), handshake(.fromServer, noise: [], peer: client),
            handshake(.fromSecondRelay, peer: client, relay: relay), handshake(.reply, peer: client), [0, 9, 0],
        ]
        for value in values {
            #expect(bench.send(.peerHandshake, target: target, value: value, from: client).sent.isEmpty)
        }
        #expect(bench.send(.peerHandshake, target: nil, value: handshake(.fromClient), from: client).sent.isEmpty)
        #expect(
            bench.send(.peerHandshake, target: .zero, value: handshake(.fromRelay, peer: client), from: relay).sent
                .isEmpty)
    }

    @Test func theNodeIsNoOpenReflector() throws {
        let bench = Bench()
        let target = try bench.announceSelf(keyPair, from: server)
        let forbidden = [
            SocketAddress(ipv4: 192, 168, 0, 1, port: 53), SocketAddress(ipv4: 127, 0, 0, 1, port: 53),
            SocketAddress(ipv4: 224, 0, 0, 1, port: 53), client.with(port: 0),
        ]
        for address in forbidden {
            let values: [(HyperCommand, [UInt8])] = [
                (.peerHandshake, handshake(.fromClient, relay: address)),
                (.peerHandshake, handshake(.fromServer, peer: address)),
                (.peerHolepunch, holepunch(.fromClient, peer: address)),
                (.peerHolepunch, holepunch(.fromServer, peer: address)),
            ]
            for (command, value) in values {
                #expect(bench.send(command, target: target, value: value, from: client).sent.isEmpty, "\(address)")
            }
        }
        // One host gets its share per second, and no more.
        var count = 0
        for _ in 0..<(HyperLimits.relaysPerHostCount * 2) {
            count +=
                bench.send(
                    .peerHolepunch, target: target, value: holepunch(.fromClient, peer: server), from: client
                ).sent.count
        }
        #expect(count == HyperLimits.relaysPerHostCount)
        bench.advance(.seconds(1))
        let later = bench.send(
            .peerHolepunch, target: target, value: holepunch(.fromClient, peer: server), from: client)
        #expect(later.sent.count == 1)
    }

    // MARK: Hole punching at a relay

    @Test func holepunchesAreForwarded() throws {
        let bench = Bench()
        let target = try bench.announceSelf(keyPair, from: server)
        for peer in [server.with(port: 4444), nil] {
            let there = bench.send(
                .peerHolepunch, target: target, value: holepunch(.fromClient, peer: peer), from: client)
            #expect(there.sent.map(\.destination) == [peer ?? server])
            #expect(
                try HolepunchMessage(decoding: RPCRequest(datagram: there.sent[0].bytes).value!)
                    == HolepunchMessage(mode: .fromRelay, id: 3, payload: [9], peerAddress: client))
        }
        let back = bench.send(.peerHolepunch, target: target, value: holepunch(.fromServer, peer: client), from: server)
        #expect(back.sent.map(\.destination) == [client])
        #expect(
            try HolepunchMessage(decoding: RPCResponse(datagram: back.sent[0].bytes).value!)
                == HolepunchMessage(mode: .reply, id: 3, payload: [9], peerAddress: server))
        for value in [
            holepunch(.fromServer), holepunch(.fromRelay, peer: client), holepunch(.fromSecondRelay, peer: client),
            holepunch(.reply, peer: client), [],
        ] {
            #expect(bench.send(.peerHolepunch, target: target, value: value, from: client).sent.isEmpty)
        }
    }

    // MARK: Stores

    @Test func ephemeralNodesStoreNothing() throws {
        let bench = Bench(isPersistent: false)
        for command in HyperCommand.allCases where command.rawValue >= HyperCommand.findPeer.rawValue {
            let result = bench.send(command, target: .zero, value: [0], from: client)
            let reply = try RPCResponse(datagram: try #require(result.sent.first).bytes)
            #expect(reply.error == .unknownCommand)
        }
    }

    @Test func repliesCarryTokensWhereTheyShould() throws {
        let bench = Bench()
        for command in [HyperCommand.findPeer, .lookup, .mutableGet, .immutableGet] {
            let result = bench.send(command, target: .zero, value: [0], from: client)
            let reply = try RPCResponse(datagram: try #require(result.sent.first).bytes)
            #expect(reply.token == bench.node.rpc.token(for: client))
            #expect(reply.error == .ok && reply.value == nil)
        }
        #expect(bench.send(.plugin, target: .zero, value: [0], from: client).sent.isEmpty)
        // A bad token never reaches the store.
        let value = Array("value".utf8)
        let target = Blake2b.hash32(value)
        let bad = bench.send(.immutablePut, target: target, value: value, from: client, token: .zero)
        let reply = try RPCResponse(datagram: try #require(bad.sent.first).bytes)
        #expect(reply.error == .invalidToken)
        #expect(bench.node.store.immutableCount == 0)
    }

    // MARK: Servers

    private func message1(
        seed: UInt8 = 1, version: UInt64 = 1, firewall: Firewall = .unknown, hasStream: Bool = true,
        addresses: [SocketAddress] = []
    ) throws -> [UInt8] {
        var payload = NoisePayload()
        payload.firewall = firewall
        payload.addresses4 = addresses
        if hasStream { payload.stream = NoisePayload.StreamInfo(id: 5) }
        payload.secretStreamVersion = 1
        var bytes = payload.encoded
        bytes[0] = UInt8(version)
        var initiator = HyperTestCipher.ciphers.initiator(
            KeyPair(seed: Bytes32(repeating: seed)), KeyPair(seed: Bytes32(repeating: seed &+ 100)), keyPair.publicKey)
        return try initiator.makeMessage1(payload: bytes)
    }

    private func handshakes(_ outputs: [HyperOutput]) -> [IncomingHandshake] {
        outputs.compactMap { if case .handshake(let handshake) = $0 { handshake } else { nil } }
    }

    private func listeningBench() throws -> (Bench, Bytes32) {
        let bench = Bench(isPersistent: false)
        #expect(bench.node.listen(as: keyPair, now: bench.now) != nil)
        _ = bench.take()
        return (bench, Blake2b.hash32(keyPair.publicKey.bytes))
    }

    @Test func oneMessageOverTwoRelaysIsOneConnection() throws {
        let (bench, target) = try listeningBench()
        let noise = try message1()
        let other = relay.with(port: 9999)
        let first = bench.send(
            .peerHandshake, target: target, value: handshake(.fromRelay, noise: noise, peer: client), from: relay)
        let asked = handshakes(first.other)
        #expect(asked.count == 1)
        let second = bench.send(
            .peerHandshake, target: target,
            value: handshake(.fromSecondRelay, noise: noise, peer: client, relay: server), from: other)
        #expect(handshakes(second.other).isEmpty)
        bench.node.accept(asked[0].connection, streamID: 77, now: bench.now)
        let outputs = bench.take()
        let socket = try #require(outputs.compactMap { if case .bindSocket(let id) = $0 { id } else { nil } }.first)
        // The answers show the punch socket's address, so they wait for it.
        #expect(!outputs.contains { if case .send = $0 { true } else { false } })
        bench.node.socketBound(socket, now: bench.now)
        let answers: [OutgoingDatagram] = bench.take().compactMap {
            if case .send(let datagram) = $0 { datagram } else { nil }
        }
        #expect(answers.map(\.destination) == [relay, server])
        #expect(answers.allSatisfy { $0.socket == socket })
        #expect(try RPCRequest(datagram: answers[0].bytes).transaction == first.transaction)
        #expect(try RPCRequest(datagram: answers[1].bytes).transaction == second.transaction)
        for answer in answers {
            let message = try HandshakeMessage(decoding: RPCRequest(datagram: answer.bytes).value!)
            #expect(message.mode == .fromServer && message.peerAddress == client && !message.noise.isEmpty)
        }
        // The same again gets the same answer, without another question.
        let again = bench.send(
            .peerHandshake, target: target, value: handshake(.fromRelay, noise: noise, peer: client), from: relay)
        #expect(again.sent.count == 1 && handshakes(again.other).isEmpty)
        // Nobody comes: the driver gets its stream id back.
        bench.advance(.seconds(11))
        let failures = bench.take().compactMap { if case .connectionFailed(let id, _) = $0 { id } else { nil } }
        #expect(failures == [asked[0].connection])
        bench.advance(.seconds(11))
        #expect(bench.node.servers.values.first?.handshakeCount == 0)
    }

    @Test func directAndOpenClientsAreConnectedAtOnce() throws {
        let (bench, target) = try listeningBench()
        let direct = bench.send(
            .peerHandshake, target: target, value: handshake(.fromClient, noise: try message1()), from: client,
            on: .client)
        bench.node.accept(try #require(handshakes(direct.other).first).connection, streamID: 7, now: bench.now)
        var outputs = bench.take()
        guard case .connect(let path) = outputs.first else {
            Issue.record("no path in \(outputs)")
            return
        }
        #expect(path.address == client && path.socket == .client && path.streamID == 7 && path.remoteStreamID == 5)
        guard case .send(let answer) = outputs.last else {
            Issue.record("no answer in \(outputs)")
            return
        }
        #expect(answer.destination == client)
        let reply = try HandshakeMessage(decoding: RPCResponse(datagram: answer.bytes).value!)
        #expect(reply.mode == .reply && reply.peerAddress == nil)

        let open = bench.send(
            .peerHandshake, target: target,
            value: handshake(.fromRelay, noise: try message1(seed: 9, firewall: .open), peer: client), from: relay)
        bench.node.accept(try #require(handshakes(open.other).first).connection, streamID: 8, now: bench.now)
        outputs = bench.take()
        guard case .connect(let second) = outputs.first else {
            Issue.record("no path in \(outputs)")
            return
        }
        #expect(second.address == client && second.socket == .client)
    }

    @Test func unusableClientsHearTheReason() throws {
        for (version, hasStream, error) in [
            (2, true, PeerErrorCode.versionMismatch), (1, false, .aborted),
        ] as [(UInt64, Bool, PeerErrorCode)] {
            let (bench, target) = try listeningBench()
            let noise = try message1(version: version, hasStream: hasStream)
            let asked = bench.send(
                .peerHandshake, target: target, value: handshake(.fromClient, noise: noise), from: client)
            let connection = try #require(handshakes(asked.other).first).connection
            bench.node.accept(connection, streamID: 7, now: bench.now)
            let outputs = bench.take()
            #expect(outputs.first == .connectionFailed(connection, .serverIncompatible))
            guard case .send(let answer) = outputs.last else {
                Issue.record("no answer in \(outputs)")
                return
            }
            let reply = try HandshakeMessage(decoding: RPCResponse(datagram: answer.bytes).value!)
            let payload = try NoisePayload(decoding: Array(reply.noise[64...]))
            #expect(payload.error == error && payload.stream?.id == 0)
        }
    }

    @Test func forgedMessagesAreDroppedSilently() throws {
        let (bench, target) = try listeningBench()
        let noise = try message1()
        for index in noise.indices {
            var forged = noise
            forged[index] ^= 1
            let result = bench.send(
                .peerHandshake, target: target, value: handshake(.fromClient, noise: forged), from: client)
            #expect(result.sent.isEmpty && result.other.isEmpty)
        }
        let huge = [UInt8](repeating: 1, count: HyperLimits.noiseByteCount + 1)
        #expect(
            bench.send(.peerHandshake, target: target, value: handshake(.fromClient, noise: huge), from: client).sent
                .isEmpty)
        #expect(bench.node.servers.values.first?.handshakeCount == 0)
    }

    @Test func handshakesInProgressAreLimited() throws {
        let (bench, target) = try listeningBench()
        var initiators = 0
        func flood(from address: SocketAddress) throws -> Int {
            initiators += 1
            var initiator = HyperTestCipher.ciphers.initiator(
                KeyPair(seed: .zero), KeyPair(seed: Blake2b.hash32([UInt8(initiators >> 8), UInt8(initiators & 255)])),
                keyPair.publicKey)
            let noise = try initiator.makeMessage1(payload: NoisePayload().encoded)
            let value = handshake(.fromRelay, noise: noise, peer: address)
            // Through many relays: one that is not the server's own has a limit of its own.
            let relay = SocketAddress(ipv4: 92, 0, 1, UInt8(initiators / 40), port: 3333)
            return handshakes(bench.send(.peerHandshake, target: target, value: value, from: relay).other).count
        }
        var count = 0
        for _ in 0..<(HyperLimits.handshakesPerHostCount + 10) { count += try flood(from: client) }
        #expect(count == HyperLimits.handshakesPerHostCount)
        for number in 0..<HyperLimits.handshakeCount {
            count += try flood(from: SocketAddress(ipv4: 93, 0, UInt8(number >> 8), UInt8(number & 255), port: 1))
        }
        #expect(count == HyperLimits.handshakeCount)
        // A driver that never answers does not block the server for ever.
        bench.advance(.seconds(25))
        #expect(bench.node.servers.values.first?.handshakeCount == 0)
        #expect(try flood(from: client) == 1)
    }

    // MARK: Anything

    @Test func anyBytesAreSurvived() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 11))
        let (bench, target) = try listeningBench()
        let transcript = try HyperFuzz.datagrams()
        _ = bench.node.connect(
            ConnectOptions(to: PublicKey(target), as: keyPair, streamID: 4), now: bench.now)
        for round in 0..<4000 {
            var bytes = transcript[Int.random(in: 0..<transcript.count, using: &random)]
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { bytes = Array(bytes.prefix(Int.random(in: 0...200, using: &random))) }
            let from = SocketAddress(ipv4: 91, 0, 0, UInt8(round & 7), port: UInt16.random(in: 0...9, using: &random))
            let socket = SocketID(rawValue: UInt32.random(in: 0...4, using: &random))
            bench.node.handle(ByteReader(bytes), from: from, on: socket, now: bench.now)
            for output in bench.take() {
                if case .handshake(let handshake) = output {
                    bench.node.accept(handshake.connection, streamID: 3, now: bench.now)
                }
            }
            bench.advance(.milliseconds(5))
        }
        #expect(bench.send(.peerHandshake, target: .zero, value: handshake(.fromClient), from: relay).sent.count == 1)
    }
}

private enum HyperFuzz {
    /// Well-formed requests and responses of every command.
    static func datagrams() throws -> [[UInt8]] {
        let target = Blake2b.hash32(KeyPair(seed: Bytes32(repeating: 2)).publicKey.bytes)
        var list: [[UInt8]] = []
        let address = SocketAddress(ipv4: 8, 8, 8, 8, port: 99)
        for mode: RelayMode in [.fromClient, .fromServer, .fromRelay, .fromSecondRelay, .reply] {
            let handshake = HandshakeMessage(
                mode: mode, noise: [UInt8](repeating: 7, count: 120), peerAddress: address, relayAddress: address)
            let holepunch = HolepunchMessage(
                mode: mode, id: 0, payload: [UInt8](repeating: 7, count: 80), peerAddress: address)
            for (command, value) in [(UInt64(0), handshake.encoded), (1, holepunch.encoded)] {
                list.append(
                    RPCRequest(
                        transaction: 9, to: address, command: .external(command), target: target, value: value
                    ).encoded())
                list.append(RPCResponse(transaction: 9, to: address, value: value).encoded())
            }
        }
        for command in UInt64(2)...11 {
            list.append(
                RPCRequest(
                    transaction: 9, to: address, token: .zero, command: .external(command), target: target,
                    value: [UInt8](repeating: 1, count: 150)
                ).encoded())
        }
        list.append([0])
        return list
    }
}
