import DWebBase
import DWebCrypto
import DWebWireCore
import Testing

/// The worked handshakes of the specifications, and what a single wrong bit does.
@Suite struct ConformanceNoiseTests {
    private struct Pair {
        var initiator: NoiseHandshake
        var responder: NoiseHandshake

        init(_ pattern: NoisePattern) {
            func keys(_ seed: UInt8) -> KeyPair { KeyPair(seed: Bytes32(repeating: seed)) }
            let prologue = pattern == .ik ? Namespace.peerHandshake.bytes : []
            initiator = NoiseHandshake(
                pattern: pattern, isInitiator: true, localStatic: keys(1), localEphemeral: keys(3),
                remoteStatic: pattern == .ik ? keys(2).publicKey : nil, prologue: prologue)
            responder = NoiseHandshake(
                pattern: pattern, isInitiator: false, localStatic: keys(2), localEphemeral: keys(4),
                prologue: prologue)
        }
    }

    private func hex(_ text: String) throws -> [UInt8] {
        try #require(Hex.decode(text.filter { !$0.isWhitespace }))
    }

    private let message1 = "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1"
    private let ephemeral2 = "ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c"
    private let staticIK = """
        605c88a9067c5f85bd7499907d5c869548dd90bed5350bb2e7cb47efe61f60bc
        315838e49205f95b5a618d7c8c212eeb
        """
    private let transmitIK = "cc00d99bd3a15a6779df38fd42fd25a84d73264023e7c1da95cf3bcbdce9c210"
    private let receiveIK = "78dd48ecef5d11fd953197694a8ee2d9f8d86d49d56d856e3dd7c8e78047826b"

    /// Item 28 of spec 00: the pattern of the DHT with empty payloads, section 6.5.
    @Test func workedHandshakeWithoutPayloads() throws {
        var pair = Pair(.ik)
        let start = try hex(
            """
            c790644db568c8ae7f0132299e4720b8181e1ad03317d9b245ebecdc01d27c37
            8963e8709830f7f50cdffbd297cef921bf5d7a290d282cc055252457b616e708
            """)
        #expect(pair.initiator.currentHash == start && pair.responder.currentHash == start)
        let first = try pair.initiator.writeMessage()
        #expect(try first == hex(message1 + staticIK + "731cd088748163f5d09a71d2bf43fd8d"))
        #expect(try pair.responder.readMessage(first) == [])
        let second = try pair.responder.writeMessage()
        #expect(try second == hex(ephemeral2 + "580da50bbb5a4a35d9003c4e94ae0ad5"))
        #expect(try pair.initiator.readMessage(second) == [])
        let near = try #require(pair.initiator.result)
        let far = try #require(pair.responder.result)
        #expect(
            try near.handshakeHash
                == hex(
                    """
                    a502cb6fc400e42bdd9ee0a1b4641125d3ccb4bee949c3c79b3bc1b1405cfc2d
                    dd256adcec9536c74fd237edb64d79e37e1ae655b67338e48631006a451084fe
                    """))
        #expect(try near.transmitKey.bytes == hex(transmitIK))
        #expect(try near.receiveKey.bytes == hex(receiveIK))
        #expect(far.transmitKey == near.receiveKey && far.receiveKey == near.transmitKey)
        #expect(far.handshakeHash == near.handshakeHash)
    }

    /// Item 41 of spec 20: the same with the payloads of a connection, section 10.1.
    @Test func workedHandshakeOfAConnection() throws {
        var pair = Pair(.ik)
        let payload1 = try hex("011a000001c0a8010549c20100feefbeadde0001")
        let first = try pair.initiator.writeMessage(payload: payload1)
        #expect(
            try first
                == hex(
                    message1 + staticIK
                        + """
                        f0fd5de91a7dbb77e715cfdd5c45484a3d06804ecce1f1fe47f2e87d0051d818f97c8bca
                        """))
        #expect(try pair.responder.readMessage(first) == payload1)
        let payload2 = try hex(
            "017b0000030101020304e80305060708d00701c0a8010949c201010700010100"
                + String(repeating: "ee", count: 32) + String(repeating: "dd", count: 32) + "0101020304e803")
        let second = try pair.responder.writeMessage(payload: payload2)
        #expect(
            try second
                == hex(
                    ephemeral2
                        + """
                        f6a3821972cb1e7f0eac1f044b7461cc79ac6795b4045b03b492ce08931d6670
                        d9d8953ecdd84985e60063ddf88709e027f262e289c716a474daccfe1d13602e
                        b071c343d3b924dd026c488af09c55748cfb6ced465424b3c0a27dc05bcbabe0
                        57527d9fb1cbe292799aaa7e04d730a6b77a1e9aed7926
                        """))
        #expect(try pair.initiator.readMessage(second) == payload2)
        let near = try #require(pair.initiator.result)
        #expect(try near.transmitKey.bytes == hex(transmitIK))
        #expect(try near.receiveKey.bytes == hex(receiveIK))
        #expect(
            try near.handshakeHash
                == hex(
                    """
                    d6ff56d81647d84b4d44df1f56dba5eb9503202491cf89a2d174ac7998d6eb7c
                    733fde0a47060b12d1704e8a24d91407a6036737854a78a94d0a469265400983
                    """))
        #expect(
            try near.holepunchSecret.bytes
                == hex("2f6bf859a22ee35d3a1761603c47e7f7494100c7484473593b055408a8a567a0"))
        #expect(
            try near.localStreamID.bytes
                == hex("c14ed0300170774a4d551a7044df6d47ddab885278c0ad0c8da8edd2715ca14c"))
        #expect(
            try near.remoteStreamID.bytes
                == hex("944e7e6510dc6985815d94e86ebb52c7d947e938aa869351c14dae13d9ab4353"))
    }

    /// Item 29 of spec 00.
    @Test func everyWrongBitFailsTheHandshake() throws {
        var pair = Pair(.xx)
        _ = try pair.responder.readMessage(pair.initiator.writeMessage())
        let second = try pair.responder.writeMessage()
        let waiting = pair
        _ = try pair.initiator.readMessage(second)
        let third = try pair.initiator.writeMessage()
        #expect(second.count == 96 && third.count == 64)
        for bit in 0..<second.count * 8 {
            var initiator = waiting.initiator
            var forged = second
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: NoiseError.self, "bit \(bit) of message 2") { try initiator.readMessage(forged) }
        }
        for bit in 0..<third.count * 8 {
            var responder = pair.responder
            var forged = third
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: NoiseError.self, "bit \(bit) of message 3") { try responder.readMessage(forged) }
        }
        #expect(throws: Never.self) { try pair.responder.readMessage(third) }
    }
}
