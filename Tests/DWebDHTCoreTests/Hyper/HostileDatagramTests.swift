import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// Attacks on one node, with what they make it do measured; spec 20 section 16.
@Suite struct HostileDatagramTests {
    private static let own = SocketAddress(ipv4: 80, 1, 0, 0, port: 49737)

    /// A persistent node of the public network with a listening key pair.
    private final class Target {
        let node: HyperDHTNode
        let keyPair = KeyPair(seed: Bytes32(repeating: 9))
        let server: ServerID
        var now = MonotonicTime(milliseconds: 5_000)
        var received = 0
        var sent = 0
        /// Bytes sent to hosts other than the one that a request just came from.
        var sentElsewhere = 0
        var handshakes: [IncomingHandshake] = []

        init() throws {
            node = HyperDHTNode(
                HyperConfiguration(
                    rpc: .bootstrapper(address: HostileDatagramTests.own), ciphers: HyperTestCipher.ciphers),
                random: SecureRandom(seed: Bytes32(repeating: 3)), now: now)
            node.start(serverPort: 49737, now: now)
            server = try #require(node.listen(as: keyPair, now: now))
            _ = take(from: HostileDatagramTests.own)
            (sent, sentElsewhere) = (0, 0)
        }

        @discardableResult
        func take(from source: SocketAddress) -> [OutgoingDatagram] {
            var datagrams: [OutgoingDatagram] = []
            while let output = node.pollOutput() {
                switch output {
                case .send(let datagram):
                    sent += datagram.bytes.count
                    if !datagram.destination.hasSameHost(as: source) { sentElsewhere += datagram.bytes.count }
                    datagrams.append(datagram)
                case .handshake(let handshake): handshakes.append(handshake)
                default: break
                }
            }
            return datagrams
        }

        @discardableResult
        func receive(
            _ bytes: [UInt8], from source: SocketAddress, on socket: SocketID = .server
        ) -> [OutgoingDatagram] {
            received += bytes.count
            node.handle(ByteReader(bytes), from: source, on: socket, now: now)
            return take(from: source)
        }

        func advance(_ duration: Duration) {
            let end = now + duration
            while let due = node.nextDeadline, due <= end {
                now = max(now, due)
                node.wake(now: now)
                _ = take(from: HostileDatagramTests.own)
            }
            now = end
        }
    }

