import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// Statements of the checklist in spec 20 section 19 about a whole node of the peer DHT.
@Suite struct ConformanceHyperTests {
    private let own = SocketAddress(ipv4: 80, 1, 0, 0, port: 49737)
    private let now = MonotonicTime(milliseconds: 1000)
    private let serverKeys = KeyPair(seed: Bytes32(repeating: 2))
    private let clientKeys = KeyPair(seed: Bytes32(repeating: 1))

    /// A node that knows 20 others, which the test plays.
    private func knowingNode() -> HyperDHTNode {
        let configuration = HyperConfiguration(
            rpc: .bootstrapper(address: own), ciphers: HyperTestCipher.ciphers)
        let node = HyperDHTNode(configuration, random: SecureRandom(seed: Bytes32(repeating: 5)), now: now)
        node.start(serverPort: own.port, now: now)
        for peer in peers {
            let ping = RPCRequest(transaction: 1, to: own, id: NodeID.of(peer), command: .ping)
            node.handle(ByteReader(ping.encoded()), from: peer, on: .server, now: now)
        }
        _ = outputs(node)
        return node
    }

    private var peers: [SocketAddress] { (1...20).map { SocketAddress(ipv4: 81, 0, 0, $0, port: 1000) } }

    private func outputs(_ node: HyperDHTNode) -> [HyperOutput] {
        var outputs: [HyperOutput] = []
        while let output = node.pollOutput() { outputs.append(output) }
        return outputs
    }

    /// Answers every request with what `value` makes of its destination until none is left; returns the other outputs.
    private func play(_ node: HyperDHTNode, _ value: (SocketAddress) -> [UInt8]?) throws -> [HyperOutput] {
        var others: [HyperOutput] = []
        while true {
            let outputs = outputs(node)
            guard !outputs.isEmpty else { return others }
            for output in outputs {
                guard case .send(let datagram) = output else {
                    others.append(output)
                    continue
                }
                let request = try RPCRequest(datagram: datagram.bytes)
                let response = RPCResponse(
                    transaction: request.transaction, to: own, id: NodeID.of(datagram.destination),
                    token: Bytes32(repeating: 4), value: value(datagram.destination))
                node.handle(ByteReader(response.encoded()), from: datagram.destination, on: datagram.socket, now: now)
            }
        }
    }

    private func events(of id: OperationID, _ outputs: [HyperOutput]) -> [HyperOperationEvent] {
        outputs.compactMap { if case .operation(id, let event) = $0 { event } else { nil } }
    }

    /// Item 38, values under their hash.
    @Test func wrongImmutableValuesAreNotReported() throws {
        let value = Array("value".utf8)
        let hash = Blake2b.hash32(value)
        let node = knowingNode()
        let lied = node.immutableGet(hash, now: now)
        var asked = 0
        let lies = events(
            of: lied,
            try play(node) { _ in
                asked += 1; return value + [UInt8(asked)]
            })
        #expect(asked == 20)
        guard case .finished(let result)? = lies.first, lies.count == 1 else {
            Issue.record("a wrong value was reported: \(lies)")
            return
        }
        #expect(result.error == nil && result.answerCount == 20)
        let honest = peers[13]
        let mixed = node.immutableGet(hash, now: now)
        let found = events(of: mixed, try play(node) { $0 == honest ? value : value + [0] })
        guard case .immutable(let bytes, from: let source)? = found.first, found.count == 2 else {
            Issue.record("the right value was not reported once: \(found)")
            return
        }
        #expect(bytes == value && source == honest)
    }

    /// Item 38, signed values: forged, of another key, changed, or older than asked for.
    @Test func wrongMutableValuesAreNotReported() throws {
        let value = Array("value".utf8)
        let good = MutableRecord.signed(sequence: 7, value: value, keyPair: serverKeys)
        var forged = good
        forged.signature[3] ^= 1
        var changed = good
        changed.value[0] ^= 1
        var renumbered = good
        renumbered.sequence = 9
        let lies = [
            forged, changed, renumbered, .signed(sequence: 8, value: value, keyPair: clientKeys),
            .signed(sequence: 4, value: value, keyPair: serverKeys),
        ].map(\.encoded)
        let node = knowingNode()
        var asked = 0
        let first = node.mutableGet(serverKeys.publicKey, minimumSequence: 5, now: now)
        let none = events(
            of: first,
            try play(node) { _ in
                asked += 1; return lies[asked % lies.count]
            })
        #expect(asked == 20 && none.count == 1)
        guard case .finished? = none.last else {
            Issue.record("a wrong value was reported: \(none)")
            return
        }
        let honest = peers[4]
        let second = node.mutableGet(serverKeys.publicKey, minimumSequence: 5, now: now)
        let some = events(
            of: second,
            try play(node) { peer in
                asked += 1
                return peer == honest ? good.encoded : lies[asked % lies.count]
            })
        guard case .mutable(let record, from: _)? = some.first, some.count == 2 else {
            Issue.record("the right value was not reported once: \(some)")
            return
        }
        #expect(record == good)
    }

