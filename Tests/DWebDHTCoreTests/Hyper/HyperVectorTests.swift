import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebTestSupport
import Testing

@Suite struct HyperVectorTests {
    // Read once: every test uses the same file.
    private static let recorded = Result { try VectorFile.json("dht.json") }
    private let file: JSONValue

    init() throws { file = try HyperVectorTests.recorded.get() }

    // MARK: Payload codecs

    @Test func payloadsDecodeAndEncode() throws {
        for item in try file["payloads"].arrayValue {
            let type = try item["type"].stringValue
            let data = try item["data"].hexValue
            let comment = Comment(rawValue: "\(type) \(item["note"])")
            let isCanonical = !item["value"].isNull
            func check<Message: HyperCodable>(_ expected: Message) throws {
                let decoded = try Message(decoding: data)
                #expect(decoded == expected, comment)
                if isCanonical { #expect(Hex.encode(expected.encoded) == Hex.encode(data), comment) }
                // Where the last field may be missing, what follows is read as that field.
                guard type != "lookupRawReply" else { return }
                #expect(try Message(decoding: data + [0xff, 0xff]) == decoded, comment)
            }
            let value = item["decoded"]
            switch type {
            case "handshake": try check(try Expected.handshake(value))
            case "holepunch": try check(try Expected.holepunch(value))
            case "noisePayload": try check(try Expected.noisePayload(value))
            case "holepunchPayload": try check(try Expected.holepunchPayload(value))
            case "peer": try check(try Expected.peer(value))
            case "peers":
                let peers = try value.arrayValue.map(Expected.peer)
                #expect(try LookupReply(decoding: data) == LookupReply(peers: peers))
                #expect(LookupReply(peers: peers).encoded == data + [0], comment)
            case "lookupRawReply":
                let peers = try value["peers"].arrayValue.map(Expected.peer)
                try check(LookupReply(peers: peers, bump: try value["bump"].uintValue))
            case "announce": try check(try Expected.announcement(value))
            case "mutablePutRequest":
                let key = PublicKey(try value["publicKey"].bytes32Value)
                try check(MutablePut(publicKey: key, record: try Expected.mutable(value)))
            case "mutableGetResponse": try check(try Expected.mutable(value))
            case "mutableSignable":
                let inner = MutableRecord.inner(
                    sequence: try value["seq"].uintValue, value: try value["value"].hexValue)
                #expect(inner == data)
            case "pluginRequest":
                try check(
                    PluginRequest(
                        name: try value["plugin"].stringValue, version: try value["version"].uintValue,
                        command: try value["command"].uintValue, value: try value["value"].optional { try $0.hexValue })
                )
            case "relay.pair":
                try check(
                    BlindRelayPair(
                        isInitiator: try value["isInitiator"].boolValue, token: try value["token"].bytes32Value,
                        streamID: UInt32(try value["id"].uintValue), sequence: try value["seq"].uintValue))
            case "relay.unpair": try check(BlindRelayUnpair(token: try value["token"].bytes32Value))
            default: Issue.record("no codec for \(type)")
            }
        }
    }

    @Test func payloadsCutShortAreRefused() throws {
        for item in try file["payloadReject"].arrayValue {
            let type = try item["type"].stringValue
            let data = try item["data"].hexValue
            if type == "mutableSignable" { continue }  // Only ever built, never read.
            #expect(throws: CodecError.self, "\(type) \(item["note"])") { try Expected.decode(type, data) }
        }
    }

    @Test func everyDecoderSurvivesTruncationAndNoise() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 7))
        for item in try file["payloads"].arrayValue {
            let type = try item["type"].stringValue
            let data = try item["data"].hexValue
            if type == "mutableSignable" { continue }
            for count in 0..<data.count { try? Expected.decode(type, Array(data[..<count])) }
            for _ in 0..<50 {
                var damaged = data
                for _ in 0..<3 {
                    damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(
                        in: 0...255, using: &random)
                }
                try? Expected.decode(type, damaged)
            }
        }
    }

    // MARK: Signatures

    @Test func announcementsAreSignedAsRecorded() throws {
        for item in try file["announceSign"].arrayValue {
            let kind: Announcement.Kind = try item["kind"].stringValue == "announce" ? .announce : .unannounce
            let keyPair = KeyPair(seed: try item["seed"].bytes32Value)
            #expect(keyPair.publicKey.bytes32 == (try item["publicKey"].bytes32Value))
            let target = try item["target"].bytes32Value
            let nodeID = try item["nodeId"].bytes32Value
            let token = try item["token"].bytes32Value
            let announcement = Announcement.signed(
                kind, target: target, nodeID: nodeID, token: token,
                relayAddresses: try Expected.addresses(item["relayAddresses"]),
                refresh: try item["refresh"].optional { try $0.bytes32Value }, keyPair: keyPair)
            #expect(
                announcement.signable(kind, target: target, nodeID: nodeID, token: token)
                    == (try item["signable"].hexValue))
            #expect(announcement.signature == (try item["signature"].hexValue))
            #expect(announcement.encoded == (try item["value"].hexValue))
            #expect(announcement.isValid(kind, target: target, nodeID: nodeID, token: token))
            let other: Announcement.Kind = kind == .announce ? .unannounce : .announce
            #expect(!announcement.isValid(other, target: target, nodeID: nodeID, token: token))
            var bumped = announcement
            bumped.bump = 5
            #expect(bumped.isValid(kind, target: target, nodeID: nodeID, token: token))
        }
    }

    @Test func storeTakesOnlyValidAnnouncements() throws {
        for item in try file["announceReject"].arrayValue {
            var store = RecordStore(random: SecureRandom(seed: .zero))
            let request = StoreRequest(
                target: try item["target"].optional { try $0.bytes32Value },
                token: try item["token"].optional { try $0.bytes32Value },
                value: try item["value"].optional { try $0.hexValue },
                from: SocketAddress(ipv4: 9, 8, 7, 6, port: 1000), nodeID: try item["nodeId"].bytes32Value)
            let reply = store.announce(request, unixMilliseconds: 0, now: .zero)
            let isAccepted = try item["accepted"].boolValue
            #expect(reply == (isAccepted ? .acknowledgement : .silent), "\(item["note"])")
            #expect(store.recordCount + store.forwardCount == (isAccepted ? 1 : 0))
        }
    }

    @Test func mutableStoreAnswersAsRecorded() throws {
        var store = RecordStore(random: SecureRandom(seed: .zero))
        let section = file["mutable"]
        let keyPair = KeyPair(seed: try section["seed"].bytes32Value)
        let target = try section["target"].bytes32Value
        #expect(Blake2b.hash32(keyPair.publicKey.bytes) == target)
        for item in try section["cases"].arrayValue {
            let comment = Comment(rawValue: "\(item["op"]) \(item["note"])")
            var request = StoreRequest(
                target: target, token: Bytes32(repeating: 1), value: try item["request"].hexValue,
                from: SocketAddress(ipv4: 9, 8, 7, 6, port: 1000), nodeID: .zero)
            if try item["op"].stringValue == "get" {
                let expected = try item["reply"].optional { try $0.hexValue }
                #expect(store.mutableGet(request, now: .zero) == .value(expected), comment)
                continue
            }
            request.target = try item["target"].bytes32Value
            let reply = store.mutablePut(request, now: .zero)
            switch try item["result"].stringValue {
            case "stored": #expect(reply == .value(nil), comment)
            case "silent": #expect(reply == .silent, comment)
            case let result:
                let code = try #require(UInt64(result.split(separator: " ").last ?? ""))
                #expect(reply == .error(code), comment)
            }
            if reply == .value(nil) {
                let record = MutableRecord.signed(
                    sequence: try item["seq"].uintValue, value: try item["value"].hexValue, keyPair: keyPair)
                #expect(record.signature == (try item["signature"].hexValue), comment)
            }
        }
        for item in try section["verify"].arrayValue {
            let record = try Expected.mutable(item)
            #expect(
                record.isValid(by: PublicKey(try item["publicKey"].bytes32Value)) == (try item["valid"].boolValue),
                "\(item["note"])")
        }
    }

    @Test func immutableTargetsAreHashes() throws {
        for item in try file["immutable"].arrayValue {
            let value = try item["value"].hexValue
            let target = try item["target"].bytes32Value
            #expect(Blake2b.hash32(value) == target)
            guard value.count <= HyperLimits.valueByteCount else { continue }
            var store = RecordStore(random: SecureRandom(seed: .zero))
            var request = StoreRequest(
                target: target, token: .zero, value: value, from: SocketAddress(ipv4: 1, 2, 3, 4, port: 5),
                nodeID: .zero)
            #expect(store.immutablePut(request, now: .zero) == .value(nil))
            #expect(store.immutableGet(request, now: .zero) == .value(value))
            request.value = value + [0]
            #expect(store.immutablePut(request, now: .zero) == .silent)
        }
    }

    // MARK: Hole-punch payloads

    @Test func holepunchPayloadsSealAsRecorded() throws {
        for item in try file["holepunchCrypto"].arrayValue {
            let seal = HolepunchSeal(secret: try item["secret"].bytes32Value, localSecret: .zero)
            let payload = try Expected.holepunchPayload(item["payload"])
            #expect(payload.encoded == (try item["plain"].hexValue))
            let box = try item["box"].hexValue
            #expect(seal.seal(payload, nonce: try item["nonce"].hexValue) == box)
            #expect(seal.open(box) == payload)
            for count in 0..<box.count { #expect(seal.open(Array(box[..<count])) == nil) }
            for index in box.indices {
                var damaged = box
                damaged[index] ^= 1
                #expect(seal.open(damaged) == nil)
            }
        }
        for item in try file["holepunchReject"].arrayValue {
            let seal = HolepunchSeal(secret: try item["secret"].bytes32Value, localSecret: .zero)
            #expect(seal.open(try item["box"].hexValue) == nil, "\(item["note"])")
        }
    }

    @Test func addressTokensIgnoreThePort() throws {
        for item in try file["addressToken"].arrayValue {
            let seal = HolepunchSeal(secret: .zero, localSecret: try item["localSecret"].bytes32Value)
            let address = try #require(
                SocketAddress(host: try item["host"].stringValue, port: UInt16(try item["port"].intValue)))
            #expect(seal.token(for: address) == (try item["token"].bytes32Value))
            #expect(seal.token(for: address.with(port: 1)) == seal.token(for: address))
        }
    }

    // MARK: A recorded network

    /// Every message of the recorded network decodes to what was recorded and encodes to the same bytes.
    @Test func transcriptDecodesAndEncodes() throws {
        let transcript = file["transcript"]
        let secret = try transcript["handshake"]["holepunchSecret"].bytes32Value
        let seal = HolepunchSeal(secret: secret, localSecret: .zero)
        var checkedCount = 0
        for packet in try transcript["packets"].arrayValue {
            let decoded = packet["decoded"]
            if decoded.isNull {
                #expect(try packet["hex"].hexValue == [0])
                continue
            }
            let kind = try decoded["kind"].stringValue
            let bytes = try packet["hex"].hexValue
            let value: [UInt8]?
            if kind == "request" {
                let request = try RPCRequest(datagram: bytes)
                #expect(request.encoded() == bytes)
                value = request.value
            } else if kind == "response" {
                let response = try RPCResponse(datagram: bytes)
                #expect(response.encoded() == bytes)
                value = response.value
            } else {
                continue
            }
            func check<Message: HyperCodable>(_ expected: Message) throws {
                let value = try #require(value)
                #expect(try Message(decoding: value) == expected)
                #expect(expected.encoded == value)
                checkedCount += 1
            }
            if !decoded["handshake"].isNull { try check(try Expected.handshake(decoded["handshake"])) }
            if !decoded["announce"].isNull { try check(try Expected.announcement(decoded["announce"])) }
            if !decoded["peer"].isNull { try check(try Expected.peer(decoded["peer"])) }
            if !decoded["lookup"].isNull {
                let lookup = decoded["lookup"]
                let peers = try lookup["peers"].arrayValue.map(Expected.peer)
                try check(LookupReply(peers: peers, bump: try lookup["bump"].uintValue))
            }
            if !decoded["holepunch"].isNull {
                let message = try Expected.holepunch(decoded["holepunch"])
                try check(message)
                let plain = try #require(seal.open(message.payload))
                #expect(plain == (try Expected.holepunchPayload(decoded["holepunch"]["decrypted"])))
            }
        }
        #expect(checkedCount > 0)
    }

    /// The recorded handshake's payloads, and the announcements of its nodes: they verify with the ids and tokens that
    /// were exchanged.
    @Test func transcriptSignaturesVerify() throws {
        let transcript = file["transcript"]
        let handshake = transcript["handshake"]
        for side in ["1", "2"] {
            let bytes = try handshake["payload\(side)"].hexValue
            let payload = try Expected.noisePayload(handshake["payload\(side)Decoded"])
            #expect(try NoisePayload(decoding: bytes) == payload)
            #expect(payload.encoded == bytes)
        }
        let keys = HandshakeKeys(
            transmitKey: try handshake["clientTx"].bytes32Value, receiveKey: try handshake["clientRx"].bytes32Value,
            handshakeHash: try handshake["handshakeHash"].hexValue, remotePublicKey: PublicKey(.zero))
        #expect(keys.holepunchSecret == (try handshake["holepunchSecret"].bytes32Value))

        var ids: [SocketAddress: Bytes32] = [:]
        for node in try transcript["nodes"].arrayValue {
            guard !node["id"].isNull, let address = SocketAddress(text: try node["server"].stringValue) else {
                continue
            }
            ids[address] = try node["id"].bytes32Value
        }
        var verifiedCount = 0
        for packet in try transcript["packets"].arrayValue where !packet["decoded"]["announce"].isNull {
            let request = try RPCRequest(datagram: try packet["hex"].hexValue)
            let destination = try #require(SocketAddress(text: try packet["dst"].stringValue))
            let announcement = try Announcement(decoding: try #require(request.value))
            let kind: Announcement.Kind = request.command == .external(4) ? .announce : .unannounce
            #expect(
                announcement.isValid(
                    kind, target: try #require(request.target), nodeID: try #require(ids[destination]),
                    token: try #require(request.token)))
            verifiedCount += 1
        }
        #expect(verifiedCount > 0)
    }
}

/// Messages as the recorded data describes them.
enum Expected {
    static func address(_ value: JSONValue) throws -> SocketAddress {
        if case .string(let text) = value { return try #require(SocketAddress(text: text)) }
        let host = try value["host"].stringValue
        return try #require(SocketAddress(host: host, port: UInt16(try value["port"].uintValue)))
    }

    static func addresses(_ value: JSONValue) throws -> [SocketAddress] { try value.arrayValue.map(address) }

    static func handshake(_ value: JSONValue) throws -> HandshakeMessage {
        HandshakeMessage(
            mode: try #require(RelayMode(rawValue: try value["mode"].uintValue)), noise: try value["noise"].hexValue,
            peerAddress: try value["peerAddress"].optional(address),
            relayAddress: try value["relayAddress"].optional(address))
    }

    static func holepunch(_ value: JSONValue) throws -> HolepunchMessage {
        HolepunchMessage(
            mode: try #require(RelayMode(rawValue: try value["mode"].uintValue)), id: try value["id"].uintValue,
            payload: try value["payload"].hexValue, peerAddress: try value["peerAddress"].optional(address))
    }

    static func noisePayload(_ value: JSONValue) throws -> NoisePayload {
        var payload = NoisePayload()
        payload.version = try value["version"].uintValue
        payload.error = PeerErrorCode(rawValue: try value["error"].uintValue)
        payload.firewall = try #require(Firewall(rawValue: try value["firewall"].uintValue))
        payload.holepunch = try value["holepunch"].optional { holepunch in
            NoisePayload.Holepunch(
                id: try holepunch["id"].uintValue,
                relays: try holepunch["relays"].arrayValue.map {
                    RelayPath(
                        relayAddress: try address($0["relayAddress"]), peerAddress: try address($0["peerAddress"]))
                })
        }
        payload.addresses4 = try addresses(value["addresses4"])
        payload.addresses6 = try addresses(value["addresses6"])
        payload.stream = try value["udx"].optional { udx in
            var info = NoisePayload.StreamInfo(
                id: UInt32(try udx["id"].uintValue), isSocketReusable: try udx["reusableSocket"].boolValue,
                sequence: try udx["seq"].uintValue)
            info.version = try udx["version"].uintValue
            return info
        }
        payload.secretStreamVersion = try value["secretStream"].optional { try $0["version"].uintValue }
        payload.relayThrough = try value["relayThrough"].optional { relay in
            NoisePayload.RelayThrough(
                publicKey: PublicKey(try relay["publicKey"].bytes32Value), token: try relay["token"].bytes32Value)
        }
        payload.relayAddresses = try value["relayAddresses"].optional(addresses)
        return payload
    }

    static func holepunchPayload(_ value: JSONValue) throws -> HolepunchPayload {
        var payload = HolepunchPayload()
        payload.error = PeerErrorCode(rawValue: try value["error"].uintValue)
        payload.firewall = try #require(Firewall(rawValue: try value["firewall"].uintValue))
        payload.round = try value["round"].uintValue
        payload.isConnected = try value["connected"].boolValue
        payload.isPunching = try value["punching"].boolValue
        payload.addresses = try value["addresses"].optional(addresses)
        payload.remoteAddress = try value["remoteAddress"].optional(address)
        payload.token = try value["token"].optional { try $0.bytes32Value }
        payload.remoteToken = try value["remoteToken"].optional { try $0.bytes32Value }
        return payload
    }

    static func peer(_ value: JSONValue) throws -> PeerRecord {
        PeerRecord(
            publicKey: PublicKey(try value["publicKey"].bytes32Value),
            relayAddresses: try addresses(value["relayAddresses"]))
    }

    static func announcement(_ value: JSONValue) throws -> Announcement {
        Announcement(
            peer: try value["peer"].optional(peer), refresh: try value["refresh"].optional { try $0.bytes32Value },
            signature: try value["signature"].optional { try $0.hexValue }, bump: try value["bump"].uintValue)
    }

    static func mutable(_ value: JSONValue) throws -> MutableRecord {
        MutableRecord(
            sequence: try value["seq"].uintValue, value: try value["value"].hexValue,
            signature: try value["signature"].hexValue)
    }

    static func decode(_ type: String, _ data: [UInt8]) throws {
        switch type {
        case "handshake": _ = try HandshakeMessage(decoding: data)
        case "holepunch": _ = try HolepunchMessage(decoding: data)
        case "noisePayload": _ = try NoisePayload(decoding: data)
        case "holepunchPayload": _ = try HolepunchPayload(decoding: data)
        case "peer": _ = try PeerRecord(decoding: data)
        case "peers", "lookupRawReply": _ = try LookupReply(decoding: data)
        case "announce": _ = try Announcement(decoding: data)
        case "mutablePutRequest": _ = try MutablePut(decoding: data)
        case "mutableGetResponse": _ = try MutableRecord(decoding: data)
        case "pluginRequest": _ = try PluginRequest(decoding: data)
        case "relay.pair": _ = try BlindRelayPair(decoding: data)
        case "relay.unpair": _ = try BlindRelayUnpair(decoding: data)
        default: Issue.record("no codec for \(type)")
        }
    }
}
