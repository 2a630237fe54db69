import DWebBase
import DWebTestSupport
import Testing

@testable import DWebStreamCore

/// Packets recorded from the reference implementation.
@Suite struct UDXVectorTests {
    private static let loaded = Result { try VectorFile.json("udx.json") }
    private let file: JSONValue

    init() throws { file = try Self.loaded.get() }

    private static func sentBytes(_ rule: JSONValue) throws -> [UInt8] {
        let (size, mul, add) = (try rule["size"].intValue, try rule["mul"].intValue, try rule["add"].intValue)
        return (0..<size).map { UInt8(truncatingIfNeeded: $0 * mul + add + ($0 >> 8)) }
    }

    private static func flags(_ text: String) -> UDXPacketFlags {
        var flags: UDXPacketFlags = []
        for name in text.split(whereSeparator: { !$0.isLetter }) {
            switch name {
            case "ACK": break
            case "DATA": flags.insert(.data)
            case "END": flags.insert(.end)
            case "SACK": flags.insert(.sack)
            case "MESSAGE": flags.insert(.message)
            case "DESTROY": flags.insert(.destroy)
            case "HEARTBEAT": flags.insert(.heartbeat)
            default: Issue.record("unknown packet type \(name)")
            }
        }
        return flags
    }

    @Test func everyRecordedHeaderDecodesAndEncodesAgain() throws {
        var count = 0
        for scenario in try file["scenarios"].arrayValue {
            for packet in try scenario["packets"].arrayValue {
                let bytes = try packet["hex"].optional { try $0.hexValue } ?? packet["head"].hexValue
                if bytes.count < UDXHeader.byteCount { continue }
                let header = try #require(UDXHeader(bytes, in: 0..<bytes.count))
                var encoded: [UInt8] = []
                header.append(to: &encoded)
                let blockCount = header.sackBlockCount(rest: bytes.count - UDXHeader.byteCount)
                for index in 0..<blockCount {
                    let block = SACKBlock(bytes, at: UDXHeader.byteCount + 8 * index)
                    #expect(block.start.precedes(block.end))
                    block.append(to: &encoded)
                }
                #expect(encoded == Array(bytes.prefix(encoded.count)))
                for length in 0..<UDXHeader.byteCount { #expect(UDXHeader(bytes, in: 0..<length) == nil) }
                let decoded = packet["decoded"]
                if decoded.isNull { continue }
                count += 1
                #expect(header.flags.rawValue == UInt8(try decoded["type"].intValue))
                #expect(header.flags == Self.flags(try decoded["flags"].stringValue))
                #expect(Int(header.dataOffset) == (try decoded["dataOffset"].intValue))
                #expect(header.streamID == UInt32(try decoded["streamId"].uintValue))
                #expect(header.window == UInt32(try decoded["window"].uintValue))
                #expect(header.sequence == UInt32(try decoded["seq"].uintValue))
                #expect(header.acknowledgement == UInt32(try decoded["ack"].uintValue))
            }
        }
        #expect(count > 0)
    }

    /// Gives one side everything that reached it on the wire and compares what it delivers, and what it answers.
    @Test func receiversDeliverAndAnswerWhatTheReferenceDid() throws {
        var comparedCount = 0
        for scenario in try file["scenarios"].arrayValue {
            for (side, peer) in [("a", "b"), ("b", "a")] {
                let name = "\(try scenario["name"].stringValue), \(side)"
                comparedCount += try replay(scenario, to: side, from: peer, name: name)
            }
        }
        #expect(comparedCount > 900)
    }

    /// Returns how many answers were compared.
    private func replay(_ scenario: JSONValue, to side: String, from peer: String, name: String) throws -> Int {
        let packets = try scenario["packets"].arrayValue
        let written = try scenario["sent"][peer].optional { try $0.arrayValue.flatMap(Self.sentBytes) } ?? []
        let id = UInt32(try scenario["\(side)StreamId"].uintValue)
        var offsets: [UInt32: Int] = [:]
        var offset = 0
        // In bulk scenarios payloads follow from what was written: numbers are given out in order of writing.
        for packet in packets where packet["hex"].isNull && packet["src"] == .string(peer) {
            let head = try packet["head"].hexValue
            let header = try #require(UDXHeader(head, in: 0..<head.count))
            guard !header.flags.isDisjoint(with: [.data, .end]), offsets[header.sequence] == nil else { continue }
            offsets[header.sequence] = offset
            offset += try packet["payloadLength"].intValue
        }
        var arrivals: [[UInt8]] = []
        for packet in packets {
            let destination = try packet["dst"].stringValue
            guard destination == side || destination == side + "2" else { continue }
            if let bytes = try packet["hex"].optional({ try $0.hexValue }) {
                arrivals.append(bytes)
                continue
            }
            var bytes = try packet["head"].hexValue
            let header = try #require(UDXHeader(bytes, in: 0..<bytes.count))
            if !header.flags.isDisjoint(with: [.data, .end]) {
                let start = try #require(offsets[header.sequence])
                bytes += written[start..<start + (try packet["payloadLength"].intValue)]
            }
            arrivals.append(bytes)
        }
        let fixture = try StreamFixture(localID: id, remoteID: 1) { options in
            // What this side sent is not replayed, so that its numbers start where the peer saw them end.
            options.initialSequence =
                arrivals.compactMap { UDXHeader($0, in: 0..<$0.count)?.acknowledgement }.max() ?? 0
            options.acknowledgesEveryPacket = true
        }
        var answers: [UInt32] = []
        for bytes in arrivals {
            #expect(fixture.receive(bytes), "\(name)")
            answers += fixture.transmitHeaders().filter(\.isAcknowledgement).map(\.acknowledgement)
        }
        let expected = try scenario["received"][side]["bytes"].intValue
        #expect(fixture.received == Array(written.prefix(expected)), "\(name)")
        let events = try scenario["events"].arrayValue.map { try $0.stringValue }
        #expect(fixture.events.contains(.ended) == events.contains("\(side): end of stream"), "\(name)")
        #expect(
            fixture.events.contains(.closed(.reset)) == events.contains("\(side): error ECONNRESET"), "\(name)")
        let messages = events.filter { $0.hasPrefix("\(side): message ") }.compactMap {
            Int($0.split(separator: " ")[2])
        }
        let delivered = fixture.events.compactMap { event -> Int? in
            if case .message(let payload) = event { return payload.count }
            return nil
        }
        #expect(delivered == messages, "\(name)")
        // Only where nothing but the arrivals decides: the side sent nothing itself, and nobody stood in between.
        let recorded = try packets.filter { try $0["src"].stringValue == side }.compactMap {
            let bytes = try $0["hex"].optional { try $0.hexValue } ?? $0["head"].hexValue
            return UDXHeader(bytes, in: 0..<bytes.count)
        }
        let reference = recorded.filter(\.isAcknowledgement).map(\.acknowledgement)
        let isAlone = try scenario["sent"][side].optional { try $0.arrayValue.isEmpty } ?? true
        guard isAlone, !(try scenario["proxied"].boolValue) else { return 0 }
        #expect(answers == reference, "\(name)")
        return answers.count
    }