    /// Lets a client connect through one relay, answers its handshake with `payload` in `mode`, and returns how that
    /// ended; nil if the client goes on waiting.
    private func clientEnds(
        payload: (inout [UInt8]) -> Void = { _ in }, mode: RelayMode = .reply, from source: SocketAddress? = nil
    ) throws -> ConnectError? {
        let relay = peers[0]
        let configuration = HyperConfiguration(
            rpc: .bootstrapper(address: own), ciphers: HyperTestCipher.ciphers)
        let node = HyperDHTNode(configuration, random: SecureRandom(seed: Bytes32(repeating: 6)), now: now)
        node.start(serverPort: own.port, now: now)
        _ = outputs(node)
        var options = ConnectOptions(to: serverKeys.publicKey, as: clientKeys, streamID: 9)
        options.relayAddresses = [relay]
        let connection = node.connect(options, now: now)
        var failure: ConnectError?
        for output in outputs(node) {
            guard case .send(let datagram) = output, datagram.destination == relay else { continue }
            let request = try RPCRequest(datagram: datagram.bytes)
            guard request.command == .external(HyperCommand.peerHandshake.rawValue) else { continue }
            let asked = try HandshakeMessage(decoding: try #require(request.value))
            #expect(asked.mode == .fromClient)
            var responder = HyperTestCipher.ciphers.responder(serverKeys, KeyPair(seed: Bytes32(repeating: 4)))
            _ = try responder.readMessage1(asked.noise)
            var answer = NoisePayload()
            answer.firewall = .open
            answer.stream = NoisePayload.StreamInfo(id: 3)
            var bytes = answer.encoded
            payload(&bytes)
            let reply = HandshakeMessage(
                mode: mode, noise: try responder.makeMessage2(payload: bytes).message,
                peerAddress: SocketAddress(ipv4: 90, 0, 0, 1, port: 5))
            let response = RPCResponse(transaction: request.transaction, to: own, value: reply.encoded)
            node.handle(ByteReader(response.encoded()), from: source ?? relay, on: datagram.socket, now: now)
        }
        var isConnected = false
        for output in outputs(node) {
            switch output {
            case .connectionFailed(connection, let error): failure = error
            case .connect: isConnected = true
            default: break
            }
        }
        #expect(isConnected == (failure == nil && mode == .reply && source == nil))
        return failure
    }

    /// Items 43 and 44, the client's part.
    @Test func clientsReadAnswersStrictly() throws {
        #expect(try clientEnds() == nil)
        #expect(try clientEnds(payload: { $0[0] = 2 }) == .serverIncompatible)
        // Version, flags, then the error.
        #expect(try clientEnds(payload: { $0[2] = UInt8(PeerErrorCode.versionMismatch.rawValue) }) == .serverError)
        for mode: RelayMode in [.fromClient, .fromServer, .fromRelay, .fromSecondRelay] {
            #expect(try clientEnds(mode: mode) != .serverIncompatible, "not believed")
        }
        #expect(try clientEnds(from: peers[1]) == nil, "it goes on waiting for the node it asked")
    }

    /// Item 58: of two offered relays the server's is taken, and the server is the pair's initiator.
    @Test func theServersRelayWins() throws {
        let network = HyperTestNetwork.persistent(count: 14, seed: 41)
        let serverRelay = KeyPair(seed: Bytes32(repeating: 90)).publicKey
        let clientRelay = KeyPair(seed: Bytes32(repeating: 91)).publicKey
        let server = network.addPeer(1, .random)
        var options = ListenOptions()
        options.relayThrough = [serverRelay]
        let listening = network.perform(server) { $0.listen(as: serverKeys, options: options, now: $1) }
        let id = try #require(listening)
        network.run(for: .seconds(15), until: { server.announcements[id] != nil })
        let client = network.addPeer(2, .random)
        let connection = network.connect(client, to: serverKeys.publicKey, as: clientKeys) {
            $0.relayThrough = [clientRelay]
        }
        network.run(for: .seconds(40))
        #expect(client.paths[connection]?.isRelayed == true)
        #expect(network.pairRequests.count == 2)
        #expect(network.pairRequests.allSatisfy { $0.relay == serverRelay })
        #expect(Set(network.pairRequests.map(\.token)).count == 1)
        let far = try #require(server.handshakes.last.flatMap { server.paths[$0.connection] })
        #expect(network.pairRequests.first { $0.streamID == far.streamID }?.isInitiator == true)
        #expect(network.pairRequests.first { $0.streamID != far.streamID }?.isInitiator == false)
    }
}
