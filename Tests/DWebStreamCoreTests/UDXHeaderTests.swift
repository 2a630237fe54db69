import DWebBase
import Testing

@testable import DWebStreamCore

@Suite struct UDXHeaderTests {
    /// The worked examples of spec 10 section 2.2.
    @Test(arguments: [
        ("ff0103000d0c0b0a000040000000000000000000", UInt8(0x03), UInt8(0), UInt32(0), UInt32(0)),
        ("ff0100000d0c0b0a000040000100000000000000", 0x00, 0, 1, 0),
        ("ff0108000d0c0b0a000040000000000000000000", 0x08, 0, 0, 0),
        ("ff0110000d0c0b0a000040000000000001000000", 0x10, 0, 0, 1),
        ("ff0120000d0c0b0a000040000a00000000000000", 0x20, 0, 10, 0),
        ("ff0101040d0c0b0a000040000000000000000000", 0x01, 4, 0, 0),
    ])
    func workedExamples(
        hex: String, flags: UInt8, dataOffset: UInt8, sequence: UInt32, acknowledgement: UInt32
    ) throws {
        let bytes = try #require(Hex.decode(hex))
        let header = try #require(UDXHeader(bytes, in: 0..<bytes.count))
        #expect(
            header
                == UDXHeader(
                    flags: UDXPacketFlags(rawValue: flags), dataOffset: dataOffset, streamID: 0x0a0b_0c0d,
                    window: 4 << 20, sequence: sequence, acknowledgement: acknowledgement))
        var encoded: [UInt8] = []
        header.append(to: &encoded)
        #expect(encoded == bytes)
    }

    @Test func plainDatagramsAreNotPackets() throws {
        let bytes = try #require(Hex.decode("ff0103000d0c0b0a000040000000000000000000"))
        for count in 0..<bytes.count { #expect(UDXHeader(bytes, in: 0..<count) == nil) }
        for (index, value) in [(0, UInt8(0xfe)), (1, 2)] {
            var changed = bytes
            changed[index] = value
            #expect(UDXHeader(changed, in: 0..<changed.count) == nil)
        }
        #expect(UDXHeader(bytes, in: 1..<30) == nil)
    }

    @Test func blocks() throws {
        let hex = "ff0104000d0c0b0a00004000000000000000000001000000020000000300000004000000"
        let bytes = try #require(Hex.decode(hex))
        let header = try #require(UDXHeader(bytes, in: 0..<bytes.count))
        #expect(header.sackBlockCount(rest: bytes.count - 20) == 2)
        let blocks = (0..<2).map { SACKBlock(bytes, at: 20 + 8 * $0) }
        #expect(blocks == [SACKBlock(start: 1, end: 2), SACKBlock(start: 3, end: 4)])
        var encoded: [UInt8] = []
        header.append(to: &encoded)
        for block in blocks { block.append(to: &encoded) }
        #expect(encoded == bytes)
    }

    @Test func blockAreaFollowsTheDataOffset() {
        var header = UDXHeader(
            flags: [.data, .sack], dataOffset: 16, streamID: 1, window: 0, sequence: 0, acknowledgement: 0)
        #expect(header.sackBlockCount(rest: 100) == 2)
        #expect(header.sackBlockCount(rest: 16) == 2)
        #expect(header.sackBlockCount(rest: 9) == 1)
        header.dataOffset = 0
        #expect(header.sackBlockCount(rest: 100) == 12)
        #expect(header.sackBlockCount(rest: 1 << 16) == UDXLimits.sackBlocksReadPerPacket)
        header.flags = .data
        #expect(header.sackBlockCount(rest: 100) == 0)
    }

    @Test func serialArithmetic() {
        #expect(UInt32(0xffff_ffff).precedes(0))
        #expect(!UInt32(0).precedes(0xffff_ffff))
        #expect(UInt32(5).serialDistance(from: 0xffff_fffb) == 10)
        #expect(UInt32(0xffff_fffb).serialDistance(from: 5) == -10)
    }
}
