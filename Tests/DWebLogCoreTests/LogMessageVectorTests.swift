import DWebBase
import DWebLogCore
import DWebTestSupport
import Testing

@Suite struct LogMessageVectorTests {
    let file: JSONValue

    init() throws { file = try LogVectors.replication.get() }

    private static let types: [String: UInt64] = [
        "sync": 0, "request": 1, "cancel": 2, "data": 3, "noData": 4, "want": 5, "unwant": 6, "bitfield": 7, "range": 8,
        "extension": 9,
    ]

    @Test func messages() throws {
        for entry in try file["messages"].arrayValue {
            let type = try entry["type"].uintValue
            let bytes = try entry["data"].hexValue
            let expected = try LogMessage(type: type, json: entry["decoded"])
            var reader = ByteReader(bytes)
            #expect(try LogMessage.decode(type: type, from: &reader) == expected)
            #expect(reader.isAtEnd)
            #expect(expected.type == type)
            if !entry["value"].isNull {
                #expect(try LogMessage(type: type, json: entry["value"]).encoded == bytes)
            }
            // Only no-data, wants and extensions end in something that may be missing.
            var accepted: [Int] = []
            for end in bytes.indices {
                var cut = ByteReader(bytes, range: 0..<end)
                if let message = try? LogMessage.decode(type: type, from: &cut) {
                    accepted.append(end)
                    #expect(message.encoded.count <= bytes.count)
                }
            }
            #expect(accepted.isEmpty || [4, 5, 6, 9].contains(type), "\(expected)")
        }
        var reader = ByteReader([1, 2, 3])
        #expect(try LogMessage.decode(type: LogMessage.typeCount, from: &reader) == nil)
    }

    @Test func reject() throws {
        for entry in try file["messageReject"].arrayValue {
            let name = try entry["name"].stringValue
            let type = try #require(LogMessageVectorTests.types[name])
            let bytes = try entry["data"].hexValue
            var reader = ByteReader(bytes)
            #expect(throws: CodecError.self, "\(name) \(Hex.encode(bytes))") {
                try LogMessage.decode(type: type, from: &reader)
            }
        }
    }

    /// Every message on a log's channel in the recorded sessions.
    @Test func timelines() throws {
        var count = 0
        for scenario in try file["scenarios"].arrayValue {
            for event in try scenario["timeline"].arrayValue where !event["hex"].isNull {
                let payloads = try MultiplexerFrame.messages(in: try event["hex"].hexValue)
                var recorded: [JSONValue] = []
                LogMessageVectorTests.collect(try event["decoded"].arrayValue, into: &recorded)
                #expect(payloads.count == recorded.count)
                for (payload, json) in zip(payloads, recorded) {
                    #expect(payload.channel == (try json["channel"].uintValue))
                    #expect(payload.type == (try json["type"].uintValue))
                    var reader = ByteReader(payload.bytes)
                    let message = try #require(try LogMessage.decode(type: payload.type, from: &reader))
                    #expect(reader.isAtEnd)
                    #expect(message.encoded == payload.bytes)
                    #expect(LogMessageVectorTests.types[try json["name"].stringValue] == message.type)
                    count += 1
                    // Summarised values are known by their bytes only.
                    guard json["value"]["block"]["valueBytes"].isNull, json["value"]["words"].isNull else { continue }
                    #expect(message == (try LogMessage(type: payload.type, json: json["value"])))
                }
            }
        }
        #expect(count > 0)
    }

    private static func collect(_ decoded: [JSONValue], into messages: inout [JSONValue]) {
        for item in decoded {
            if item["kind"] == .string("batch"), let items = try? item["items"].arrayValue {
                collect(items, into: &messages)
            } else if item["kind"] == .string("message") {
                messages.append(item)
            }
        }
    }

    @Test func limits() {
        var bitfield = ByteWriter()
        bitfield.writeUInt(UInt64(0))
        bitfield.writeUInt(LogLimits.bitfieldWordCount + 1)
        bitfield.writeBytes([UInt8](repeating: 0, count: 4 * (LogLimits.bitfieldWordCount + 1)))
        var reader = ByteReader(bitfield.bytes)
        #expect(throws: CodecError.arrayTooLong) { try LogMessage.decode(type: 7, from: &reader) }

        let node = TreeNode(index: 0, size: 0, hash: .zero)
        for (count, isAllowed) in [(LogLimits.proofNodeCount, true), (LogLimits.proofNodeCount + 1, false)] {
            let hash = DataMessage.Hash(index: 0, nodes: Array(repeating: node, count: count))
            let bytes = LogMessage.data(DataMessage(request: 1, fork: 0, hash: hash)).encoded
            var reader = ByteReader(bytes)
            #expect(((try? LogMessage.decode(type: 3, from: &reader)) != nil) == isAllowed)
        }
        let signature = MultiSignature.assemble([
            PartialSignature(
                signer: 0, signature: [UInt8](repeating: 0, count: 64), patch: 1,
                nodes: (0...UInt64(LogLimits.patchNodeCount)).map { TreeNode(index: $0, size: 0, hash: .zero) })
        ])
        #expect(throws: CodecError.arrayTooLong) { try MultiSignature(decoding: signature) }
    }
}

