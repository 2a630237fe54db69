import DWebBase
import Testing

@Suite struct Bytes32Tests {
    private let counting = Bytes32((0..<32).map { UInt8($0) })

    @Test func bytesComeBack() throws {
        let value = try #require(counting)
        #expect(value.bytes == (0..<32).map { UInt8($0) })
        for index in 0..<32 { #expect(value[index] == UInt8(index)) }
        for count in [0, 31, 33] { #expect(Bytes32([UInt8](repeating: 0, count: count)) == nil) }
        #expect(value.description == "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
    }

    @Test func orderIsThatOfBytes() {
        var previous = Bytes32.zero
        for bit in stride(from: 255, through: 0, by: -1) {
            var bytes = [UInt8](repeating: 0, count: 32)
            bytes[bit / 8] = 0x80 >> UInt8(bit % 8)
            guard let value = Bytes32(bytes) else { return }
            #expect(previous < value)
            #expect(!(value < previous))
            #expect(value.commonPrefixBitCount(with: .zero) == bit)
            #expect((value ^ previous) ^ previous == value)
            previous = value
        }
        #expect(previous.commonPrefixBitCount(with: previous) == 256)
    }
}

@Suite struct ByteWriterTests {
    @Test func sizesOfIntegersAreKnownBefore() {
        for value: UInt64 in [0, 252, 253, 65535, 65536, 0xffff_ffff, 0x1_0000_0000, ByteReader.integerLimit] {
            var writer = ByteWriter()
            writer.writeUInt(value)
            #expect(writer.count == ByteWriter.byteCount(ofUInt: value))
        }
    }

    @Test func signedIntegersComeBack() throws {
        for value: Int64 in [0, -1, 1, 127, -128, 1 << 40, -(1 << 40), (1 << 52) - 1, -(1 << 52)] {
            var writer = ByteWriter()
            writer.writeInt(value)
            writer.writeFixedInt(value, byteCount: 8)
            var reader = ByteReader(writer.bytes)
            #expect(try reader.readInt() == value)
            #expect(try reader.readFixedInt(byteCount: 8) == value)
        }
    }

    @Test func bigEndianAndFixedIntegersAboveTheLimitAreRefused() {
        let bytes: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
        var reader = ByteReader(bytes)
        #expect(throws: CodecError.integerOutOfRange) { try reader.readFixedBigEndian(byteCount: 8) }
        reader = ByteReader(bytes)
        #expect(throws: CodecError.integerOutOfRange) { try reader.readFixedInt(byteCount: 8) }
        reader = ByteReader(bytes)
        #expect(throws: CodecError.integerOutOfRange) { try reader.readLexicographicUInt() }
    }

    @Test func arraysThatLieAboutTheirSizeAllocateNothing() {
        var reader = ByteReader([0xfe, 0, 0, 0x10, 0])
        #expect(throws: CodecError.outOfBounds) { try reader.readArrayCount(minimumByteCount: 1) }
        reader = ByteReader([0xfe, 1, 0, 0x10, 0])
        #expect(throws: CodecError.arrayTooLong) { try reader.readUInt32Array() }
    }
}
