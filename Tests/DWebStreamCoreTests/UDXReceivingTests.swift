import DWebBase
import DWebStreamFuzz
import Testing

@testable import DWebStreamCore

/// Items 1 to 24 of the conformance checklist, spec 10 section 15.
@Suite struct UDXReceivingTests {
    private let hello = Array("hello".utf8)

    @Test func item01HelloAndEndShareAPacket() throws {
        let fixture = try StreamFixture()
        try fixture.stream.write(hello)
        try fixture.stream.end()
        #expect(fixture.transmit().map { Hex.encode($0) } == ["ff0103000d0c0b0a00004000000000000000000068656c6c6f"])
    }

    @Test func item02PureAcknowledgement() throws {
        let fixture = try StreamFixture()
        try fixture.stream.write([1])
        _ = fixture.transmit()
        fixture.receive(fixture.packet(.data, sequence: 0, acknowledgement: 1, [1]))
        #expect(fixture.transmit().map { Hex.encode($0) } == ["ff0100000d0c0b0a000040000100000001000000"])
    }

    @Test func item03SelectiveAcknowledgement() throws {
        let fixture = try StreamFixture()
        for sequence: UInt32 in 1...3 { fixture.receive(fixture.packet(.data, sequence: sequence, [1])) }
        #expect(
            fixture.transmit().map { Hex.encode($0) }
                == ["ff0104000d0c0b0a000040000000000000000000" + "0100000004000000"])
    }

    @Test func item04BlocksBeforeAPayload() throws {
        let fixture = try StreamFixture()
        for _ in 0..<3 {
            try fixture.stream.write([UInt8](repeating: 1, count: 10))
            _ = fixture.transmit()
        }
        let block = SACKBlock(start: 1, end: 3)
        fixture.receive(fixture.packet([.data, .sack], sequence: 0, offset: 8, blocks: [block], hello))
        #expect(fixture.received == hello)
        #expect(fixture.stream.machine.selectivelyAcknowledgedCount == 2)
        let other = try StreamFixture()
        for _ in 0..<3 {
            try other.stream.write([1])
            _ = other.transmit()
        }
        other.receive(other.packet(.sack, blocks: [block]))
        #expect(other.stream.machine.selectivelyAcknowledgedCount == 2)
    }

    @Test func items05to07PlainDatagrams() throws {
        let fixture = try StreamFixture()
        let valid = fixture.packet(.data, [1])
        #expect(!fixture.receive(Array(valid.prefix(19))))
        var version = valid
        version[1] = 2
        #expect(!fixture.receive(version))
        var unknown = valid
        unknown[4] ^= 1
        #expect(!fixture.receive(unknown))
        #expect(fixture.transmit().isEmpty)
        fixture.receive(fixture.packet(.destroy))
        #expect(fixture.events == [.closed(.reset)])
        #expect(!fixture.receive(valid))
        #expect(fixture.transmit().isEmpty)
    }

    @Test func item08DroppedPacketsAreNotShown() throws {
        let fixture = try StreamFixture()
        #expect(fixture.receive(fixture.packet(.data, offset: 9, hello)))
        #expect(fixture.receive(fixture.packet(.data, hello), on: fixture.otherSocket))
        #expect(fixture.received.isEmpty)
    }

    @Test func item09OtherProtocolsPass() throws {
        let fixture = try StreamFixture()
        #expect(!fixture.receive([0x03] + [UInt8](repeating: 0, count: 40)))
        #expect(!fixture.receive([0x13] + [UInt8](repeating: 0, count: 40)))
        #expect(!fixture.receive([0]))
        #expect(!fixture.receive([]))
    }

    @Test func item10DataOffsetBeyondThePacket() throws {
        let fixture = try StreamFixture()
        #expect(fixture.receive(fixture.packet(.data, offset: 6, hello)))
        #expect(fixture.received.isEmpty)
        #expect(fixture.transmit().isEmpty)
    }

    @Test func item11Padding() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, offset: 8, [UInt8](repeating: 0, count: 8) + Array("abc".utf8)))
        #expect(fixture.received == Array("abc".utf8))
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [1])
    }

    @Test func item12UnknownFlags() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(UDXPacketFlags(rawValue: 0xc1), [1]))
        #expect(fixture.received == [1])
        #expect(fixture.transmitHeaders().map(\.flags.rawValue) == [0])
    }

    @Test func item13EveryDataPacketIsAnswered() throws {
        let fixture = try StreamFixture { $0.acknowledgesEveryPacket = true }
        let first = fixture.packet(.data, sequence: 0, [1])
        for packet in [first, first, fixture.packet(.data, sequence: 2, [2]), first, fixture.packet(.end, sequence: 3)]
        {
            fixture.receive(packet)
        }
        let answers = fixture.transmitHeaders()
        #expect(answers.map(\.acknowledgement) == [1, 1, 1, 1, 1])
        #expect(answers.map(\.flags) == [[], [], .sack, .sack, .sack])
        #expect(fixture.received == [1])
    }

    @Test func item13OneAnswerCoversABatch() throws {
        let fixture = try StreamFixture()
        for sequence in 0..<200 { fixture.receive(fixture.packet(.data, sequence: UInt32(sequence), [1])) }
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [64, 128, 192, 200])
        fixture.receive(fixture.packet(.data, sequence: 3, [1]))
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [200])
        #expect(fixture.transmit().isEmpty)
    }

    @Test func item14Heartbeat() throws {
        let fixture = try StreamFixture()
        let heartbeat = fixture.packet(
            [.heartbeat, .data], sequence: 0, acknowledgement: 7, window: 1, hello)
        fixture.receive(heartbeat)
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [0])
        #expect(fixture.received.isEmpty)
        #expect(fixture.stream.statistics.peerWindowByteCount == 4 << 20)
    }

    @Test func item15NothingAnswersTheRest() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.message, hello))
        fixture.receive(fixture.packet([]))
        fixture.receive(fixture.packet(.sack, blocks: [SACKBlock(start: 1, end: 2)]))
        fixture.receive(fixture.packet(.destroy))
        #expect(fixture.transmit().isEmpty)
    }

    @Test func item16ReorderedPackets() throws {
        let fixture = try StreamFixture { $0.acknowledgesEveryPacket = true }
        for sequence: UInt32 in [1, 3, 2, 0] {
            fixture.receive(fixture.packet(.data, sequence: sequence, [UInt8(sequence)]))
        }
        let answers = fixture.transmit()
        let blocks = answers.map { answer in
            stride(from: 20, to: answer.count, by: 8).map { SACKBlock(answer, at: $0) }
        }
        #expect(
            blocks == [
                [SACKBlock(start: 1, end: 2)], [SACKBlock(start: 1, end: 2), SACKBlock(start: 3, end: 4)],
                [SACKBlock(start: 1, end: 4)], [],
            ])
        #expect(UDXHeader(answers[3], in: 0..<20)?.acknowledgement == 4)
        #expect(fixture.received == [0, 1, 2, 3])
    }

    @Test func item17WrapAround() throws {
        let network = SimulatedNetwork(
            seed: 3, conditions: PathConditions(loss: 0.1, reordering: 0.2, reorderDelay: 8_000_000))
        let (_, b) = (network.addNode(), network.addNode())
        var first = UDXStreamOptions()
        first.initialSequence = 0xffff_fff0
        var second = UDXStreamOptions()
        second.initialAcknowledgement = 0xffff_fff0
        let (left, right) = try network.connectPair(first, second)
        let bytes = testBytes(64 * 1_152)
        try left.write(bytes)
        try left.end()
        try right.end()
        #expect(network.run(for: .seconds(20)) { left.closeReason != nil && right.closeReason != nil })
        #expect(b.received[2] == bytes)
        #expect(left.closeReason == .finished)
        #expect(network.sent.contains { $0.isNumbered && $0.header?.sequence == 0xffff_fff0 })
        #expect(network.sent.contains { $0.isNumbered && $0.header?.sequence == 3 })
    }

    @Test func item18AcknowledgesWhatWasNeverSent() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.data, sequence: 0, acknowledgement: 9, window: 5, hello))
        #expect(fixture.received == hello)
        #expect(fixture.transmit().isEmpty)
        #expect(fixture.stream.statistics.peerWindowByteCount == 4 << 20)
    }

    @Test func item19InvalidBlocks() throws {
        let fixture = try StreamFixture()
        for _ in 0..<6 {
            try fixture.stream.write([1])
            _ = fixture.transmit()
        }
        fixture.receive(fixture.packet([], acknowledgement: 1))
        fixture.receive(
            fixture.packet(
                .sack, acknowledgement: 1,
                blocks: [
                    SACKBlock(start: 0, end: 2), SACKBlock(start: 4, end: 4), SACKBlock(start: 5, end: 4),
                    SACKBlock(start: 3, end: 4), SACKBlock(start: 5, end: 7), SACKBlock(start: 0x8000_0000, end: 3),
                ]))
        #expect(fixture.stream.machine.selectivelyAcknowledgedCount == 1)
        #expect(fixture.stream.machine.packets[3].state == .selectivelyAcknowledged)
    }

    @Test func overlappingBlocksAreVisitedOnce() throws {
        let fixture = try StreamFixture()
        for _ in 0..<10 {
            try fixture.stream.write([1])
            _ = fixture.transmit()
        }
        let block = SACKBlock(start: 2, end: 6)
        fixture.receive(
            fixture.packet(.sack, blocks: [block, block, SACKBlock(start: 3, end: 9), SACKBlock(start: 7, end: 8)]))
        #expect(fixture.stream.machine.selectivelyAcknowledgedCount == 5)
        fixture.receive(fixture.packet(.sack, blocks: [SACKBlock(start: 2, end: 8)]))
        #expect(fixture.stream.machine.selectivelyAcknowledgedCount == 6)
        fixture.receive(fixture.packet([], acknowledgement: 10))
        #expect(fixture.stream.machine.selectivelyAcknowledgedCount == 0)
        #expect(fixture.stream.isFlushed)
    }

    @Test func item20AtMostFiftyBlocks() throws {
        let fixture = try StreamFixture()
        for sequence: UInt32 in stride(from: 1, through: 300, by: 2) {
            fixture.receive(fixture.packet(.data, sequence: sequence, [1]))
        }
        // Each packet has at most 50 blocks, ascending; together they report everything.
        var reported: Set<UInt32> = []
        let sent = fixture.transmit()
        for bytes in sent {
            #expect(bytes.count <= 420 && bytes.count % 8 == 4)
            let blocks = stride(from: 20, to: bytes.count, by: 8).map { SACKBlock(bytes, at: $0) }
            #expect(zip(blocks, blocks.dropFirst()).allSatisfy { $0.end.precedes($1.start) })
            for block in blocks {
                #expect(block.end == block.start + 1 && block.start % 2 == 1)
                reported.insert(block.start)
            }
        }
        #expect(sent.last?.count == 420)
        #expect(reported == Set(stride(from: 1, through: 300, by: 2)))
        // Whatever arrives is reported at once, among others in turn.
        reported = []
        for sequence: UInt32 in stride(from: 302, to: 322, by: 2) {
            fixture.receive(fixture.packet(.data, sequence: sequence, [1]))
            let answer = try #require(fixture.transmit().last)
            let blocks = stride(from: 20, to: answer.count, by: 8).map { SACKBlock(answer, at: $0) }
            #expect(blocks.count == 50)
            #expect(blocks.last == SACKBlock(start: sequence, end: sequence + 1))
            reported.formUnion(blocks.map(\.start))
        }
        #expect(reported.count == 160)
    }

    /// The first packets are lost every other one, thousands of them: the sender learns of each that arrived.
    @Test func everyWaitingPacketIsReported() throws {
        let network = SimulatedNetwork(conditions: PathConditions(latency: 50_000_000))
        let (_, b) = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        let bytes = testBytes(3_000_000)
        try left.write(bytes)
        network.drops = { $0.isNumbered && $0.time < 1_700_000_000 && $0.header!.sequence % 2 == 0 }
        #expect(network.run(for: .seconds(30)) { left.isFlushed })
        #expect(b.received[2] == bytes)
        #expect(right.statistics.duplicatesReceived == 0)
    }

    @Test func item21WindowUpdates() throws {
        let fixture = try StreamFixture()
        func window() -> Int { fixture.stream.statistics.peerWindowByteCount }
        fixture.receive(fixture.packet([], sequence: 5, window: 10_000))
        #expect(window() == 10_000)
        fixture.receive(fixture.packet([], sequence: 4, window: 90_000))
        #expect(window() == 10_000)
        fixture.receive(fixture.packet([], sequence: 5, window: 20_000))
        #expect(window() == 20_000)
        try fixture.stream.write([1])
        _ = fixture.transmit()
        fixture.receive(fixture.packet([], sequence: 5, acknowledgement: 1, window: 30_000))
        #expect(window() == 30_000)
        fixture.receive(fixture.packet([], sequence: 6, acknowledgement: 0, window: 1))
        #expect(window() == 30_000)
    }

    @Test func item22FarAhead() throws {
        let fixture = try StreamFixture()
        for sequence: UInt32 in [65_536, 70_000, 0x7fff_ffff] {
            fixture.receive(fixture.packet(.data, sequence: sequence, hello))
        }
        #expect(!fixture.stream.machine.receiving.hasGap)
        #expect(fixture.stream.machine.receiving.waitingByteCount == 0)
        fixture.receive(fixture.packet(.data, sequence: 65_535, hello))
        #expect(Array(fixture.stream.machine.receiving.runs) == [SACKBlock(start: 65_535, end: 65_536)])
    }

    @Test func item22WaitingBytesAreBounded() throws {
        let fixture = try StreamFixture { $0.receiveWindowByteCount = 100_000 }
        let payload = [UInt8](repeating: 1, count: 1_400)
        for sequence: UInt32 in 1...2_000 { fixture.receive(fixture.packet(.data, sequence: sequence, payload)) }
        let limit = 100_000 + UDXLimits.byteCountBeyondWindow
        #expect(fixture.stream.machine.receiving.waitingByteCount <= limit)
        #expect(fixture.stream.machine.receiving.waitingByteCount > limit - 2_000)
        // What fills the gap is still taken, and frees the room.
        fixture.receive(fixture.packet(.data, sequence: 0, payload))
        #expect(fixture.stream.machine.receiving.waitingByteCount == 0)
        #expect(fixture.received.count % 1_400 == 0)
        #expect(fixture.received.count > 1_000_000)
    }

    @Test func item23EndOutOfOrder() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet([.data, .end], sequence: 1, [2]))
        #expect(fixture.events.isEmpty)
        fixture.receive(fixture.packet(.data, sequence: 0, [1]))
        #expect(fixture.received == [1, 2])
        #expect(fixture.events == [.ended])
    }

    @Test func item24DataAfterEnd() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet(.end, sequence: 0))
        _ = fixture.transmit()
        fixture.receive(fixture.packet(.data, sequence: 1, hello))
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [1])
        #expect(fixture.received.isEmpty)
        // Also what was waiting behind the end.
        let other = try StreamFixture()
        other.receive(other.packet(.data, sequence: 2, hello))
        other.receive(other.packet(.end, sequence: 1))
        other.receive(other.packet(.data, sequence: 0, [1]))
        #expect(other.received == [1])
        #expect(other.events == [.ended])
        #expect(other.transmitHeaders().last?.acknowledgement == 2)
    }

    @Test func windowFollowsUnreadBytes() throws {
        let fixture = try StreamFixture { $0.receiveWindowByteCount = 10_000 }
        fixture.readsAutomatically = false
        fixture.receive(fixture.packet(.data, sequence: 0, [UInt8](repeating: 0, count: 1_400)))
        #expect(fixture.transmitHeaders().map(\.window) == [8_600])
        for sequence: UInt32 in 1...6 {
            fixture.receive(fixture.packet(.data, sequence: sequence, [UInt8](repeating: 0, count: 1_400)))
        }
        // 200 bytes are left, which is no room for a packet.
        #expect(fixture.transmitHeaders().map(\.window) == [0])
        // Item 37: data at a closed window is taken.
        fixture.receive(fixture.packet(.data, sequence: 7, [UInt8](repeating: 0, count: 1_400)))
        #expect(fixture.transmitHeaders().map(\.acknowledgement) == [8])
        #expect(fixture.stream.readAll().count == 8 * 1_400)
        // Reading opens the window and says so.
        #expect(fixture.transmitHeaders().map(\.window) == [10_000])
    }

    /// A peer that disregards the window, and a reader that does not read.
    @Test func unreadBytesAreBounded() throws {
        let fixture = try StreamFixture { $0.receiveWindowByteCount = 100_000 }
        fixture.readsAutomatically = false
        let payload = [UInt8](repeating: 1, count: 1_400)
        var sequence: UInt32 = 0
        for _ in 0..<2_000 {
            fixture.receive(fixture.packet(.data, sequence: sequence, payload))
            // Half of them out of order.
            fixture.receive(fixture.packet(.data, sequence: sequence + 2, payload))
            sequence = fixture.transmitHeaders().last?.acknowledgement ?? sequence
            #expect(fixture.stream.brokenInvariant == nil)
        }
        let limit = 100_000 + UDXLimits.byteCountBeyondWindow
        #expect(fixture.stream.unreadByteCount <= limit)
        #expect(fixture.stream.unreadByteCount > limit - 5_000)
        // What was refused was not acknowledged, so that nothing is missing once the reader is back.
        let count = fixture.stream.readAll().count
        #expect(count == Int(sequence) * 1_400)
        fixture.receive(fixture.packet(.data, sequence: sequence, payload))
        #expect(fixture.stream.unreadByteCount == 1_400)
    }

    @Test func messagesAreBounded() throws {
        let fixture = try StreamFixture()
        var batch = DatagramBatch()
        for _ in 0..<(UDXLimits.messageEvents + 10) {
            batch.append(fixture.packet(.message, hello), address: StreamFixture.peer)
        }
        #expect(fixture.multiplexer.handle(batch, on: fixture.socket, now: fixture.now).isEmpty)
        fixture.drain()
        #expect(fixture.events.count == UDXLimits.messageEvents)
        fixture.receive(fixture.packet(.message, hello))
        #expect(fixture.events.count == UDXLimits.messageEvents + 1)
    }

    @Test func oversizedDatagramsAreDropped() throws {
        let fixture = try StreamFixture()
        let payload = [UInt8](repeating: 0, count: UDXLimits.datagramByteCount - 19)
        #expect(fixture.receive(fixture.packet(.data, payload)))
        #expect(fixture.received.isEmpty)
        fixture.receive(fixture.packet(.data, payload.dropLast()))
        #expect(fixture.received.count == payload.count - 1)
    }
}
