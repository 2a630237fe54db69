import DWebBase
import DWebCrypto
import DWebDHTCore

let networkTargets: [FuzzTarget] = [
    FuzzTarget("dht-messages", seeds: { dhtSeeds }) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        switch kind % 16 {
        case 0: again(try? RPCRequest(datagram: bytes), { $0.encoded() }) { try RPCRequest(datagram: $0) }
        case 1: again(try? RPCResponse(datagram: bytes), { $0.encoded() }) { try RPCResponse(datagram: $0) }
        case 2: again(PeerRecord.self, bytes)
        case 3: again(LookupReply.self, bytes)
        case 4: again(MutableRecord.self, bytes)
        case 5: again(MutablePut.self, bytes)
        case 6: again(PluginRequest.self, bytes)
        case 7: again(HolepunchPayload.self, bytes)
        case 8: again(Announcement.self, bytes)
        case 9: again(BlindRelayPair.self, bytes)
        case 10: again(BlindRelayUnpair.self, bytes)
        case 11:
            // Of another version nothing but its number is read.
            if let payload = try? NoisePayload(decoding: bytes), payload.version == 1 {
                again(NoisePayload.self, bytes)
            }
        case 12: again(HandshakeMessage.self, bytes)
        case 13: again(HolepunchMessage.self, bytes)
        case 14: again(try? KnownNodesRecord(decoding: bytes), \.encoded) { try KnownNodesRecord(decoding: $0) }
        default:
            let seal = HolepunchSeal(secret: Bytes32(repeating: 1), localSecret: Bytes32(repeating: 2))
            check(seal.open(bytes) == nil, "a payload that nobody sealed")
        }
    },
    FuzzTarget("dht-node", seeds: { [nodeScript()] }) { input in
        var script = InputScript(input)
        var now = MonotonicTime(milliseconds: 1_000)
        let node = RPCNode(
            .bootstrapper(address: ownAddress), random: SecureRandom(seed: Bytes32(repeating: script.byte())), now: now)
        node.start(serverPort: ownAddress.port, now: now)
        while node.pollOutput() != nil {}
        for _ in 0..<256 where !script.isEmpty {
            now = now + .milliseconds(Int64(script.byte()) * 4)
            let source = SocketAddress(ipv4: 10, 9, 0, script.byte(), port: 5_000)
            node.handle(ByteReader(script.piece(limit: 1_500)), from: source, on: .server, now: now)
            if let deadline = node.nextDeadline, deadline <= now { node.wake(now: now) }
            while let output = node.pollOutput() {
                if case .send(let datagram) = output { check(datagram.bytes.count < 1_400, "a datagram too large") }
            }
        }
    },
    FuzzTarget("local-network", seeds: { localNetworkSeeds }) { input in
        var script = InputScript(input)
        var now = MonotonicTime.zero
        var discovery = LocalDiscovery(
            publicKey: samplePeers[0].publicKey, port: 400, hosts: [ownAddress],
            random: SecureRandom(seed: Bytes32(repeating: script.byte())))
        discovery.setTopics(announced: [Bytes32(repeating: 1)], wanted: [Bytes32(repeating: 2)], now: now)
        for _ in 0..<64 where !script.isEmpty {
            now = now + .milliseconds(Int64(script.byte()) * 8)
            let payload = script.piece(limit: 9_000)
            if let message = try? DNSMessage(decoding: payload) {
                check(message.questions.count <= DNSMessage.entryLimit, "more entries than the limit")
                _ = message.encoded
            }
            discovery.handle(payload, from: SocketAddress(ipv4: 10, 0, 0, 7, port: 5_353), now: now)
            discovery.wake(now: now)
            while discovery.pollOutput() != nil {}
        }
    },
]

private let ownAddress = SocketAddress(ipv4: 10, 0, 0, 1, port: 49_737)

private func again<Value: Equatable>(
    _ value: Value?, _ encode: (Value) -> [UInt8], _ decode: ([UInt8]) throws -> Value
) {
    guard let value else { return }
    check((try? decode(encode(value))) == value, "a message that does not come back: \(value)")
}

private func again<Message: HyperCodable>(_ type: Message.Type, _ bytes: [UInt8]) {
    again(try? Message(decoding: bytes), \.encoded) { try Message(decoding: $0) }
}

private let samplePeers = (1...3).map { number in
    PeerRecord(
        publicKey: KeyPair(seed: Bytes32(repeating: UInt8(number))).publicKey,
        relayAddresses: [SocketAddress(ipv4: 10, 0, 0, UInt8(number), port: 400)])
}

private let request = RPCRequest(
    transaction: 7, to: ownAddress, id: Bytes32(repeating: 3), token: Bytes32(repeating: 4),
    command: .internal(2), target: Bytes32(repeating: 5), value: [1, 2, 3])
private let response = RPCResponse(
    transaction: 7, to: ownAddress, id: Bytes32(repeating: 3), token: Bytes32(repeating: 4),
    closerNodes: (0..<3).map { SocketAddress(ipv4: 10, 9, 0, $0, port: 5_000) }, value: [9])

private let dhtSeeds: [[UInt8]] = [
    [0] + request.encoded(), [1] + response.encoded(), [2] + samplePeers[0].encoded,
    [3] + LookupReply(peers: samplePeers, bump: 8).encoded,
    [4] + MutableRecord(sequence: 5, value: [1, 2], signature: [UInt8](repeating: 6, count: 64)).encoded,
    [5]
        + MutablePut(
            publicKey: samplePeers[0].publicKey,
            record: MutableRecord(sequence: 5, value: [1, 2], signature: [UInt8](repeating: 6, count: 64))
        ).encoded,
    [6] + PluginRequest(name: "plugin", version: 1, command: 2, value: [3]).encoded, [7] + HolepunchPayload().encoded,
    [8]
        + Announcement(
            peer: samplePeers[1], refresh: Bytes32(repeating: 4), signature: [UInt8](repeating: 6, count: 64), bump: 9
        ).encoded,
    [9] + BlindRelayPair(isInitiator: true, token: Bytes32(repeating: 1), streamID: 77).encoded,
    [10] + BlindRelayUnpair(token: Bytes32(repeating: 1)).encoded, [11] + NoisePayload().encoded,
]

private func nodeScript() -> [UInt8] {
    var script: [UInt8] = [1]
    for number in 0..<4 {
        var request = request
        request.command = number == 0 ? .internal(0) : .internal(UInt64(number))
        script += [10, UInt8(number)] + InputScript.piece(request.encoded())
        script += [10, UInt8(number)] + InputScript.piece(response.encoded())
    }
    return script
}

/// What another such node asks and announces.
private let localNetworkSeeds: [[UInt8]] = {
    var now = MonotonicTime.zero
    var other = LocalDiscovery(
        publicKey: samplePeers[1].publicKey, port: 401, hosts: [SocketAddress(ipv4: 10, 0, 0, 2, port: 0)],
        random: SecureRandom(seed: Bytes32(repeating: 9)))
    other.setTopics(announced: [Bytes32(repeating: 2)], wanted: [Bytes32(repeating: 1)], now: now)
    var script: [UInt8] = [1]
    for _ in 0..<20 {
        now = now + .milliseconds(500)
        other.wake(now: now)
        while let output = other.pollOutput() {
            if case .send(let payload) = output { script += [60] + InputScript.piece(payload) }
        }
    }
    return [script]
}()
