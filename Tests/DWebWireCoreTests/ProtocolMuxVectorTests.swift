import DWebBase
import DWebTestSupport
import DWebWireCore
import Testing

@Suite struct ProtocolMuxVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("protomux.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func scenariosReproduce() throws {
        for scenario in try vectors["scenarios"].arrayValue {
            var sides = ["a": Side(), "b": Side()]
            let aliases = try ProtocolMuxVectorTests.aliases(in: scenario)
            for message in try scenario["messages"].arrayValue {
                let name = try message["from"].stringValue
                let other = name == "a" ? "b" : "a"
                guard message["end"].isNull else { continue }
                guard message["destroyed"].isNull else {
                    #expect(sides[name]!.violation != nil, "\(scenario["name"])")
                    continue
                }
                let expected = try message["hex"].hexValue
                if sides[name]!.violation == nil {
                    let produced = try sides[name]!.perform(try message["decoded"].arrayValue, aliases: aliases)
                    #expect(produced == [expected], "\(scenario["name"])")
                }
                try sides[other]!.receive(expected)
            }
            for name in ["a", "b"] {
                try sides[name]!.end()
                let deliveries = try scenario["deliveries"].arrayValue.filter { try $0["side"].stringValue == name }
                // A handler that answers did not write down what it answered.
                let answers = try scenario["setup"].stringValue.hasPrefix("\(name) answers every message")
                try sides[name]!.compare(with: deliveries, includingMessages: !answers)
            }
        }
    }

    @Test func everyTruncationOfEveryMessageIsHandled() throws {
        for scenario in try vectors["scenarios"].arrayValue {
            for message in try scenario["messages"].arrayValue where !message["hex"].isNull {
                let bytes = try message["hex"].hexValue
                for count in 0..<min(bytes.count, 200) {
                    let mux = ProtocolMux()
                    mux.receive(Array(bytes[..<count]))
                    // Cut messages are a violation, ignored, or wait for a channel; what counts is that none traps.
                    do {
                        while let event = try mux.pollEvent() {
                            if case .opened = event { Issue.record("a channel opened that nobody wanted") }
                        }
                    } catch {
                        #expect(error != .failed)
                    }
                }
            }
        }
    }

    @Test func refusals() throws {
        for item in try vectors["reject"].arrayValue {
            var side = Side()
            _ = try side.mux.open(ChannelIdentity("foo", id: [0xab]), handshake: [0])
            _ = side.mux.takeMessages()
            try side.receive([0, 1, 1, 3, 0x66, 0x6f, 0x6f, 1, 0xab, 0])
            #expect(side.deliveries.count == 1)
            let note = try item["note"].stringValue
            let isDestroyed = try item["reference"].stringValue.hasPrefix("destroy")
            try side.receive(item["hex"].hexValue)
            if isDestroyed {
                #expect(side.violation != nil, "\(note)")
                if side.violation is ProtocolMuxError { #expect(throws: Never.self) { try side.mux.pollEvent() } }
            } else if note != "batch: item length beyond the end", note != "batch inside a batch" {
                #expect(side.violation == nil, "\(note)")
            }
        }
    }

    private static func aliases(in scenario: JSONValue) throws -> [String: [String]] {
        // "a: protocol new/1 with alias old; ..."
        let words = try scenario["setup"].stringValue.split { " ;:,".contains($0) }.map(String.init)
        guard let place = words.firstIndex(of: "alias"), place > 1, place + 1 < words.count else { return [:] }
        return [words[place - 2]: [words[place + 1]]]
    }
}

/// An application with a multiplexer: it does what the recording says and writes down what it is told.
private struct Side {
    struct Delivery {
        let event: String
        let channel: ChannelID
        let detail: JSONValue
        let type: UInt64?
    }

    let mux = ProtocolMux()
    var deliveries: [Delivery] = []
    var violation: (any Error)?
    private var channels: [Int: ChannelID] = [:]
    private var remoteOpens: [Int: ChannelIdentity] = [:]
    private var requests: [ChannelIdentity] = []

