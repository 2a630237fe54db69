// Integer forms of spec 00 section 1 beside the unsigned little-endian ones.

extension ByteReader {
    /// `int`: a variable-length zig-zag integer.
    public mutating func readInt() throws(CodecError) -> Int64 { ByteReader.unfoldSign(try readUInt()) }

    /// `int8` to `int64`: a zig-zag integer of 1 to 8 bytes, little endian; refused above 2^53 - 1 before unfolding.
    public mutating func readFixedInt(byteCount: Int) throws(CodecError) -> Int64 {
        let value = try readFixed(byteCount: byteCount)
        guard value <= ByteReader.integerLimit else { throw .integerOutOfRange }
        return ByteReader.unfoldSign(value)
    }

    /// A big-endian integer of 1 to 8 bytes; refused above 2^53 - 1.
    public mutating func readFixedBigEndian(byteCount: Int) throws(CodecError) -> UInt64 {
        var value: UInt64 = 0
        for index in try skip(byteCount) { value = value << 8 | UInt64(source[index]) }
        guard value <= ByteReader.integerLimit else { throw .integerOutOfRange }
        return value
    }

    /// `uint32array`: a count of elements, then each in four bytes.
    public mutating func readUInt32Array() throws(CodecError) -> [UInt32] {
        let count = try readArrayCount(minimumByteCount: 4)
        let range = try skip(count * 4)
        return source.withUnsafeBytes { bytes in
            (0..<count).map {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound + 4 * $0, as: UInt32.self))
            }
        }
    }

    /// `lexint`: an integer below 2^32 whose encodings sort like the numbers.
    public mutating func readLexicographicUInt() throws(CodecError) -> UInt64 {
        let first = try readByte()
        guard first > 250 else { return UInt64(first) }
        let byteCount = Int(first) - 250
        guard byteCount <= 4 else { throw .integerOutOfRange }
        return try readFixedBigEndian(byteCount: byteCount) + 251
    }

    private static func unfoldSign(_ value: UInt64) -> Int64 {
        value & 1 == 0 ? Int64(value >> 1) : -Int64(value >> 1) - 1
    }
}

extension ByteWriter {
    /// `int`: a variable-length zig-zag integer. The folded value must stay below 2^53.
    public mutating func writeInt(_ value: Int64) { writeUInt(ByteWriter.foldSign(value)) }

    /// `int8` to `int64`: a zig-zag integer of 1 to 8 bytes, little endian.
    public mutating func writeFixedInt(_ value: Int64, byteCount: Int) {
        writeFixed(ByteWriter.foldSign(value), byteCount: byteCount)
    }

    /// The low `byteCount` bytes of `value`, big endian.
    public mutating func writeFixedBigEndian(_ value: UInt64, byteCount: Int) {
        var index = byteCount
        while index > 0 {
            index -= 1
            writeByte(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }

    /// `uint32array`: a count of elements, then each in four bytes.
    public mutating func writeUInt32Array(_ values: some Collection<UInt32>) {
        writeUInt(values.count)
        for value in values { writeUInt32(value) }
    }

    /// `lexint`: an integer below 2^32 whose encodings sort like the numbers.
    public mutating func writeLexicographicUInt(_ value: UInt64) {
        precondition(value <= 0xffff_ffff, "a lexicographic integer stays below 2^32")
        guard value > 250 else {
            writeByte(UInt8(value))
            return
        }
        let byteCount = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xff_ffff ? 3 : 4
        writeByte(UInt8(250 + byteCount))
        writeFixedBigEndian(value - 251, byteCount: byteCount)
    }

    private static func foldSign(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: value << 1) ^ UInt64(bitPattern: value >> 63)
    }
}
