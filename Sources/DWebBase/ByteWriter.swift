/// Appends the compact encoding of spec 00 section 1 to a byte array; integers always take their shortest form.
public struct ByteWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8]

    /// An empty writer with room for `capacity` bytes.
    public init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// A writer that appends to `bytes`.
    public init(appendingTo bytes: consuming [UInt8]) { self.bytes = bytes }

    /// Gives away what was written; the writer is empty afterwards.
    public mutating func takeBytes() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        return taken
    }

    /// The number of bytes written.
    public var count: Int { bytes.count }

    /// Forgets what was written and keeps the memory.
    public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    /// One byte.
    public mutating func writeByte(_ byte: UInt8) { bytes.append(byte) }

    /// The low `byteCount` bytes of `value`, little endian.
    public mutating func writeFixed(_ value: UInt64, byteCount: Int) {
        for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }

    /// `uint16`.
    public mutating func writeUInt16(_ value: UInt16) { writeFixed(UInt64(value), byteCount: 2) }

    /// `uint32`.
    public mutating func writeUInt32(_ value: UInt32) { writeFixed(UInt64(value), byteCount: 4) }

    /// `uint64`.
    public mutating func writeUInt64(_ value: UInt64) { writeFixed(value, byteCount: 8) }

    /// `uint`. A value above 2^53 - 1 is a mistake of the caller and traps: no peer could read it.
    public mutating func writeUInt(_ value: UInt64) {
        precondition(value <= ByteReader.integerLimit, "integers on the wire stay below 2^53")
        switch value {
        case 0...0xfc:
            bytes.append(UInt8(value))
        case 0xfd...0xffff:
            bytes.append(0xfd)
            writeFixed(value, byteCount: 2)
        case 0x1_0000...0xffff_ffff:
            bytes.append(0xfe)
            writeFixed(value, byteCount: 4)
        default:
            bytes.append(0xff)
            writeFixed(value, byteCount: 8)
        }
    }

    /// `uint` of a count.
    public mutating func writeUInt(_ value: Int) { writeUInt(UInt64(value)) }

    /// The number of bytes that ``writeUInt(_:)-(UInt64)`` takes for `value`.
    public static func byteCount(ofUInt value: UInt64) -> Int {
        value <= 0xfc ? 1 : value <= 0xffff ? 3 : value <= 0xffff_ffff ? 5 : 9
    }

    /// Bytes without a length.
    public mutating func writeBytes(_ bytes: some Collection<UInt8>) { self.bytes.append(contentsOf: bytes) }

    /// `buffer`: a length and the bytes.
    public mutating func writeBuffer(_ bytes: some Collection<UInt8>) {
        writeUInt(bytes.count)
        self.bytes.append(contentsOf: bytes)
    }

    /// `optionalBuffer`: nil as length zero.
    public mutating func writeOptionalBuffer(_ bytes: [UInt8]?) { writeBuffer(bytes ?? []) }

    /// `string`.
    public mutating func writeString(_ text: String) { writeBuffer(Array(text.utf8)) }

    /// `fixed32`.
    public mutating func writeBytes32(_ value: Bytes32) { value.withUnsafeBytes { bytes.append(contentsOf: $0) } }

    /// `bool`.
    public mutating func writeBool(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// An address without its family: 4 or 16 bytes, then the port little endian; spec 20 section 1.
    public mutating func writeAddress(_ address: SocketAddress) {
        bytes.append(contentsOf: address.hostBytes)
        writeUInt16(address.port)
    }

    /// `frame`: the length of what `body` writes, then it.
    public mutating func writeFrame(_ body: (inout ByteWriter) -> Void) {
        var inner = ByteWriter()
        body(&inner)
        writeBuffer(inner.bytes)
    }
}