    mutating func perform(_ items: [JSONValue], aliases: [String: [String]]) throws -> [[UInt8]] {
        for item in items {
            switch try item["kind"].stringValue {
            case "open":
                let identity = ChannelIdentity(
                    try item["protocol"].stringValue, id: try item["id"].optional { try $0.hexValue } ?? [])
                let localID = try item["localId"].intValue
                channels[localID] = try mux.open(
                    identity, aliases: aliases[identity.protocolName] ?? [], handshake: item["handshake"].hexValue)
                if let index = requests.firstIndex(of: identity) {
                    requests.remove(at: index)
                    mux.rejectUnclaimed(identity)
                }
            case "reject":
                let identity = try #require(remoteOpens[try item["id"].intValue])
                requests.removeAll { $0 == identity }
                mux.rejectUnclaimed(identity)
            case "close":
                mux.close(try #require(channels[try item["localId"].intValue]))
            case "batch":
                mux.cork()
                #expect(try perform(item["items"].arrayValue, aliases: aliases).isEmpty)
                mux.uncork()
            case "message":
                let channel = try #require(channels[try item["channel"].intValue])
                try mux.send(channel, type: item["type"].uintValue, payload: item["payload"].hexValue)
            case let other:
                Issue.record("unknown kind of message: \(other)")
            }
        }
        try poll()
        return mux.takeMessages().messages
    }

    mutating func receive(_ message: [UInt8]) throws {
        guard violation == nil else { return }
        noteOpens(ByteReader(message))
        mux.receive(message)
        try poll()
    }

    mutating func end() throws {
        mux.streamEnded()
        violation = nil
        try poll()
        #expect(mux.takeMessages().isEmpty)
    }

    // What happens on one channel has an order; what happens on several depends on when a process read its socket.
    func compare(with expected: [JSONValue], includingMessages: Bool) throws {
        var expectedByChannel: [String: [String]] = [:]
        for item in expected {
            let event = try item["event"].stringValue
            let detail = item[event == "open" ? "handshake" : event == "close" ? "remote" : "value"]
            expectedByChannel[try item["channel"].stringValue, default: []].append("\(event) \(item["type"]) \(detail)")
        }
        var byChannel: [ChannelID: [String]] = [:]
        for delivery in deliveries where includingMessages || delivery.event != "message" {
            let type = delivery.type.map { JSONValue.integer(Int64($0)) } ?? .null
            byChannel[delivery.channel, default: []].append("\(delivery.event) \(type) \(delivery.detail)")
        }
        #expect(byChannel.values.map { "\($0)" }.sorted() == expectedByChannel.values.map { "\($0)" }.sorted())
    }

    private mutating func poll() throws {
        do {
            while let event = try mux.pollEvent() {
                switch event {
                case .opened(let channel, let handshake):
                    var reader = handshake.reader
                    add("open", channel, .string(try reader.readString()))
                case .message(let channel, let type, let payload):
                    var reader = payload.reader
                    switch type {
                    case 0: add("message", channel, .string(try reader.readString()), type)
                    case 1: add("message", channel, .integer(Int64(try reader.readUInt())), type)
                    case 2: add("message", channel, .string(Hex.encode(reader.readRest())), type)
                    default: break
                    }
                case .closed(let channel, let isRemote):
                    add("close", channel, .bool(isRemote))
                case .pairRequest(let identity):
                    requests.append(identity)
                }
            }
        } catch {
            violation = error
        }
    }

    private mutating func add(_ event: String, _ channel: ChannelID, _ detail: JSONValue, _ type: UInt64? = nil) {
        deliveries.append(Delivery(event: event, channel: channel, detail: detail, type: type))
    }

    // Rejects name the peer's ids only, so the recording's opens are remembered here as well.
    private mutating func noteOpens(_ message: ByteReader) {
        var reader = message
        guard let channel = try? reader.readUInt(), channel == 0, let type = try? reader.readUInt() else { return }
        if type == 1, let id = try? reader.readUInt(), let name = try? reader.readString(),
            let bytes = try? reader.readBuffer()
        {
            remoteOpens[Int(id)] = ChannelIdentity(name, id: bytes)
        }
        guard type == 0, var current = try? reader.readUInt() else { return }
        while let count = try? reader.readUInt() {
            if count == 0 {
                current = (try? reader.readUInt()) ?? 0
            } else if let range = try? reader.skip(Int(count)), current == 0 {
                noteOpens(ByteReader([0] + reader.source[range]))
            }
        }
    }
}
