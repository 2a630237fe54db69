import DWebBase
import DWebCrypto
import DWebTestSupport
import DWebWireCore
import Testing

@Suite struct NoiseVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("noise.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func handshakesReproduce() throws {
        for item in try vectors["handshakes"].arrayValue {
            var pair = try Pair(item)
            #expect(try pair.initiator.currentHash == item["initialHash"].hexValue)
            #expect(try pair.responder.currentHash == item["initialHash"].hexValue)
            for message in try item["messages"].arrayValue {
                let fromInitiator = try message["from"].stringValue == "initiator"
                let payload = try message["payload"].hexValue
                let written = try pair.write(payload, fromInitiator: fromInitiator)
                #expect(try written == message["message"].hexValue)
                #expect(try pair.read(written, byInitiator: !fromInitiator) == payload)
                guard !message["hashAfter"].isNull else { continue }
                for side in [pair.initiator, pair.responder] {
                    #expect(try side.currentHash == message["hashAfter"].hexValue)
                    #expect(try side.currentChainingKey == message["chainingKeyAfter"].hexValue)
                }
            }
            let initiator = try #require(pair.initiator.result)
            let responder = try #require(pair.responder.result)
            try check(initiator, responder, against: item)
        }
    }

    private func check(_ initiator: HandshakeResult, _ responder: HandshakeResult, against item: JSONValue) throws {
        #expect(try initiator.handshakeHash == item["handshakeHash"].hexValue)
        #expect(responder.handshakeHash == initiator.handshakeHash)
        #expect(try initiator.transmitKey == item["initiatorTx"].bytes32Value)
        #expect(try initiator.receiveKey == item["initiatorRx"].bytes32Value)
        #expect(responder.transmitKey == initiator.receiveKey)
        #expect(responder.receiveKey == initiator.transmitKey)
        #expect(try initiator.localPublicKey.bytes32 == item["initiatorStaticPublicKey"].bytes32Value)
        #expect(try initiator.remotePublicKey.bytes32 == item["responderStaticPublicKey"].bytes32Value)
        #expect(responder.remotePublicKey == initiator.localPublicKey)
        #expect(responder.localPublicKey == initiator.remotePublicKey)
        #expect(try initiator.localStreamID == item["initiatorStreamId"].bytes32Value)
        #expect(try initiator.remoteStreamID == item["responderStreamId"].bytes32Value)
        #expect(responder.localStreamID == initiator.remoteStreamID)
        guard !item["holepunchSecret"].isNull else { return }
        #expect(try initiator.holepunchSecret == item["holepunchSecret"].bytes32Value)
        #expect(responder.holepunchSecret == initiator.holepunchSecret)
    }

    @Test func refusals() throws {
        let handshakes = try vectors["handshakes"].arrayValue
        for item in try vectors["reject"].arrayValue {
            let handshake = handshakes[try item["handshake"].intValue]
            let index = try item["index"].intValue
            let messages = try handshake["messages"].arrayValue
            var pair = try Pair(handshake)
            for message in messages[..<index] {
                let fromInitiator = try message["from"].stringValue == "initiator"
                let written = try pair.write(message["payload"].hexValue, fromInitiator: fromInitiator)
                _ = try pair.read(written, byInitiator: !fromInitiator)
            }
            let byInitiator = try messages[index]["from"].stringValue != "initiator"
            let bytes = try item["message"].hexValue
            let note = "\(item["note"]) of message \(index)"
            switch try item["failsAt"].stringValue {
            case "receive":
                #expect(throws: NoiseError.self, "\(note)") { try pair.read(bytes, byInitiator: byInitiator) }
                // A failed handshake stays failed, also for what would have been right.
                #expect(throws: NoiseError.outOfTurn) {
                    try pair.read(messages[index]["message"].hexValue, byInitiator: byInitiator)
                }
            case "reply":
                #expect(throws: NoiseError.self, "\(note)") {
                    _ = try pair.read(bytes, byInitiator: byInitiator)
                    _ = try pair.write([], fromInitiator: byInitiator)
                }
            case "never":
                _ = try pair.read(bytes, byInitiator: byInitiator)
                let side = byInitiator ? pair.initiator : pair.responder
                #expect(try side.currentHash != handshake["handshakeHash"].hexValue, "\(note)")
            case let other:
                Issue.record("unknown place of failure: \(other)")
            }
        }
    }

    @Test func truncatedMessagesAreRefusedAtEveryLength() throws {
        for item in try vectors["handshakes"].arrayValue {
            let messages = try item["messages"].arrayValue
            for index in messages.indices {
                var pair = try Pair(item)
                for message in messages[..<index] {
                    let fromInitiator = try message["from"].stringValue == "initiator"
                    _ = try pair.write(message["payload"].hexValue, fromInitiator: fromInitiator)
                    _ = try pair.read(message["message"].hexValue, byInitiator: !fromInitiator)
                }
                let byInitiator = try messages[index]["from"].stringValue != "initiator"
                let bytes = try messages[index]["message"].hexValue
                // The first message of XX ends with a payload in the clear: only its key can be missing.
                let isClear = try item["pattern"].stringValue == "XX" && index == 0
                let step = bytes.count > 256 ? 37 : 7
                for count in stride(from: 0, to: isClear ? 32 : bytes.count, by: step) {
                    var copy = pair
                    #expect(throws: NoiseError.self) { try copy.read(Array(bytes[..<count]), byInitiator: byInitiator) }
                }
            }
        }
    }

    @Test func writingOutOfTurnFails() throws {
        var pair = try Pair(try #require(vectors["handshakes"].arrayValue.first))
        #expect(throws: NoiseError.outOfTurn) { try pair.write([], fromInitiator: false) }
        #expect(throws: NoiseError.outOfTurn) { try pair.read([], byInitiator: true) }
    }

    @Test func longPayloadsAreRefused() throws {
        let item = try #require(vectors["handshakes"].arrayValue.first { try $0["pattern"].stringValue == "IK" })
        var pair = try Pair(item)
        #expect(throws: NoiseError.messageTooLong) {
            try pair.write([UInt8](repeating: 0, count: 65520), fromInitiator: true)
        }
    }
}

private struct Pair {
    var initiator: NoiseHandshake
    var responder: NoiseHandshake

    init(_ item: JSONValue) throws {
        let isXX = try item["pattern"].stringValue == "XX"
        let prologue = try item["prologue"].hexValue
        let responderStatic = KeyPair(seed: try item["responderStaticSeed"].bytes32Value)
        initiator = NoiseHandshake(
            pattern: isXX ? .xx : .ik, isInitiator: true,
            localStatic: KeyPair(seed: try item["initiatorStaticSeed"].bytes32Value),
            localEphemeral: KeyPair(seed: try item["initiatorEphemeralSeed"].bytes32Value),
            remoteStatic: isXX ? nil : responderStatic.publicKey, prologue: prologue)
        responder = NoiseHandshake(
            pattern: isXX ? .xx : .ik, isInitiator: false, localStatic: responderStatic,
            localEphemeral: KeyPair(seed: try item["responderEphemeralSeed"].bytes32Value), prologue: prologue)
    }

    mutating func write(_ payload: [UInt8], fromInitiator: Bool) throws -> [UInt8] {
        fromInitiator ? try initiator.writeMessage(payload: payload) : try responder.writeMessage(payload: payload)
    }

    mutating func read(_ message: [UInt8], byInitiator: Bool) throws -> [UInt8] {
        byInitiator ? try initiator.readMessage(message) : try responder.readMessage(message)
    }
}
