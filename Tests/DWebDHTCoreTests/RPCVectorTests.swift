import DWebBase
import DWebCrypto
import DWebTestSupport
import Testing

@testable import DWebDHTCore

extension JSONValue {
    fileprivate var addressValue: SocketAddress {
        get throws { try #require(SocketAddress(text: try stringValue)) }
    }
}

@Suite struct RPCVectorTests {
    // Read once: decoding takes longer than all tests together.
    private static let shared = Result { try VectorFile.json("dht.json") }
    private let file: JSONValue

    init() throws { file = try RPCVectorTests.shared.get() }

    @Test func nodeIDs() throws {
        let cases = try file["nodeId"].arrayValue
        #expect(!cases.isEmpty)
        for item in cases {
            let address = try #require(
                SocketAddress(host: try item["host"].stringValue, port: UInt16(try item["port"].intValue)))
            #expect(NodeID.of(address) == (try item["id"].bytes32Value))
        }
    }

    private func secrets(_ value: JSONValue) throws -> (Bytes32, Bytes32) {
        (try value[0].bytes32Value, try value[1].bytes32Value)
    }

    @Test func tokens() throws {
        let recorded = file["token"]
        let pair = try secrets(recorded["secrets"])
        let issuer = TokenIssuer(secrets: pair, now: .zero)
        let swapped = TokenIssuer(secrets: (pair.1, pair.0), now: .zero)
        for item in try recorded["cases"].arrayValue {
            let address = try #require(SocketAddress(host: try item["host"].stringValue, port: 7))
            let (first, second) = (try item["token0"].bytes32Value, try item["token1"].bytes32Value)
            #expect(issuer.token(for: address) == second)
            #expect(swapped.token(for: address) == first)
            #expect(issuer.accepts(first, from: address.with(port: 8)) && issuer.accepts(second, from: address))
        }
    }

    @Test func tokenRotation() throws {
        let steps = try file["token"]["rotation"].arrayValue
        var issuer = TokenIssuer(secrets: try secrets(steps[0]["secrets"]), now: .zero)
        for (index, step) in steps.enumerated() {
            issuer.wake(now: .zero + RPCConstants.tokenRotation * index)
            let expected = try secrets(step["secrets"])
            #expect(issuer.secrets.0 == expected.0 && issuer.secrets.1 == expected.1)
        }
    }

    @Test func requests() throws {
        for item in try file["requests"].arrayValue {
            let number = try item["command"].uintValue
            let request = RPCRequest(
                transaction: UInt16(try item["tid"].intValue), to: try item["to"].addressValue,
                id: try item["id"].optional { try $0.bytes32Value },
                token: try item["token"].optional { try $0.bytes32Value },
                command: try item["internal"].boolValue ? .internal(number) : .external(number),
                target: try item["target"].optional { try $0.bytes32Value },
                value: try item["value"].optional { try $0.hexValue })
            let data = try item["data"].hexValue
            #expect(request.encoded() == data)
            #expect(try RPCRequest(datagram: data) == request)
            #expect(try RPCRequest(datagram: data + [1, 2, 3]) == request, "trailing bytes are ignored")
            for length in 0..<data.count {
                #expect(throws: CodecError.self) { try RPCRequest(datagram: Array(data[..<length])) }
            }
        }
    }

    @Test func responses() throws {
        for item in try file["responses"].arrayValue {
            let data = try item["data"].hexValue
            // What the table returned is recorded even where the responder left it out.
            let includesCloserNodes = data[1] & 4 != 0
            let response = RPCResponse(
                transaction: UInt16(try item["tid"].intValue), to: try item["to"].addressValue,
                id: try item["id"].optional { try $0.bytes32Value },
                token: try item["token"].optional { try $0.bytes32Value },
                closerNodes: includesCloserNodes ? try item["closerNodes"].arrayValue.map { try $0.addressValue } : [],
                error: RPCErrorCode(rawValue: try item["error"].uintValue),
                value: try item["value"].optional { try $0.hexValue })
            #expect(try RPCResponse(datagram: data) == response)
            #expect(response.encoded() == data)
            for length in 0..<data.count {
                #expect(throws: CodecError.self) { try RPCResponse(datagram: Array(data[..<length])) }
            }
            #expect(item["sentTo"] == item["requestSource"])
        }
    }

