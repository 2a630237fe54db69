import DWebBase
import Testing

/// Statements of the checklist in spec 00 section 10 by their own examples.
@Suite struct ConformanceEncodingTests {
    /// Item 4.
    @Test func fixedIntegersAreLittleEndian() throws {
        var writer = ByteWriter()
        writer.writeFixed(1_234_567_890_123, byteCount: 8)
        #expect(writer.bytes == Hex.decode("cb04fb711f010000"))
        var reader = ByteReader(writer.bytes)
        #expect(try reader.readUInt64() == 1_234_567_890_123)
    }

    /// Item 25: the last of 52 characters has one bit of the key and four that mean nothing.
    @Test func spareBitsOfAKeyTextMeanNothing() throws {
        let alphabet = Array("ybndrfg8ejkmcpqxot1uwisza345h769")
        #expect(ZBase32.encode([UInt8](repeating: 0xff, count: 32)).last == "o")
        let bytes = (0..<32).map { UInt8(truncatingIfNeeded: $0 * 37 + 1) }
        let text = ZBase32.encode(bytes)
        for (value, character) in alphabet.enumerated() {
            var expected = bytes
            expected[31] = bytes[31] & 0xfe | UInt8(value >> 4)
            let decoded = try KeyText.decode(text.dropLast() + String(character))
            #expect(decoded.bytes == expected, "\(character)")
        }
    }

    /// Item 1 of spec 00 and item 2 of spec 20: every step of the variable length integer, both ways.
    @Test(arguments: [
        (UInt64(0xfc), "fc"), (0xfd, "fdfd00"), (0xffff, "fdffff"), (0x1_0000, "fe00000100"),
        (0xffff_ffff, "feffffffff"), (0x1_0000_0000, "ff0000000001000000"),
    ])
    func integersTakeTheirShortestForm(value: UInt64, hex: String) throws {
        var writer = ByteWriter()
        writer.writeUInt(value)
        #expect(Hex.encode(writer.bytes) == hex)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.readUInt() == value)
        var longest = ByteWriter()
        longest.writeByte(0xff)
        longest.writeFixed(value, byteCount: 8)
        reader = ByteReader(longest.bytes)
        #expect(try reader.readUInt() == value && reader.isAtEnd)
    }
}
