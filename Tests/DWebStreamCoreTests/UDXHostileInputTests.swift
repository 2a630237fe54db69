import DWebBase
import Testing

@testable import DWebStreamCore

/// Datagrams that nobody honest would send.
@Suite struct UDXHostileInputTests {
    @Test func truncatedPackets() throws {
        let starts: [UInt32] = Array(stride(from: 1, to: 21, by: 2))
        let blocks = starts.map { SACKBlock(start: $0, end: $0 + 1) }
        for flags: UInt8 in [0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x05, 0x0f] {
            for offset: UInt8 in [0, 8, 80, 255] {
                let fixture = try StreamFixture()
                for _ in 0..<30 {
                    try fixture.stream.write([1])
                    _ = fixture.transmit()
                }
                let whole = fixture.packet(
                    UDXPacketFlags(rawValue: flags), acknowledgement: 1, offset: offset, blocks: blocks,
                    testBytes(200))
                for count in 0...whole.count {
                    #expect(fixture.receive(Array(whole.prefix(count))) == (count >= UDXHeader.byteCount))
                }
                _ = fixture.transmit()
            }
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func arbitraryPackets(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var fixture = try StreamFixture()
        var streams = 0
        for round in 0..<4_000 {
            if fixture.stream.closeReason != nil || round % 500 == 0 {
                streams += 1
                fixture = try StreamFixture(isConnected: random.next() % 4 != 0) {
                    $0.acknowledgesEveryPacket = seed % 2 == 0
                    $0.initialSequence = UInt32(truncatingIfNeeded: random.next())
                    $0.initialAcknowledgement = UInt32(truncatingIfNeeded: random.next())
                    $0.keepAliveInterval = seed % 3 == 0 ? .seconds(1) : nil
                }
                fixture.decision = .acceptAndConnect(remoteID: 4)
            }
            if fixture.stream.isConnected, random.next() % 3 == 0 {
                _ = try? fixture.stream.write(testBytes(Int(random.next() % 3_000)))
            }
            if fixture.stream.isConnected, random.next() % 200 == 0 { try? fixture.stream.end() }
            let machineSequence = fixture.stream.machine.nextSequence
            let machineAcknowledgement = fixture.stream.machine.receiving.nextSequence
            func near(_ value: UInt32) -> UInt32 {
                random.next() % 20 == 0
                    ? UInt32(truncatingIfNeeded: random.next())
                    : value &+ UInt32(random.next() % 40) &- 20
            }
            // Mostly without DESTROY, so that streams live for a while.
            var flags = UInt8(truncatingIfNeeded: random.next())
            if random.next() % 50 != 0 { flags &= 0xef }
            if random.next() % 20 != 0 { flags &= 0xfd }
            if random.next() % 4 != 0 { flags &= 0xdf }
            let blocks = (0..<Int(random.next() % 8)).map { _ in
                SACKBlock(start: near(machineSequence), end: near(machineSequence))
            }
            let packet = fixture.packet(
                UDXPacketFlags(rawValue: flags), sequence: near(machineAcknowledgement),
                acknowledgement: near(machineSequence), window: UInt32(truncatingIfNeeded: random.next() >> 20),
                offset: UInt8(truncatingIfNeeded: random.next() % 3 == 0 ? random.next() : UInt64(blocks.count * 8)),
                blocks: blocks, testBytes(Int(random.next() % 100)))
            fixture.receive(packet, on: random.next() % 10 == 0 ? fixture.otherSocket : fixture.socket)
            _ = fixture.transmit()
            if random.next() % 5 == 0 { fixture.advance(.milliseconds(Int(random.next() % 3_000))) }
            _ = fixture.transmit()
            #expect(fixture.stream.brokenInvariant == nil)
        }
        #expect(streams > 1)
    }

    @Test func arbitraryBytes() throws {
        var random = SplitMix64(seed: 77)
        let fixture = try StreamFixture()
        for _ in 0..<5_000 {
            var bytes = testBytes(Int(random.next() % 60), seed: random.next())
            if bytes.count > 8, random.next() % 2 == 0 {
                bytes.replaceSubrange(0..<8, with: [0xff, 1, bytes[2] & 0xef, bytes[3], 0x11, 0x11, 0, 0])
            }
            fixture.receive(bytes)
            _ = fixture.transmit()
        }
        #expect(fixture.stream.closeReason == nil)
    }

    @Test func farAwayWaitingPacketsCostLittle() throws {
        let fixture = try StreamFixture()
        // Every second number of the whole distance: the most runs there can be.
        for sequence: UInt32 in stride(from: 65_535, to: 0, by: -2) {
            fixture.receive(fixture.packet(.data, sequence: sequence, [1]))
            if sequence % 4_096 == 1 { _ = fixture.transmit() }
        }
        #expect(fixture.stream.machine.receiving.runs.count == 32_768)
        for sequence: UInt32 in stride(from: 0, through: 65_534, by: 2) {
            fixture.receive(fixture.packet(.data, sequence: sequence, [2]))
        }
        #expect(fixture.received.count == 65_536)
        #expect(!fixture.stream.machine.receiving.hasGap)
        #expect(fixture.stream.machine.receiving.waitingByteCount == 0)
    }

    @Test func windowZeroForever() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet([], window: 0))
        while try fixture.stream.write(testBytes(10_000)) {}
        _ = fixture.transmit()
        var heartbeats = 0
        for _ in 0..<100 {
            fixture.advance(.seconds(1))
            let headers = fixture.transmitHeaders()
            #expect(headers.allSatisfy { $0.flags == .heartbeat })
            heartbeats += headers.count
            fixture.receive(fixture.packet([], sequence: 0, window: 0))
        }
        #expect(heartbeats == 50)
        #expect(fixture.stream.unacknowledgedByteCount < 300_000)
    }

    /// A peer reports everything but the first packet, whatever its window: what waits behind the hole does not grow for ever.
    @Test(arguments: [UInt32.max, 60_000]) func whatIsOutstandingIsBounded(window: UInt32) throws {
        let fixture = try StreamFixture()
        let chunk = [UInt8](repeating: 1, count: 65_536)
        var next: UInt32 = 0
        repeat {
            next = fixture.stream.machine.nextSequence
            while fixture.stream.unacknowledgedByteCount < 60_000_000, try fixture.stream.write(chunk) {}
            _ = fixture.transmit()
            fixture.advance(.milliseconds(20))
            let end = fixture.stream.machine.nextSequence
            fixture.receive(fixture.packet(.sack, window: window, blocks: [SACKBlock(start: 1, end: end)]))
        } while fixture.stream.machine.nextSequence != next && fixture.stream.brokenInvariant == nil
        #expect(fixture.stream.brokenInvariant == nil)
        let limit =
            window == .max
            ? UDXLimits.outstandingPackets
            : Int(window) / fixture.stream.machine.payloadByteCount + UDXLimits.packetsBeyondWindow
        #expect(Int(next) == limit)
    }
}