    /// A node at the recorded responder's address, without nodes in its table.
    private func responder(_ address: SocketAddress, isPersistent: Bool) throws -> RPCNode {
        let node = RPCNode(.bootstrapper(address: address), random: SecureRandom(seed: .zero), now: .zero)
        node.start(serverPort: address.port, now: .zero)
        while node.pollOutput() != nil {}
        node.isEphemeral = !isPersistent
        node.tokens = TokenIssuer(secrets: try secrets(file["token"]["secrets"]), now: .zero)
        return node
    }

    private func datagrams(of node: RPCNode) -> [OutgoingDatagram] {
        var result: [OutgoingDatagram] = []
        while let output = node.pollOutput() {
            if case .send(let datagram) = output { result.append(datagram) }
        }
        return result
    }

    @Test func repliesOfANode() throws {
        var count = 0
        for item in try file["responses"].arrayValue where try item["closerNodes"].arrayValue.isEmpty {
            let node = try responder(
                try item["responder"].addressValue, isPersistent: try item["responderPersistent"].boolValue)
            let socket: SocketID = try item["arrivedOn"].stringValue == "server" ? .server : .client
            node.handle(
                ByteReader(try item["request"].hexValue), from: try item["requestSource"].addressValue, on: socket,
                now: .zero)
            if case .request(let incoming)? = node.outputs.first {
                node.reply(
                    to: incoming, value: try item["value"].optional { try $0.hexValue },
                    error: RPCErrorCode(rawValue: try item["error"].uintValue), includesToken: !item["token"].isNull)
            }
            let sent = datagrams(of: node)
            #expect(sent.map(\.bytes) == [try item["data"].hexValue])
            #expect(sent.map(\.destination) == [try item["sentTo"].addressValue])
            #expect(sent.map(\.socket) == [socket])
            count += 1
        }
        #expect(count > 0)
    }

