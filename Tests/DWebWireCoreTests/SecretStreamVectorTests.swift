import DWebBase
import DWebCrypto
import DWebTestSupport
import DWebWireCore
import Testing

@Suite struct SecretStreamVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result {
        let vectors = try VectorFile.json("secretstream.json")
        return (vectors: vectors, sessions: try vectors["sessions"].arrayValue.map { try Session($0) })
    }
    private let sessions: [Session]
    private let vectors: JSONValue

    init() throws { (vectors, sessions) = try Self.file.get() }

    @Test(arguments: [1, 2, 7, 1000, 65536, Int.max])
    func receiversAcceptAnyChunking(chunkByteCount: Int) throws {
        for session in sessions {
            for isInitiator in [true, false] {
                let stream = session.stream(isInitiator: isInitiator)
                let incoming = session.frames.filter { $0.fromInitiator != isInitiator && $0.kind != .end }
                // One byte at a time is enough for the first frames of a long recording.
                let limit = chunkByteCount < 100 ? 2000 : Int.max
                var received: [[UInt8]] = []
                var fedByteCount = 0
                var bytes = incoming.flatMap(\.bytes)
                bytes.removeLast(bytes.count - min(limit, bytes.count))
                while fedByteCount < bytes.count {
                    let end = fedByteCount + min(chunkByteCount, bytes.count - fedByteCount)
                    stream.receive(Array(bytes[fedByteCount..<end]), now: .zero)
                    fedByteCount = end
                    received += try stream.drainMessages()
                }
                var expected: [[UInt8]] = []
                var position = 0
                for frame in incoming {
                    position += frame.bytes.count
                    if position <= bytes.count, frame.kind == .data { expected.append(frame.plain) }
                }
                #expect(received == expected, "\(session.name)")
                stream.receiveEnd()
                #expect(stream.sawEnd())
            }
        }
    }

    @Test func sendersReproduceEveryFrame() throws {
        for session in sessions {
            let streams = [true: session.stream(isInitiator: true), false: session.stream(isInitiator: false)]
            var produced: [Bool: [UInt8]] = [true: [], false: []]
            var expected: [Bool: [UInt8]] = [true: [], false: []]
            for frame in session.frames where frame.kind != .end {
                let sender = try #require(streams[frame.fromInitiator])
                let receiver = try #require(streams[!frame.fromInitiator])
                if frame.kind == .data { try sender.send(frame.plain, now: .zero) }
                produced[frame.fromInitiator]? += sender.takeOutput()
                expected[frame.fromInitiator]? += frame.bytes
                receiver.receive(frame.bytes, now: .zero)
                produced[!frame.fromInitiator]? += receiver.takeOutput()
                let messages = try receiver.drainMessages()
                #expect(messages == (frame.kind == .data ? [frame.plain] : []))
            }
            #expect(produced == expected, "\(session.name)")
            for isInitiator in [true, false] {
                let stream = try #require(streams[isInitiator])
                let name = isInitiator ? "initiator" : "responder"
                #expect(try stream.sentByteCount == session.byteCounts["\(name)RawBytesWritten"].uintValue)
                #expect(try stream.receivedByteCount == session.byteCounts["\(name)RawBytesRead"].uintValue)
                #expect(stream.handshake?.handshakeHash == session.handshakeHash)
                #expect(stream.handshake?.localPublicKey == session.publicKeys[isInitiator])
                #expect(stream.handshake?.remotePublicKey == session.publicKeys[!isInitiator])
            }
        }
    }

    @Test func datagramEnvelopesReproduce() throws {
        var opened: [Int: (initiator: HandshakeResult, responder: HandshakeResult)] = [:]
        for item in try vectors["datagrams"].arrayValue {
            let index = try item["session"].intValue
            let results: (initiator: HandshakeResult, responder: HandshakeResult)
            if let known = opened[index] {
                results = known
            } else {
                results = try sessions[index].results()
                opened[index] = results
            }
            let fromInitiator = try item["from"].stringValue == "initiator"
            let plain = try item["plain"].hexValue
            let envelope = try item["envelope"].hexValue
            let counter = (0..<8).reduce(UInt64(0)) { $0 | UInt64(envelope[$1]) << UInt64(8 * $1) }
            var sender = DatagramCipher(
                handshake: fromInitiator ? results.initiator : results.responder, firstCounter: counter &- 1)
            let receiver = DatagramCipher(
                handshake: fromInitiator ? results.responder : results.initiator, firstCounter: 0)
            #expect(try sender.seal(plain) == envelope)
            #expect(receiver.open(envelope) == plain)
            #expect(receiver.open([1, 2] + envelope + [3], range: 2..<2 + envelope.count) == plain)
            for count in 0..<envelope.count { #expect(receiver.open(Array(envelope[..<count])) == nil) }
            for position in stride(from: 0, to: envelope.count, by: 5) {
                var changed = envelope
                changed[position] ^= 0x10
                #expect(receiver.open(changed) == nil)
            }
            #expect(sender.open(envelope) == nil, "a reflected datagram")
        }
    }

    @Test func refusals() throws {
        for item in try vectors["reject"].arrayValue {
            let session = sessions[try item["session"].intValue]
            let stream = session.stream(isInitiator: false)
            let incoming = session.frames.filter(\.fromInitiator)
            for frame in incoming[..<(try item["afterInitiatorFrames"].intValue)] {
                stream.receive(frame.bytes, now: .zero)
                _ = try stream.drainMessages()
            }
            stream.receive(try item["frame"].hexValue, now: .zero)
            #expect(stream.isClosed, "\(item["note"])")
            #expect(throws: SecretStreamError.self) { try stream.drainMessages() }
            #expect(!stream.hasOutput)
        }
    }
}

