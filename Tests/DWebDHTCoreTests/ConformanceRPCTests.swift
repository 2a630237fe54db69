import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// The worked examples of spec 20 sections 2 to 10.
@Suite struct ConformanceRPCTests {
    private let to = SocketAddress(ipv4: 88, 99, 3, 86, port: 49737)
    private let keys = KeyPair(seed: Bytes32(repeating: 2))
    private let closer = [SocketAddress(ipv4: 1, 2, 3, 4, port: 5), SocketAddress(ipv4: 10, 0, 0, 1, port: 49737)]

    private func hex(_ text: String) throws -> [UInt8] {
        try #require(Hex.decode(text.filter { !$0.isWhitespace }))
    }

    /// Items 1, 3 and 6.
    @Test func requestsOfTheSpecification() throws {
        let target = Bytes32(repeating: 0xaa)
        let target16 = String(repeating: "aa", count: 32)
        func request(
            _ transaction: UInt16, _ command: RPCCommand, token: Bytes32? = nil, target: Bytes32? = nil,
            value: [UInt8]? = nil
        ) -> RPCRequest {
            RPCRequest(
                transaction: transaction, to: to, token: token, command: command, target: target, value: value)
        }
        let examples = [
            (request(0x1234, .ping), "0304 3412 5863035649c2 00"),
            (request(0x1235, .pingNAT, value: [0x49, 0xc2]), "0314 3512 5863035649c2 01 02 49c2"),
            (request(0x1236, .findNode, target: target), "030c 3612 5863035649c2 02" + target16),
            (
                request(0x1237, .downHint, value: try hex("5863035649c2")),
                "0314 3712 5863035649c2 03 06 5863035649c2"
            ),
            (request(0x1238, .delayedPing, value: [0xe8, 3, 0, 0]), "0314 3812 5863035649c2 04 04 e8030000"),
            (
                request(0x1239, .external(4), token: Bytes32(repeating: 0xbb), target: target, value: [1]),
                "031a 3912 5863035649c2" + String(repeating: "bb", count: 32) + "04" + target16 + "01 01"
            ),
        ]
        for (request, text) in examples {
            let bytes = try hex(text)
            #expect(request.encoded() == bytes)
            #expect(try RPCRequest(datagram: bytes) == request)
        }
    }

    /// Items 1 and 6.
    @Test func responsesOfTheSpecification() throws {
        let requester = SocketAddress(ipv4: 9, 8, 7, 6, port: 1000)
        let id = Bytes32(repeating: 0x1d)
        let id16 = String(repeating: "1d", count: 32)
        func response(
            _ closerNodes: [SocketAddress], token: Bytes32? = nil, error: RPCErrorCode = .ok, value: [UInt8]? = nil
        ) -> RPCResponse {
            RPCResponse(
                transaction: 0x1234, to: requester, id: id, token: token, closerNodes: closerNodes, error: error,
                value: value)
        }
        let list = "02 010203040500 0a00000149c2"
        let examples = [
            (response(closer), "1305 3412 09080706e803" + id16 + list),
            (
                response(closer, token: Bytes32(repeating: 0xcc), value: Array("hi".utf8)),
                "1317 3412 09080706e803" + id16 + String(repeating: "cc", count: 32) + list + "02 6869"
            ),
            (response(closer, error: .unknownCommand), "130d 3412 09080706e803" + id16 + list + "01"),
            (response([]), "1301 3412 09080706e803" + id16),
        ]
        for (response, text) in examples {
            let bytes = try hex(text)
            #expect(response.encoded() == bytes)
            #expect(try RPCResponse(datagram: bytes) == response)
        }
    }

