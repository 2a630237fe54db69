import DWebBase
import DWebCrypto
import DWebWireCore
import Testing

@Suite struct SecretStreamTests {
    @Test func bothSidesTalk() throws {
        var pair = Pair()
        try pair.connect()
        try pair.initiator.send([1, 2, 3], now: .zero)
        try pair.initiator.send([], now: .zero)
        try pair.responder.send(Array("hello".utf8), now: .zero)
        #expect(try pair.deliver(to: .responder) == [[1, 2, 3], []])
        #expect(try pair.deliver(to: .initiator) == [Array("hello".utf8)])
        #expect(pair.initiator.handshake?.remotePublicKey == Pair.responderKeys.publicKey)
    }

    // The timeline of spec 30 section A.2.
    @Test func theSpecifiedTimelineReproduces() throws {
        func stream(isInitiator: Bool) -> SecretStream {
            SecretStream(
                isInitiator: isInitiator, keyPair: isInitiator ? Pair.initiatorKeys : Pair.responderKeys,
                entropy: .init(
                    ephemeralSeed: Bytes32(repeating: isInitiator ? 3 : 4),
                    header: [UInt8](repeating: 0x55, count: 24), firstDatagramCounter: 0x5555_5555_5555_5555),
                now: .zero)
        }
        let initiator = stream(isInitiator: true)
        let responder = stream(isInitiator: false)
        responder.receive(initiator.takeOutput(), now: .zero)
        initiator.receive(responder.takeOutput(), now: .zero)
        let header = "380000a1d1ba79814a026a75d3d0d86df2d767c48c1a62a59d9e5d47876ab9b0867673"
        try initiator.send(Array("hello".utf8), now: .zero)
        let output = Hex.encode(initiator.takeOutput())
        #expect(output.hasPrefix("400000585b6e8320c9dfc6764d48e242b912333244a85ae8769c90ee632f1d3bf6945d"))
        #expect(
            output.hasSuffix(
                header + String(repeating: "55", count: 24) + "1600004a0d4ecda256f97e5b01d71d3184d7e11d7f67f6939e"))
        let envelope = try #require(try initiator.sealDatagram(Array("hello".utf8)))
        #expect(Hex.encode(envelope) == "5655555555555555e049e0c3a626babd83792277c0de9bed9fef50ef72")
    }

    @Test func whatIsSentEarlyWaitsForTheHandshake() throws {
        let pair = Pair()
        try pair.initiator.send([1], now: .zero)
        try pair.responder.send([2], now: .zero)
        #expect(!pair.initiator.isOpen)
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        pair.initiator.receive(pair.responder.takeOutput(), now: .zero)
        // The third handshake message, the header and the data leave together.
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        #expect(try pair.responder.drainMessages() == [[1]])
        pair.initiator.receive(pair.responder.takeOutput(), now: .zero)
        #expect(try pair.initiator.drainMessages() == [[2]])
    }

    @Test func manyMessagesOfOneChunkShareOneBuffer() throws {
        var pair = Pair()
        try pair.connect()
        for value in 0..<100 {
            try pair.initiator.send([UInt8](repeating: UInt8(value), count: value), now: .zero)
        }
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        guard case .messages(let batch) = pair.responder.pollEvent() else {
            Issue.record("no messages arrived")
            return
        }
        #expect(batch.count == 100)
        #expect(batch[99].bytes == [UInt8](repeating: 99, count: 99))
        #expect(pair.responder.pollEvent() == nil)
        #expect(pair.responder.missingByteCount == 0)
    }

    @Test func theLargestMessageFitsAndOneByteMoreDoesNot() throws {
        var pair = Pair()
        try pair.connect()
        let limit = SecretStream.Limits.messageByteCount
        #expect(limit == 16_777_198)
        let message = [UInt8](repeating: 5, count: limit + 1)
        #expect(throws: SecretStreamError.messageTooLong) { try pair.initiator.send(message, now: .zero) }
        #expect(!pair.initiator.hasOutput)
        try pair.initiator.send(message, range: 1..<message.count, now: .zero)
        #expect(try pair.deliver(to: .responder).map(\.count) == [limit])
    }

    @Test func keepAliveComesAfterSilenceOnly() throws {
        let interval = Duration.seconds(5)
        var pair = Pair(options: .init(keepAliveInterval: interval))
        try pair.connect()
        #expect(pair.initiator.nextDeadline == MonotonicTime(milliseconds: 5000))
        try pair.initiator.send([1], now: MonotonicTime(milliseconds: 3000))
        #expect(pair.initiator.nextDeadline == MonotonicTime(milliseconds: 8000))
        _ = try pair.deliver(to: .responder)
        pair.initiator.wake(now: MonotonicTime(milliseconds: 7999))
        #expect(!pair.initiator.hasOutput)
        pair.initiator.wake(now: MonotonicTime(milliseconds: 8000))
        #expect(pair.initiator.outputByteCount == 20)
        #expect(pair.initiator.nextDeadline == MonotonicTime(milliseconds: 13000))
        #expect(try pair.deliver(to: .responder) == [])
    }

    @Test func emptyMessagesAreHandedOutWithoutKeepAlive() throws {
        var pair = Pair()
        try pair.connect()
        pair.initiator.sendKeepAlive(now: .zero)
        #expect(try pair.deliver(to: .responder) == [[]])
        pair.responder.setKeepAlive(.seconds(1), now: .zero)
        pair.initiator.sendKeepAlive(now: .zero)
        #expect(try pair.deliver(to: .responder) == [])
    }

    @Test func silenceBeyondTheTimeoutFails() throws {
        var pair = Pair(options: .init(timeout: .seconds(2)))
        try pair.connect()
        pair.responder.receive([1], now: MonotonicTime(milliseconds: 1500))
        #expect(pair.responder.nextDeadline == MonotonicTime(milliseconds: 3500))
        pair.responder.wake(now: MonotonicTime(milliseconds: 3499))
        #expect(!pair.responder.isClosed)
        pair.responder.wake(now: MonotonicTime(milliseconds: 3500))
        #expect(throws: SecretStreamError.timedOut) { try pair.responder.drainMessages() }
        #expect(pair.responder.nextDeadline == nil)
        #expect(throws: SecretStreamError.closed) { try pair.responder.send([1], now: .zero) }
    }

    @Test func anUnexpectedPeerIsRefused() throws {
        let pair = Pair(options: .init(expectedRemoteKey: KeyPair(seed: Bytes32(repeating: 9)).publicKey))
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        pair.initiator.receive(pair.responder.takeOutput(), now: .zero)
        #expect(throws: SecretStreamError.unexpectedRemoteKey) { try pair.initiator.drainMessages() }
    }

    @Test func everyFlippedBitOfAFrameFails() throws {
        for position in stride(from: 3 * 8, to: 25 * 8, by: 7) {
            var pair = Pair()
            try pair.connect()
            try pair.initiator.send([1, 2, 3, 4, 5], now: .zero)
            var frame = pair.initiator.takeOutput()
            frame[position / 8] ^= 1 << UInt8(position % 8)
            pair.responder.receive(frame, now: .zero)
            #expect(throws: SecretStreamError.authenticationFailed) { try pair.responder.drainMessages() }
        }
    }

    @Test func messagesBeforeAForgedOneAreDelivered() throws {
        var pair = Pair()
        try pair.connect()
        try pair.initiator.send([1], now: .zero)
        let forged = [UInt8]([17, 0, 0]) + [UInt8](repeating: 0, count: 17)
        pair.responder.receive(pair.initiator.takeOutput() + forged, now: .zero)
        guard case .messages(let batch) = pair.responder.pollEvent() else {
            Issue.record("no message arrived")
            return
        }
        #expect(batch.messages == [[1]])
        #expect(throws: SecretStreamError.authenticationFailed) { try pair.responder.drainMessages() }
    }

    @Test func frameSizesAreCheckedBeforeTheirBytesArrive() throws {
        let early = Pair()
        early.responder.receive([1, 4, 0], now: .zero)
        #expect(throws: SecretStreamError.handshakeFrameTooLong) { try early.responder.drainMessages() }
        let header = Pair()
        header.responder.receive(header.initiator.takeOutput(), now: .zero)
        header.initiator.receive(header.responder.takeOutput(), now: .zero)
        header.initiator.receive([57, 0, 0], now: .zero)
        #expect(throws: SecretStreamError.invalidHeader) { try header.initiator.drainMessages() }
        var short = Pair()
        try short.connect()
        short.responder.receive([16, 0, 0], now: .zero)
        #expect(throws: SecretStreamError.frameTooShort) { try short.responder.drainMessages() }
    }

    @Test func aReflectedStreamIsRefused() throws {
        let pair = Pair()
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        pair.initiator.receive(pair.responder.takeOutput(), now: .zero)
        let output = pair.initiator.takeOutput()
        // Without the handshake message, the initiator's own header comes back to it.
        pair.initiator.receive(Array(output[67...]), now: .zero)
        #expect(throws: SecretStreamError.invalidHeader) { try pair.initiator.drainMessages() }
    }

    @Test func anAnnouncedFrameTakesNoMemoryBeforeItsBytes() throws {
        var pair = Pair()
        try pair.connect()
        pair.responder.receive([0xff, 0xff, 0xff, 1], now: .zero)
        #expect(pair.responder.missingByteCount == 0xff_ffff - 1)
        #expect(try pair.responder.drainMessages() == [])
    }

    @Test func theEndComesAfterTheMessages() throws {
        var pair = Pair()
        try pair.connect()
        try pair.initiator.send([1], now: .zero)
        pair.responder.receive(pair.initiator.takeOutput(), now: .zero)
        pair.responder.receiveEnd()
        guard case .messages = pair.responder.pollEvent() else {
            Issue.record("no message arrived")
            return
        }
        #expect(pair.responder.sawEnd())
        let early = Pair()
        early.responder.receiveEnd()
        #expect(throws: SecretStreamError.endedBeforeOpen) { try early.responder.drainMessages() }
    }

    @Test func datagramsArriveInAnyOrderAndMoreThanOnce() throws {
        var pair = Pair()
        #expect(try pair.initiator.sealDatagram([1]) == nil)
        try pair.connect()
        let envelopes = try (0..<3).map { try #require(try pair.initiator.sealDatagram([UInt8($0)])) }
        for index in [2, 0, 1, 0] {
            let range = 0..<envelopes[index].count
            #expect(pair.responder.openDatagram(envelopes[index], range: range) == [UInt8(index)])
        }
        #expect(pair.initiator.openDatagram(envelopes[0], range: 0..<envelopes[0].count) == nil)
        let counters = envelopes.map { envelope in
            (0..<8).reduce(UInt64(0)) { $0 | UInt64(envelope[$1]) << UInt64(8 * $1) }
        }
        #expect(counters[1] == counters[0] &+ 1 && counters[2] == counters[0] &+ 2)
        #expect(counters[0] > 1000)
    }

    @Test func datagramCountersEndWhereTheyBegan() throws {
        var pair = Pair()
        try pair.connect()
        let handshake = try #require(pair.initiator.handshake)
        var cipher = DatagramCipher(handshake: handshake, firstCounter: .max)
        #expect(Array(try cipher.seal([]).prefix(8)) == [UInt8](repeating: 0, count: 8))
        #expect(throws: Never.self) { try cipher.seal([]) }
    }
}

