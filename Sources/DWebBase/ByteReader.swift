/// A cursor over bytes that decodes the compact encoding of spec 00 section 1.
///
/// Every read checks its bounds first and throws ``CodecError`` instead of trapping, so that it can be pointed at
/// anything a peer sends. A reader keeps its bytes alive and copies only what it returns.
public struct ByteReader: Sendable {
    /// 2^53 - 1: the largest integer that every peer of the network represents exactly; spec 00 section 1.1.
    public static let integerLimit: UInt64 = (1 << 53) - 1
    /// The most elements an array may announce; spec 00 section 1.5.
    public static let arrayCountLimit = 0x10_0000

    /// The bytes that are read, of which only up to ``end`` belongs to this reader.
    public let source: [UInt8]
    /// The index in ``source`` of the next byte.
    public private(set) var position: Int
    /// The index in ``source`` after the last byte.
    public let end: Int

    /// Reads all of `bytes`.
    public init(_ bytes: [UInt8]) {
        source = bytes
        position = 0
        end = bytes.count
    }

    /// Reads the part of `bytes` in `range`, which must lie inside.
    public init(_ bytes: [UInt8], range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a reader's range lies inside its bytes")
        source = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    /// The number of bytes not yet read.
    public var remaining: Int { end - position }

    /// Whether every byte has been read.
    public var isAtEnd: Bool { position == end }

    /// Moves past `count` bytes and returns their range in ``source``.
    public mutating func skip(_ count: Int) throws(CodecError) -> Range<Int> {
        guard count >= 0, count <= remaining else { throw .outOfBounds }
        let start = position
        position += count
        return start..<position
    }

    /// The next byte.
    public mutating func readByte() throws(CodecError) -> UInt8 {
        guard position < end else { throw .outOfBounds }
        let byte = source[position]
        position += 1
        return byte
    }

    /// A little-endian integer of 1 to 8 bytes.
    public mutating func readFixed(byteCount: Int) throws(CodecError) -> UInt64 {
        guard byteCount <= remaining else { throw .outOfBounds }
        var value: UInt64 = 0
        for index in 0..<byteCount { value |= UInt64(source[position + index]) << UInt64(8 * index) }
        position += byteCount
        return value
    }

    /// `uint16`: two bytes, little endian.
    public mutating func readUInt16() throws(CodecError) -> UInt16 { UInt16(try readFixed(byteCount: 2)) }

    /// `uint32`: four bytes, little endian.
    public mutating func readUInt32() throws(CodecError) -> UInt32 { UInt32(try readFixed(byteCount: 4)) }

    /// `uint64`: eight bytes, little endian; refused above 2^53 - 1.
    public mutating func readUInt64() throws(CodecError) -> UInt64 {
        let value = try readFixed(byteCount: 8)
        guard value <= ByteReader.integerLimit else { throw .integerOutOfRange }
        return value
    }

    /// `uint`: a variable-length integer, also in a longer form than needed; refused above 2^53 - 1.
    public mutating func readUInt() throws(CodecError) -> UInt64 {
        let first = try readByte()
        switch first {
        case 0xfd: return try readFixed(byteCount: 2)
        case 0xfe: return try readFixed(byteCount: 4)
        case 0xff: return try readUInt64()
        default: return UInt64(first)
        }
    }

    /// A `uint` used as a count of bytes that must still follow.
    public mutating func readByteCount() throws(CodecError) -> Int {
        let count = try readUInt()
        guard count <= UInt64(remaining) else { throw .outOfBounds }
        return Int(count)
    }

    /// A `uint` used as a count of elements of at least `minimumByteCount` bytes each; nothing is allocated for a lie.
    public mutating func readArrayCount(minimumByteCount: Int) throws(CodecError) -> Int {
        let count = try readUInt()
        guard count <= UInt64(ByteReader.arrayCountLimit) else { throw .arrayTooLong }
        guard Int(count) * minimumByteCount <= remaining else { throw .outOfBounds }
        return Int(count)
    }

    /// `count` bytes, copied.
    public mutating func readBytes(_ count: Int) throws(CodecError) -> [UInt8] { Array(source[try skip(count)]) }

    /// `buffer`: a length and that many bytes, copied.
    public mutating func readBuffer() throws(CodecError) -> [UInt8] { try readBytes(try readByteCount()) }

    /// The range in ``source`` of a `buffer`'s content; copies nothing.
    public mutating func readBufferRange() throws(CodecError) -> Range<Int> { try skip(try readByteCount()) }

    /// `optionalBuffer`: nil where the length is zero.
    public mutating func readOptionalBuffer() throws(CodecError) -> [UInt8]? {
        let bytes = try readBuffer()
        return bytes.isEmpty ? nil : bytes
    }

    /// `string`: a length in bytes and UTF-8, with invalid sequences replaced as the reference does.
    public mutating func readString() throws(CodecError) -> String {
        String(decoding: source[try readBufferRange()], as: UTF8.self)
    }

    /// `fixed32`.
    public mutating func readBytes32() throws(CodecError) -> Bytes32 {
        let range = try skip(Bytes32.byteCount)
        return source.withUnsafeBytes { Bytes32(unchecked: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// `bool`: one byte, true only if it is 1.
    public mutating func readBool() throws(CodecError) -> Bool { try readByte() == 1 }

    /// `raw`: everything that remains, copied.
    public mutating func readRest() -> [UInt8] {
        defer { position = end }
        return Array(source[position..<end])
    }

    /// `frame`: a reader over the inner bytes; this reader moves past them whatever the inner one consumes.
    public mutating func readFrame() throws(CodecError) -> ByteReader {
        ByteReader(source, range: try readBufferRange())
    }

    /// An IPv4 address and port: four bytes, then the port little endian; spec 20 section 1.
    public mutating func readIPv4Address() throws(CodecError) -> SocketAddress {
        let range = try skip(4)
        let port = try readUInt16()
        let start = range.lowerBound
        return SocketAddress(ipv4: source[start], source[start + 1], source[start + 2], source[start + 3], port: port)
    }

    /// An IPv6 address and port: sixteen bytes, then the port little endian; spec 20 section 1.
    public mutating func readIPv6Address() throws(CodecError) -> SocketAddress {
        let range = try skip(16)
        let port = try readUInt16()
        guard let address = SocketAddress(bytes: source[range], port: port) else { throw .invalidValue }
        return address
    }
}