    /// Items 8 and 10.
    @Test func idsAndTokens() {
        #expect(
            Hex.encode(NodeID.of(to).bytes) == "54d4b9c6441048061f80cf69564cee46a5730adfcd59fbe6c056bb49af771546")
        let issuer = TokenIssuer(secrets: (.zero, Bytes32(repeating: 0x11)), now: .zero)
        let host = SocketAddress(ipv4: 9, 8, 7, 6, port: 1000)
        #expect(
            Hex.encode(issuer.token(for: host).bytes)
                == "680c5d6e71ec5af1d97ec43117a6d5eb3aa370a0e9b8f890053f7ff50c4d1fe0")
        #expect(issuer.token(for: host.with(port: 9)) == issuer.token(for: host))
    }

    /// Item 31: the examples of section 8, and every bit that the signature covers.
    @Test func announcementsOfTheSpecification() throws {
        let target = Blake2b.hash32(keys.publicKey.bytes)
        #expect(Hex.encode(target.bytes) == "c11ae4092c56101421f745612bdc6b51c1e646c61ac3f5eccfed2f59c200f581")
        let nodeID = Bytes32(repeating: 0xab)
        let token = Bytes32(repeating: 0xcc)
        let relay = SocketAddress(ipv4: 1, 2, 3, 4, port: 1000)
        func signed(_ kind: Announcement.Kind, _ relays: [SocketAddress], refresh: Bytes32? = nil) -> Announcement {
            .signed(
                kind, target: target, nodeID: nodeID, token: token, relayAddresses: relays, refresh: refresh,
                keyPair: keys)
        }
        #expect(
            signed(.announce, [relay]).encoded
                == (try hex(
                    "05" + keys.publicKey.hex + "0101020304e803"
                        + """
                        b4a406f472c7f81a32aa7f73d0952eb395b73e632c73d1a4ce89f1893ee071c3
                        20523168d37a4019748432cb37b094fa2a49318c13e6384861ff949740c52e00
                        """)))
        #expect(
            signed(.unannounce, []).encoded
                == (try hex(
                    "05" + keys.publicKey.hex + "00"
                        + """
                        ea7964333a3213761e943b8fb545b2db6887ea1dc7a5eda106c31d411f36d293
                        703461b9db1579318b8a4b655e4a0bb3c5ea57fc00f3e378e11b37428001c609
                        """)))
        let announcement = signed(.announce, [relay], refresh: Bytes32(repeating: 7))
        #expect(announcement.isValid(.announce, target: target, nodeID: nodeID, token: token))
        func flipped(_ value: Bytes32, _ bit: Int) throws -> Bytes32 {
            var bytes = value.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            return try #require(Bytes32(bytes))
        }
        for bit in 0..<256 {
            let (t, n, k) = (try flipped(target, bit), try flipped(nodeID, bit), try flipped(token, bit))
            #expect(!announcement.isValid(.announce, target: t, nodeID: nodeID, token: token))
            #expect(!announcement.isValid(.announce, target: target, nodeID: n, token: token))
            #expect(!announcement.isValid(.announce, target: target, nodeID: nodeID, token: k))
            var other = announcement
            other.refresh = try flipped(Bytes32(repeating: 7), bit)
            #expect(!other.isValid(.announce, target: target, nodeID: nodeID, token: token))
        }
        var moved = announcement
        moved.peer?.relayAddresses[0] = relay.with(port: 1001)
        #expect(!moved.isValid(.announce, target: target, nodeID: nodeID, token: token))
        moved.peer?.relayAddresses = []
        #expect(!moved.isValid(.announce, target: target, nodeID: nodeID, token: token))
        moved = announcement
        moved.refresh = nil
        #expect(!moved.isValid(.announce, target: target, nodeID: nodeID, token: token))
        // Item 32: a bump is not covered.
        moved = announcement
        moved.bump = 77
        #expect(moved.isValid(.announce, target: target, nodeID: nodeID, token: token))
    }

    /// Item 36.
    @Test func mutableValueOfTheSpecification() throws {
        let record = MutableRecord.signed(sequence: 5, value: Array("hello".utf8), keyPair: keys)
        #expect(Hex.encode(MutableRecord.inner(sequence: 5, value: record.value)) == "050568656c6c6f")
        #expect(
            try record.signature
                == hex(
                    """
                    cf508145dfc01f8e3cc7bf613433bd470dd1fd61cf015e5d48bdb068b2482e63
                    7d05bdc0dd8c3f4a131bf41332cc8553c821941ea20899b5e816051a9fe75b03
                    """))
        #expect(record.isValid(by: keys.publicKey))
    }

    /// Item 41, the payloads: what the two Noise messages of section 10.1 carry.
    @Test func connectionPayloadsOfTheSpecification() throws {
        let first = try NoisePayload(decoding: hex("011a000001c0a8010549c20100feefbeadde0001"))
        #expect(first.firewall == .unknown && first.error == .none && first.holepunch == nil)
        #expect(first.addresses4 == [SocketAddress(ipv4: 192, 168, 1, 5, port: 49737)])
        #expect(first.stream == NoisePayload.StreamInfo(id: 0xdead_beef) && first.secretStreamVersion == 1)
        #expect(first.encoded == (try hex("011a000001c0a8010549c20100feefbeadde0001")))
        let text =
            "017b0000030101020304e80305060708d00701c0a8010949c201010700010100"
            + String(repeating: "ee", count: 32) + String(repeating: "dd", count: 32) + "0101020304e803"
        let second = try NoisePayload(decoding: hex(text))
        let relay = SocketAddress(ipv4: 1, 2, 3, 4, port: 1000)
        #expect(second.holepunch?.id == 3 && second.holepunch?.relays.map(\.relayAddress) == [relay])
        #expect(second.holepunch?.relays.map(\.peerAddress) == [SocketAddress(ipv4: 5, 6, 7, 8, port: 2000)])
        #expect(second.stream == NoisePayload.StreamInfo(id: 7, isSocketReusable: true))
        #expect(second.relayThrough?.publicKey.bytes32 == Bytes32(repeating: 0xee))
        #expect(second.relayThrough?.token == Bytes32(repeating: 0xdd) && second.relayAddresses == [relay])
        #expect(second.encoded == (try hex(text)))
    }

    /// Item 51: the sealed payload of section 10.3, and every bit of it.
    @Test func holepunchPayloadOfTheSpecification() throws {
        let secret = try #require(
            Bytes32(hex("2f6bf859a22ee35d3a1761603c47e7f7494100c7484473593b055408a8a567a0")))
        let seal = HolepunchSeal(secret: secret, localSecret: .zero)
        var payload = HolepunchPayload()
        payload.firewall = .consistent
        payload.round = 1
        payload.isPunching = true
        payload.addresses = [SocketAddress(ipv4: 5, 6, 7, 8, port: 2000)]
        payload.token = Bytes32(repeating: 0x22)
        #expect(payload.encoded == (try hex("160002010105060708d007" + String(repeating: "22", count: 32))))
        let box = seal.seal(payload, nonce: [UInt8](repeating: 0x11, count: 24))
        #expect(
            box
                == (try hex(
                    String(repeating: "11", count: 24) + "88e9bb41c8281add0ed8f2e0c823b17c"
                        + """
                        1a11d15f757126c1691c334d224f057c76dcfbd957fc5354c591991b0d617181
                        3216adb660fe887c8b063b
                        """)))
        #expect(seal.open(box) == payload)
        for bit in 0..<box.count * 8 {
            var damaged = box
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(seal.open(damaged) == nil, "bit \(bit)")
        }
    }
}