/// As much of the multiplexer's format as is needed to find the messages of channels in a frame; spec 30 section B.
enum MultiplexerFrame {
    struct Message {
        var channel: UInt64
        var type: UInt64
        var bytes: [UInt8]
    }

    static func messages(in frame: [UInt8]) throws(CodecError) -> [Message] {
        var reader = ByteReader(frame)
        let channel = try reader.readUInt()
        let type = try reader.readUInt()
        guard channel == 0 else { return [Message(channel: channel, type: type, bytes: reader.readRest())] }
        guard type == 0 else { return [] }
        var messages: [Message] = []
        var current = try reader.readUInt()
        while !reader.isAtEnd {
            let item = try reader.readBufferRange()
            if item.isEmpty {
                current = try reader.readUInt()
            } else if current != 0 {
                var itemReader = ByteReader(frame, range: item)
                let type = try itemReader.readUInt()
                messages.append(Message(channel: current, type: type, bytes: itemReader.readRest()))
            }
        }
        return messages
    }
}

extension LogMessage {
    /// A message that a vector describes field by field; sections that are absent are null there.
    init(type: UInt64, json: JSONValue) throws {
        func nodes(_ json: JSONValue) throws -> [TreeNode] { try json.arrayValue.map { try TreeNode(json: $0) } }
        func want() throws -> WantMessage {
            WantMessage(
                start: try json["start"].uintValue, length: try json["length"].uintValue,
                any: try json["any"].boolValue)
        }
        switch type {
        case 0:
            self = .sync(
                SyncMessage(
                    fork: try json["fork"].uintValue, length: try json["length"].uintValue,
                    remoteLength: try json["remoteLength"].uintValue, canUpgrade: try json["canUpgrade"].boolValue,
                    uploading: try json["uploading"].boolValue, downloading: try json["downloading"].boolValue,
                    hasManifest: try json["hasManifest"].boolValue, allowPush: try json["allowPush"].boolValue))
        case 1:
            self = .request(
                RequestMessage(
                    id: try json["id"].uintValue, fork: try json["fork"].uintValue, proof: try ProofRequest(json: json),
                    manifest: try json["manifest"].boolValue, priority: try json["priority"].uintValue))
        case 2:
            self = .cancel(CancelMessage(request: try json["request"].uintValue))
        case 3:
            self = .data(
                DataMessage(
                    request: try json["request"].uintValue, fork: try json["fork"].uintValue,
                    block: try json["block"].optional {
                        DataMessage.Block(
                            index: try $0["index"].uintValue, value: try $0["value"].hexValue,
                            nodes: try nodes($0["nodes"]))
                    },
                    hash: try json["hash"].optional {
                        DataMessage.Hash(index: try $0["index"].uintValue, nodes: try nodes($0["nodes"]))
                    },
                    seek: try json["seek"].optional {
                        DataMessage.Seek(bytes: try $0["bytes"].uintValue, nodes: try nodes($0["nodes"]))
                    },
                    upgrade: try json["upgrade"].optional {
                        DataMessage.Upgrade(
                            start: try $0["start"].uintValue, length: try $0["length"].uintValue,
                            nodes: try nodes($0["nodes"]), additionalNodes: try nodes($0["additionalNodes"]),
                            signature: try $0["signature"].optional { try $0.hexValue })
                    },
                    manifest: try json["manifest"].optional { try Manifest(json: $0) }))
        case 4:
            self = .noData(
                NoDataMessage(
                    request: try json["request"].uintValue,
                    reason: NoDataMessage.Reason(rawValue: try json["reason"].uintValue)))
        case 5: self = .want(try want())
        case 6: self = .unwant(try want())
        case 7:
            self = .bitfield(
                BitfieldMessage(
                    start: try json["start"].uintValue,
                    words: try json["bitfield"].arrayValue.map { UInt32(try $0.uintValue) }))
        case 8:
            self = .range(
                RangeMessage(
                    drop: try json["drop"].boolValue, start: try json["start"].uintValue,
                    length: try json["length"].uintValue))
        default:
            self = .extensionMessage(
                ExtensionMessage(name: try json["name"].stringValue, message: try json["message"].hexValue))
        }
    }
}