    @Test func tokenCheck() throws {
        for item in try file["tokenCheck"].arrayValue {
            let data = try item["request"].hexValue
            let node = try responder(try RPCRequest(datagram: data).to, isPersistent: true)
            node.handle(ByteReader(data), from: try item["requestSource"].addressValue, on: .server, now: .zero)
            let outputs = Array(node.outputs)
            if try item["accepted"].boolValue {
                #expect(outputs.count == 1)
                guard case .request? = outputs.first else {
                    Issue.record("a valid token was refused: \(try item["note"].stringValue)")
                    continue
                }
            } else {
                let sent = datagrams(of: node)
                #expect(outputs.count == 1 && sent.count == 1)
                #expect(sent.first?.bytes == (try item["reply"].hexValue))
                let response = try RPCResponse(datagram: try #require(sent.first).bytes)
                #expect(response.error.rawValue == (try item["replyError"].uintValue))
            }
        }
    }

    @Test func ignored() throws {
        for item in try file["ignore"].arrayValue {
            let node = try responder(try #require(SocketAddress(text: "1.2.3.4:5")), isPersistent: true)
            // A request is waiting with the transaction id that the recorded responses name.
            let data = try item["data"].hexValue
            if data.count >= 4 { node.nextTransaction = UInt16(data[2]) | UInt16(data[3]) << 8 }
            let source = try #require(SocketAddress(text: "9.8.7.6:1000"))
            node.ping(source, now: .zero)
            #expect(datagrams(of: node).count == 1)
            node.handle(ByteReader(data), from: source, on: .server, now: .zero)
            let note = try item["note"].stringValue
            #expect(node.outputs.isEmpty, "\(note)")
            #expect(node.nodeCount == 0 && node.requestCount == 1)
        }
    }

    @Test func idCheck() throws {
        for item in try file["idCheck"].arrayValue {
            let data = try item["data"].hexValue
            let node = try responder(try RPCRequest(datagram: data).to, isPersistent: true)
            node.handle(ByteReader(data), from: try item["source"].addressValue, on: .server, now: .zero)
            #expect(datagrams(of: node).count == 1, "answered either way")
            let effective = try item["effectiveId"].optional { try $0.bytes32Value }
            #expect(node.nodeCount == (effective == nil ? 0 : 1))
            if let effective { #expect(node.table.contains(effective)) }
        }
    }

    @Test func routingTable() throws {
        let recorded = file["routingTable"]
        var table = RoutingTable(id: try recorded["id"].bytes32Value)
        var refused = 0
        for item in try recorded["nodes"].arrayValue {
            let address = try #require(
                SocketAddress(host: try item["host"].stringValue, port: UInt16(try item["port"].intValue)))
            let isInserted = table.insert(
                TableNode(id: try item["id"].bytes32Value, address: address, tick: 1))
            #expect(isInserted == (try item["inserted"].boolValue))
            if !isInserted { refused += 1 }
        }
        #expect(refused > 0)
        for item in try recorded["closest"].arrayValue {
            let expected = try item["result"].arrayValue.map { try $0.addressValue }
            #expect(table.closestAddresses(to: try item["target"].bytes32Value) == expected)
        }
    }

    @Test func natSampler() throws {
        for sequence in try file["natSampler"].arrayValue {
            var sampler = NATSampler()
            for step in try sequence.arrayValue {
                sampler.add(try step["add"].addressValue)
                #expect(sampler.address?.host == (try step["host"].optional { try $0.stringValue }))
                #expect((sampler.address?.port ?? 0) == UInt16(try step["port"].intValue))
            }
        }
    }

    @Test func transcript() throws {
        var counts = (requests: 0, responses: 0)
        for packet in try file["transcript"]["packets"].arrayValue {
            let decoded = packet["decoded"]
            let data = try packet["hex"].hexValue
            let source = try packet["src"].addressValue
            switch decoded["kind"] {
            case .string("request"):
                let request = try RPCRequest(datagram: data)
                #expect(request.transaction == UInt16(try decoded["tid"].intValue))
                #expect(request.to == (try decoded["to"].addressValue))
                #expect(request.command.number == (try decoded["command"].uintValue))
                #expect(request.command.isInternal == (decoded["internal"] == .bool(true)))
                #expect(request.id == (try decoded["id"].optional { try $0.bytes32Value }))
                #expect(request.token == (try decoded["token"].optional { try $0.bytes32Value }))
                #expect(request.target == (try decoded["target"].optional { try $0.bytes32Value }))
                #expect(request.encoded() == data)
                if let id = request.id { #expect(id == NodeID.of(source)) }
                counts.requests += 1
            case .string("response"):
                let response = try RPCResponse(datagram: data)
                #expect(response.transaction == UInt16(try decoded["tid"].intValue))
                #expect(response.to == (try decoded["to"].addressValue))
                #expect(response.error.rawValue == (try decoded["error"].uintValue))
                #expect(response.id == (try decoded["id"].optional { try $0.bytes32Value }))
                #expect(response.token == (try decoded["token"].optional { try $0.bytes32Value }))
                let closer = try decoded["closerNodes"].optional { try $0.arrayValue.map { try $0.addressValue } }
                #expect(response.closerNodes == closer ?? [])
                #expect(response.encoded() == data)
                if let id = response.id { #expect(id == NodeID.of(source)) }
                counts.responses += 1
            default:
                continue
            }
        }
        #expect(counts.requests > 0 && counts.responses > 0)
    }
}