    private static func attacker(_ number: Int) -> SocketAddress {
        SocketAddress(ipv4: 91, UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255), port: 6881)
    }

    /// What the listening key pair of the attacked node is asked for under.
    private static let serverTarget = Blake2b.hash32(KeyPair(seed: Bytes32(repeating: 9)).publicKey.bytes)

    /// A message of the given command, damaged in some way.
    private static func message(_ command: RPCCommand, _ number: Int, _ random: inout SecureRandom) -> [UInt8] {
        var value: [UInt8]?
        switch Int.random(in: 0..<6, using: &random) {
        case 0: value = nil
        case 1: value = random.bytes(Int.random(in: 0...1200, using: &random))
        case 2:
            value =
                HandshakeMessage(
                    mode: RelayMode(rawValue: UInt64.random(in: 0...4, using: &random)) ?? .fromClient,
                    noise: random.bytes(Int.random(in: 0...300, using: &random)),
                    peerAddress: Bool.random(using: &random) ? attacker(number ^ 7) : nil,
                    relayAddress: Bool.random(using: &random) ? attacker(number ^ 5) : nil
                ).encoded
        case 3:
            value =
                HolepunchMessage(
                    mode: RelayMode(rawValue: UInt64.random(in: 0...4, using: &random)) ?? .fromClient,
                    id: UInt64.random(in: 0...2, using: &random), payload: random.bytes(60),
                    peerAddress: Bool.random(using: &random) ? attacker(number ^ 3) : nil
                ).encoded
        case 4:
            value =
                Announcement.signed(
                    .announce, target: random.bytes32(), nodeID: random.bytes32(), token: random.bytes32(),
                    relayAddresses: [attacker(1)], keyPair: KeyPair(seed: Bytes32(repeating: 1))
                ).encoded
        default: value = [0xff] + random.bytes(8)
        }
        var bytes = RPCRequest(
            transaction: UInt16.random(in: 0...(.max), using: &random), to: own,
            id: Bool.random(using: &random) ? random.bytes32() : nil,
            token: Int.random(in: 0..<3, using: &random) == 0 ? random.bytes32() : nil, command: command,
            target: [nil, serverTarget, random.bytes32(), random.bytes32()].randomElement(using: &random)!, value: value
        ).encoded()
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
        case 1: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.insert(0xff, at: Int.random(in: 0...bytes.count, using: &random))
        case 3: bytes += random.bytes(Int.random(in: 0...400, using: &random))
        default: break
        }
        return bytes
    }

    static let commands: [RPCCommand] =
        (UInt64(0)...5).map { .internal($0) } + (UInt64(0)...11).map { .external($0) }

    @Test(arguments: commands)
    func tenThousandOfEachCommandNeitherGrowNorAmplify(command: RPCCommand) throws {
        let target = try Target()
        var random = SecureRandom(seed: Bytes32(repeating: UInt8(truncatingIfNeeded: command.number &+ 1)))
        for number in 0..<10_000 {
            target.receive(Self.message(command, number, &random), from: Self.attacker(number % 500))
            // Ten seconds in all, as fast as a thousand packets per second.
            if number % 10 == 9 { target.advance(.milliseconds(10)) }
        }
        // The node knows nobody: what it answers is shorter than what it was asked, and third parties get no more than
        // what was sent for them, with the 32 bytes of the node's id on each.
        #expect(target.sent <= target.received * 5 / 4, "\(target.sent) bytes for \(target.received)")
        #expect(target.sentElsewhere <= target.received * 5 / 4)
        #expect(target.node.rpc.nodeCount == 0)
        #expect(target.node.rpc.requestCount <= 30)
        #expect(target.node.rpc.delayedReplies.count <= RPCLimits.delayedReplies)
        #expect(target.node.store.recordCount + target.node.store.forwardCount == 0)
        #expect(target.node.store.mutableCount + target.node.store.immutableCount == 0)
        #expect(target.handshakes.isEmpty)
        target.advance(.seconds(60))
        #expect(target.node.rpc.requestCount <= 30)
        #expect(target.node.rpc.delayedReplies.isEmpty)
    }

    @Test func tenThousandResponsesOutOfTheBlueDoNothing() throws {
        let target = try Target()
        var random = SecureRandom(seed: Bytes32(repeating: 77))
        for number in 0..<10_000 {
            let source = Self.attacker(number % 500)
            let bytes = RPCResponse(
                transaction: UInt16(truncatingIfNeeded: number), to: Self.own, id: NodeID.of(source),
                token: random.bytes32(), closerNodes: (0..<20).map(Self.attacker), value: random.bytes(300)
            ).encoded()
            target.receive(bytes, from: source)
        }
        #expect(target.sent == 0)
        #expect(target.node.rpc.nodeCount == 0)
        #expect(target.node.rpc.statistics.responseCount == 0)
    }

    @Test func answersFromElsewhereAreNotTaken() throws {
        let target = try Target()
        let asked = Self.attacker(1)
        target.node.rpc.ping(asked, now: target.now)
        target.node.settle(now: target.now)
        let datagram = try #require(target.take(from: Self.own).first { $0.destination == asked })
        let request = try RPCRequest(datagram: datagram.bytes)
        for forged in [Self.attacker(2), asked.with(port: 1)] {
            target.receive(
                RPCResponse(transaction: request.transaction, to: Self.own, id: NodeID.of(forged)).encoded(),
                from: forged)
        }
        #expect(target.node.rpc.nodeCount == 0)
        #expect(target.node.rpc.statistics.unexpectedResponseCount == 2)
        #expect(target.node.rpc.requestCount >= 1)
        target.receive(RPCResponse(transaction: request.transaction, to: Self.own).encoded(), from: asked)
        #expect(target.node.rpc.statistics.responseCount == 1)
    }

    @Test func oneHostDoesNotGetAllDelayedAnswers() throws {
        let target = try Target()
        func delayedPing(_ number: Int, from source: SocketAddress) {
            let value: [UInt8] = [0x10, 0x27, 0, 0]
            target.receive(
                RPCRequest(
                    transaction: UInt16(number), to: Self.own, command: .delayedPing, value: value
                ).encoded(), from: source)
        }
        for number in 0..<500 { delayedPing(number, from: Self.attacker(1).with(port: UInt16(1_000 + number))) }
        #expect(target.node.rpc.delayedReplies.count == RPCLimits.delayedRepliesPerHost)
        for number in 0..<2_000 { delayedPing(number, from: Self.attacker(number)) }
        #expect(target.node.rpc.delayedReplies.count == RPCLimits.delayedReplies)
        let before = target.sent
        target.advance(.seconds(11))
        #expect(target.node.rpc.delayedReplies.isEmpty)
        #expect(target.sent - before <= target.received)
    }

    @Test func aForgedSenderGetsABoundedFlood() throws {
        let target = try Target()
        // A table full of nodes, and a topic full of peers: the longest answers there are.
        for number in 0..<200 {
            let peer = SocketAddress(ipv4: 60, 0, UInt8(number >> 8), UInt8(number & 255), port: 49737)
            target.receive(
                RPCRequest(transaction: 1, to: Self.own, id: NodeID.of(peer), command: .ping).encoded(), from: peer)
        }
        #expect(target.node.rpc.nodeCount > 40)
        let topic = Bytes32(repeating: 5)
        for number in UInt8(1)...40 {
            let source = SocketAddress(ipv4: 61, 0, 0, number, port: 1)
            let token = target.node.rpc.token(for: source)
            let announcement = Announcement.signed(
                .announce, target: topic, nodeID: try #require(target.node.rpc.id), token: token,
                relayAddresses: (0..<3).map(Self.attacker), keyPair: KeyPair(seed: Bytes32(repeating: number)))
            target.receive(
                RPCRequest(
                    transaction: 1, to: Self.own, token: token, command: .external(HyperCommand.announce.rawValue),
                    target: topic, value: announcement.encoded
                ).encoded(), from: source)
        }
        #expect(target.node.store.recordCount == 40)
        let victim = SocketAddress(ipv4: 62, 0, 0, 1, port: 80)
        let lookup = RPCRequest(
            transaction: 1, to: Self.own, command: .external(HyperCommand.lookup.rawValue), target: topic
        ).encoded()
        (target.sent, target.received) = (0, 0)
        for _ in 0..<10_000 { target.receive(lookup, from: victim) }
        // All within one second: the victim gets the budget of one second and not the 13 MB that were asked for.
        #expect(target.sent > 10_000)
        #expect(target.sent <= RPCLimits.amplifiedBytesPerHost + target.received)
        #expect(target.node.rpc.statistics.refusedRequestCount >= 9_000)
        // Others are served meanwhile, and so is the victim a second later.
        let (sent, other) = (target.sent, SocketAddress(ipv4: 62, 0, 0, 2, port: 80))
        target.receive(lookup, from: other)
        #expect(target.sent > sent)
        target.advance(.seconds(2))
        let later = target.sent
        target.receive(lookup, from: victim)
        #expect(target.sent > later)
    }

    @Test func nobodyIsMadeToRelayMoreThanHisShare() throws {
        let target = try Target()
        let noise = [UInt8](repeating: 1, count: 120)
        func relayed(_ destination: SocketAddress, from source: SocketAddress, noise: [UInt8]) -> Int {
            let message = HandshakeMessage(mode: .fromClient, noise: noise, relayAddress: destination)
            return target.receive(
                RPCRequest(
                    transaction: 1, to: Self.own, command: .external(HyperCommand.peerHandshake.rawValue),
                    target: Bytes32(repeating: 1), value: message.encoded
                ).encoded(), from: source
            ).count { $0.destination == destination }
        }
        var count = 0
        for _ in 0..<900 { count += relayed(Self.attacker(9), from: Self.attacker(1), noise: noise) }
        #expect(count == HyperLimits.relaysPerHostCount)
        // Into our own network nothing goes from outside, nor to a port that does not exist, nor what is no handshake.
        let inner = SocketAddress(ipv4: 192, 168, 1, 1, port: 80)
        #expect(relayed(inner, from: Self.attacker(2), noise: noise) == 0)
        #expect(relayed(Self.attacker(9).with(port: 0), from: Self.attacker(2), noise: noise) == 0)
        #expect(relayed(Self.attacker(9), from: Self.attacker(2), noise: [1, 2, 3]) == 0)
        #expect(relayed(Self.attacker(9), from: Self.attacker(2), noise: noise) == 1)
    }

    /// The first message of a client's handshake, another one for every number.
    private func firstMessage(_ number: Int, to target: Target) throws -> [UInt8] {
        var initiator = HyperTestCipher.ciphers.initiator(
            KeyPair(seed: Bytes32(repeating: 1)),
            KeyPair(seed: Bytes32((0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * ($0 % 4))) })!),
            target.keyPair.publicKey)
        var payload = NoisePayload()
        payload.stream = NoisePayload.StreamInfo(id: 5, isSocketReusable: false)
        return try initiator.makeMessage1(payload: payload.encoded)
    }

    @Test func madeUpClientsDoNotFillTheServer() throws {
        let target = try Target()
        let serverTarget = Blake2b.hash32(target.keyPair.publicKey.bytes)
        func shake(_ number: Int, from source: SocketAddress) {
            guard let noise = try? firstMessage(number, to: target) else { return }
            // As a relay would pass it on, for a client at an address of the attacker's choice.
            let message = HandshakeMessage(mode: .fromRelay, noise: noise, peerAddress: Self.attacker(number))
            target.receive(
                RPCRequest(
                    transaction: 1, to: Self.own, command: .external(HyperCommand.peerHandshake.rawValue),
                    target: serverTarget, value: message.encoded
                ).encoded(), from: source)
        }
        for number in 0..<3_000 {
            shake(number, from: Self.attacker(1_000_000))
            if number % 100 == 99 { target.advance(.milliseconds(100)) }
        }
        // Three seconds: no more than the rate allows, and no more at a time than one host may have.
        #expect(target.handshakes.count <= HyperLimits.handshakesPerHostCount)
        #expect(target.handshakes.count >= HyperLimits.handshakeRatePerHost)
        let before = target.handshakes.count
        shake(5_000, from: Self.attacker(2_000_000))
        #expect(target.handshakes.count == before + 1, "others are served meanwhile")
        // From everywhere at once: the total is capped, and all of it is gone after a while.
        for number in 0..<3_000 { shake(10_000 + number, from: Self.attacker(3_000_000 + number)) }
        let server = try #require(target.node.servers[target.server])
        #expect(server.handshakeCount <= HyperLimits.handshakeCount)
        for handshake in target.handshakes { target.node.refuse(handshake.connection, now: target.now) }
        target.advance(.seconds(30))
        #expect(target.node.servers[target.server]?.handshakeCount == 0)
    }

    /// Sixty clients of one private host per second, for six seconds, each with a slot for twenty.
    @Test(arguments: [SocketAddress(ipv4: 127, 0, 0, 1, port: 1), SocketAddress(ipv4: 91, 0, 0, 1, port: 1)])
    func aLaboratoryOnOneHostIsServed(host: SocketAddress) throws {
        let target = try Target()
        for number in 0..<360 {
            let message = HandshakeMessage(mode: .fromClient, noise: try firstMessage(number, to: target))
            target.receive(
                RPCRequest(
                    transaction: 1, to: Self.own, command: .external(HyperCommand.peerHandshake.rawValue),
                    target: Blake2b.hash32(target.keyPair.publicKey.bytes), value: message.encoded
                ).encoded(), from: host.with(port: UInt16(1_000 + number)))
            if number % 60 == 59 { target.advance(.seconds(1)) }
        }
        // A host of the public internet gets no more than its share.
        let isPrivate = AddressClass(host) == .privateUse
        #expect(target.handshakes.count == (isPrivate ? 360 : HyperLimits.handshakesPerHostCount))
    }

    @Test func storesHoldTheirByteLimits() throws {
        var cache = GenerationCache<Int, [UInt8]>(limit: 1_000, byteLimit: 10_000, maximumAge: .seconds(60))
        let now = MonotonicTime(milliseconds: 1_000)
        for key in 0..<5_000 {
            cache.set([UInt8](repeating: 0, count: 900), for: key, byteCount: 1_000, now: now)
            #expect(cache.count <= 20)
        }
        // The newest are there, and moving an old one over counts again.
        #expect(cache.value(4_999, now: now) != nil)
        for key in 4_980..<5_000 { _ = cache.value(key, now: now) }
        #expect(cache.count <= 20)
    }
}