    /// Crafted packets: what the stream answers and what the application sees.
    @Test func probesAreAnsweredAlike() throws {
        for probe in try file["probes"].arrayValue {
            let note = try probe["note"].stringValue
            let fixture = try StreamFixture(
                localID: UInt32(try probe["streamId"].uintValue),
                remoteID: UInt32(try probe["remoteStreamId"].uintValue)
            ) { $0.acknowledgesEveryPacket = true }
            for step in try probe["steps"].arrayValue {
                fixture.forget()
                if let packet = try step["packet"].optional({ try $0.hexValue }) {
                    let isStreamPacket = fixture.receive(packet)
                    #expect(isStreamPacket != (try step["deliveredAsDatagram"].boolValue), "\(note)")
                } else {
                    try fixture.stream.write(try step["data"].hexValue)
                }
                compare(fixture.transmit(), try step["answers"].arrayValue.map { try $0.hexValue }, note)
                if case .array(let events) = step["events"] { try compare(fixture, events, note) }
            }
        }
    }

    private func compare(_ answers: [[UInt8]], _ expected: [[UInt8]], _ note: String) {
        #expect(answers.count == expected.count, "\(note)")
        for (answer, reference) in zip(answers, expected) {
            // The reference stops looking for blocks early (spec 10 section 2.1); ours may report more of them.
            let flags = UInt8(answer[2])
            if flags == UDXPacketFlags.sack.rawValue {
                #expect(Array(answer[3..<20]) == Array(reference[3..<20]), "\(note)")
                #expect(reference[2] == flags || reference[2] == 0, "\(note)")
                #expect(answer.starts(with: answer[..<20] + reference.dropFirst(20)), "\(note)")
            } else {
                #expect(answer == reference, "\(note)")
            }
        }
    }

    private func compare(_ fixture: StreamFixture, _ events: [JSONValue], _ note: String) throws {
        var data = ""
        var rest: [UDXEvent] = []
        for event in try events.map({ try $0.stringValue }) {
            let parts = event.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            switch parts[0] {
            case "data": data += parts[1]
            case "end": rest.append(.ended)
            case "message": rest.append(.message(try #require(Hex.decode(parts[1]))))
            case "error": rest.append(.closed(.reset))
            case "close": break
            default: Issue.record("unknown event \(event)")
            }
        }
        #expect(Hex.encode(fixture.received) == data, "\(note)")
        #expect(fixture.events == rest, "\(note)")
    }
}

extension UDXHeader {
    /// Whether the packet does nothing but acknowledge.
    fileprivate var isAcknowledgement: Bool { flags.isEmpty || flags == .sack }
}
