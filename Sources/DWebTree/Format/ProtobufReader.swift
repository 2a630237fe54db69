import DWebBase

/// A cursor over protobuf fields that refuses what spec 50 section 11.2 lists.
struct ProtobufReader {
    /// The content of a field; fixed-size fields are skipped.
    enum Content {
        case integer(UInt64)
        case bytes(Range<Int>)
        case skipped
    }

    private let source: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ source: [UInt8]) { self.init(source, 0..<source.count) }

    init(_ source: [UInt8], _ range: Range<Int>) {
        self.source = source
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    /// A base-128 integer of at most 8 bytes and 2^53 - 1.
    mutating func readInteger() throws(TreeFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 56 {
            guard position < end else { throw .malformed }
            let byte = source[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                guard value <= ByteReader.integerLimit else { throw .malformed }
                return value
            }
            shift += 7
        }
        throw .malformed
    }

    /// The next field, or nil at the end.
    mutating func readField() throws(TreeFault) -> (number: UInt64, content: Content)? {
        guard position < end else { return nil }
        let tag = try readInteger()
        let number = tag >> 3
        guard number > 0 else { throw .malformed }
        switch tag & 7 {
        case 0: return (number, .integer(try readInteger()))
        case 1: return (number, try skip(8))
        case 2:
            let count = try readInteger()
            guard count <= UInt64(end - position) else { throw .malformed }
            let start = position
            position += Int(count)
            return (number, .bytes(start..<position))
        case 5: return (number, try skip(4))
        default: throw .malformed
        }
    }

    private mutating func skip(_ count: Int) throws(TreeFault) -> Content {
        guard count <= end - position else { throw .malformed }
        position += count
        return .skipped
    }
}

extension ProtobufReader.Content {
    /// The range of a field that must be bytes.
    var range: Range<Int> {
        get throws(TreeFault) {
            guard case .bytes(let range) = self else { throw .malformed }
            return range
        }
    }

    /// The value of a field that must be an integer.
    var number: UInt64 {
        get throws(TreeFault) {
            guard case .integer(let value) = self else { throw .malformed }
            return value
        }
    }
}

/// Appends protobuf fields.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    mutating func writeInteger(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func writeField(_ number: UInt64, integer: UInt64) {
        writeInteger(number << 3)
        writeInteger(integer)
    }

    mutating func writeField(_ number: UInt64, bytes content: some Collection<UInt8>) {
        writeFieldHeader(number, byteCount: content.count)
        bytes.append(contentsOf: content)
    }

    /// The tag and length of a field whose content is written next.
    mutating func writeFieldHeader(_ number: UInt64, byteCount: Int) {
        writeInteger(number << 3 | 2)
        writeInteger(UInt64(byteCount))
    }

    static func byteCount(_ value: UInt64) -> Int {
        var rest = value
        var count = 1
        while rest >= 0x80 {
            rest >>= 7
            count += 1
        }
        return count
    }
}
