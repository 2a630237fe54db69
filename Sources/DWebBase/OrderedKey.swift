/// Appends the order-preserving encoding of spec 00 section 2: comparing encodings as bytes compares the values.
///
/// A database key is the plain concatenation of components; a half-open range ends at the next integer or at
/// ``writeInfinity()``.
public struct OrderedKeyWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8]

    /// An empty writer with room for `capacity` bytes.
    public init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// A writer that appends to `bytes`, for example a key's common prefix.
    public init(appendingTo bytes: consuming [UInt8]) { self.bytes = bytes }

    /// Gives away what was written; the writer is empty afterwards.
    public mutating func takeBytes() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        return taken
    }

    /// `UINT`. A value above 2^53 - 1 is a mistake of the caller and traps.
    public mutating func writeUInt(_ value: UInt64) {
        precondition(value <= ByteReader.integerLimit, "integers in keys stay below 2^53")
        switch value {
        case 0...0xfb:
            bytes.append(UInt8(value))
        case 0xfc...0xffff:
            bytes.append(0xfc)
            writeFixed(value, byteCount: 2)
        case 0x1_0000...0xffff_ffff:
            bytes.append(0xfd)
            writeFixed(value, byteCount: 4)
        default:
            bytes.append(0xfe)
            writeFixed(value, byteCount: 8)
        }
    }

    /// `UINT` of a count or index.
    public mutating func writeUInt(_ value: Int) { writeUInt(UInt64(value)) }

    /// The low `byteCount` bytes of `value`, big endian and without a prefix.
    public mutating func writeFixed(_ value: UInt64, byteCount: Int) {
        var index = byteCount
        while index > 0 {
            index -= 1
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }

    /// Plus infinity: greater than every `UINT`, for the exclusive end of a range.
    public mutating func writeInfinity() { bytes.append(0xff) }

    /// `BOOL`: `UINT` 0 or 1.
    public mutating func writeBool(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// `BUFFER`: any bytes, escaped and terminated.
    public mutating func writeBuffer(_ content: some Collection<UInt8>) {
        bytes.append(0)
        for byte in content {
            bytes.append(byte)
            if byte == 0 { bytes.append(2) }
        }
        bytes.append(0)
        bytes.append(1)
    }

    /// `STRING`: UTF-8, escaped and terminated.
    public mutating func writeString(_ text: String) { writeBuffer(text.utf8) }

    /// Bytes as they are: only for components of fixed size or at the end of a key.
    public mutating func writeBytes(_ content: some Collection<UInt8>) { bytes.append(contentsOf: content) }

    /// Thirty-two bytes as they are.
    public mutating func writeBytes32(_ value: Bytes32) { value.withUnsafeBytes { bytes.append(contentsOf: $0) } }
}

/// Decodes the order-preserving encoding of spec 00 section 2; refuses everything a writer would not write.
public struct OrderedKeyReader: Sendable {
    /// The bytes that are read.
    public let source: [UInt8]
    /// The index in ``source`` of the next byte.
    public private(set) var position: Int

    /// Reads `bytes` from index `start` on.
    public init(_ bytes: [UInt8], startingAt start: Int = 0) {
        precondition(start >= 0 && start <= bytes.count, "a reader starts inside its bytes")
        source = bytes
        position = start
    }

    /// The number of bytes not yet read.
    public var remaining: Int { source.count - position }

    /// Whether every byte has been read.
    public var isAtEnd: Bool { position == source.count }

    /// `UINT`; plus infinity and values above 2^53 - 1 are refused.
    public mutating func readUInt() throws(CodecError) -> UInt64 {
        guard position < source.count else { throw .outOfBounds }
        let first = source[position]
        guard first >= 0xfc else {
            position += 1
            return UInt64(first)
        }
        guard first != 0xff else { throw .invalidValue }
        let byteCount = first == 0xfc ? 2 : first == 0xfd ? 4 : 8
        guard byteCount < remaining else { throw .outOfBounds }
        position += 1
        let value = try readFixed(byteCount: byteCount)
        guard value <= ByteReader.integerLimit else { throw .integerOutOfRange }
        return value
    }

    /// A big-endian integer of 1 to 8 bytes without a prefix.
    public mutating func readFixed(byteCount: Int) throws(CodecError) -> UInt64 {
        guard byteCount <= remaining else { throw .outOfBounds }
        var value: UInt64 = 0
        for index in position..<position + byteCount { value = value << 8 | UInt64(source[index]) }
        position += byteCount
        return value
    }

    /// Moves past plus infinity and says so, or says no and stays.
    public mutating func skipInfinity() -> Bool {
        guard position < source.count, source[position] == 0xff else { return false }
        position += 1
        return true
    }

    /// `BOOL`.
    public mutating func readBool() throws(CodecError) -> Bool {
        switch try readUInt() {
        case 0: return false
        case 1: return true
        default: throw .invalidValue
        }
    }

    /// `BUFFER`: the content without its escapes.
    public mutating func readBuffer() throws(CodecError) -> [UInt8] {
        guard position < source.count else { throw .outOfBounds }
        guard source[position] == 0 else { throw .invalidValue }
        var content: [UInt8] = []
        var index = position + 1
        while index < source.count {
            let byte = source[index]
            index += 1
            guard byte == 0 else {
                content.append(byte)
                continue
            }
            guard index < source.count else { throw .outOfBounds }
            switch source[index] {
            case 1:
                position = index + 1
                return content
            case 2:
                content.append(0)
                index += 1
            default:
                throw .invalidValue
            }
        }
        throw .outOfBounds
    }

    /// `STRING`: UTF-8, with invalid sequences replaced.
    public mutating func readString() throws(CodecError) -> String { String(decoding: try readBuffer(), as: UTF8.self) }

    /// `count` bytes as they are, copied.
    public mutating func readBytes(_ count: Int) throws(CodecError) -> [UInt8] {
        guard count >= 0, count <= remaining else { throw .outOfBounds }
        defer { position += count }
        return Array(source[position..<position + count])
    }

    /// Thirty-two bytes as they are.
    public mutating func readBytes32() throws(CodecError) -> Bytes32 {
        guard remaining >= Bytes32.byteCount else { throw .outOfBounds }
        let value = source.withUnsafeBytes {
            Bytes32(unchecked: UnsafeRawBufferPointer(rebasing: $0[position...]))
        }
        position += Bytes32.byteCount
        return value
    }

    /// Everything that remains, copied.
    public mutating func readRest() -> [UInt8] {
        defer { position = source.count }
        return Array(source[position...])
    }
}