extension SecretStreamTests {
    private struct Pair {
        enum Side {
            case initiator
            case responder
        }

        static let initiatorKeys = KeyPair(seed: Bytes32(repeating: 1))
        static let responderKeys = KeyPair(seed: Bytes32(repeating: 2))
        let initiator: SecretStream
        let responder: SecretStream

        init(options: SecretStream.Options = .init()) {
            var random = SecureRandom(seed: Bytes32(repeating: 3))
            initiator = SecretStream(
                isInitiator: true, keyPair: Pair.initiatorKeys, entropy: .init(&random), options: options, now: .zero)
            var others = options
            others.expectedRemoteKey = nil
            responder = SecretStream(
                isInitiator: false, keyPair: Pair.responderKeys, entropy: .init(&random), options: others, now: .zero)
        }

        mutating func connect() throws {
            #expect(try deliver(to: .responder) == [])
            #expect(try deliver(to: .initiator) == [])
            #expect(try deliver(to: .responder) == [])
            #expect(try deliver(to: .initiator) == [])
            #expect(initiator.isOpen && responder.isOpen)
        }

        mutating func deliver(to side: Side) throws -> [[UInt8]] {
            let (from, to) = side == .responder ? (initiator, responder) : (responder, initiator)
            to.receive(from.takeOutput(), now: .zero)
            return try to.drainMessages()
        }
    }
}