extension SecretStream {
    /// Every message that arrived; throws the failure if there was one.
    func drainMessages() throws -> [[UInt8]] {
        var messages: [[UInt8]] = []
        while let event = pollEvent() {
            switch event {
            case .opened, .ended: break
            case .messages(let batch): messages += batch.messages
            case .failed(let error): throw error
            }
        }
        return messages
    }

    func sawEnd() -> Bool {
        while let event = pollEvent() {
            if case .ended = event { return true }
        }
        return false
    }
}

private struct Session: Sendable {
    enum Kind: String {
        case handshake, header, data, end
    }

    struct Frame {
        let fromInitiator: Bool
        let kind: Kind
        let bytes: [UInt8]
        let plain: [UInt8]
    }

    let name: String
    let frames: [Frame]
    let handshakeHash: [UInt8]
    let byteCounts: JSONValue
    let publicKeys: [Bool: PublicKey]
    private let json: JSONValue
    private let headers: [Bool: [UInt8]]

    init(_ json: JSONValue) throws {
        self.json = json
        name = try json["name"].stringValue
        handshakeHash = try json["handshakeHash"].hexValue
        byteCounts = json["bytes"]
        publicKeys = [
            true: PublicKey(try json["initiatorPublicKey"].bytes32Value),
            false: PublicKey(try json["responderPublicKey"].bytes32Value),
        ]
        var headers: [Bool: [UInt8]] = [:]
        frames = try json["frames"].arrayValue.map { item in
            let fromInitiator = try item["from"].stringValue == "initiator"
            let kind = try #require(Kind(rawValue: try item["kind"].stringValue))
            if kind == .header { headers[fromInitiator] = try item["secretstreamHeader"].hexValue }
            return Frame(
                fromInitiator: fromInitiator, kind: kind,
                bytes: kind == .end ? [] : try item["frame"].hexValue,
                plain: kind == .data ? try VectorContent.bytes(item["plain"]) : [])
        }
        self.headers = headers
    }

    func stream(isInitiator: Bool, options: SecretStream.Options = .init()) -> SecretStream {
        do {
            let role = isInitiator ? "initiator" : "responder"
            let entropy = SecretStream.Entropy(
                ephemeralSeed: try json["\(role)EphemeralSeed"].bytes32Value, header: headers[isInitiator] ?? [],
                firstDatagramCounter: 0)
            guard json["preshared"].isNull else {
                return SecretStream(
                    handshake: try presharedResult(isInitiator: isInitiator), entropy: entropy, options: options,
                    now: .zero)
            }
            return SecretStream(
                isInitiator: isInitiator, keyPair: KeyPair(seed: try json["\(role)StaticSeed"].bytes32Value),
                entropy: entropy, options: options, now: .zero)
        } catch {
            preconditionFailure("the recorded session is incomplete: \(error)")
        }
    }

    func results() throws -> (initiator: HandshakeResult, responder: HandshakeResult) {
        let initiator = stream(isInitiator: true)
        let responder = stream(isInitiator: false)
        for _ in 0..<4 {
            responder.receive(initiator.takeOutput(), now: .zero)
            initiator.receive(responder.takeOutput(), now: .zero)
        }
        return (try #require(initiator.handshake), try #require(responder.handshake))
    }

    private func presharedResult(isInitiator: Bool) throws -> HandshakeResult {
        let preshared = json["preshared"]
        return HandshakeResult(
            transmitKey: try preshared[isInitiator ? "initiatorTx" : "initiatorRx"].bytes32Value,
            receiveKey: try preshared[isInitiator ? "initiatorRx" : "initiatorTx"].bytes32Value,
            handshakeHash: try preshared["handshakeHash"].hexValue,
            localPublicKey: try #require(publicKeys[isInitiator]),
            remotePublicKey: try #require(publicKeys[!isInitiator]), isInitiator: isInitiator)
    }
}

/// The deterministic content of recorded data.
enum VectorContent {
    static func bytes(_ rule: JSONValue) throws -> [UInt8] {
        let size = try rule["size"].intValue
        let mul = try rule["mul"].intValue
        let add = try rule["add"].intValue
        return (0..<size).map { UInt8(truncatingIfNeeded: $0 &* mul &+ add &+ $0 >> 8) }
    }
}
