package import DWebBase

/// The record types that service discovery uses; RFC 1035 section 3.2.2, RFC 2782.
package struct DNSType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt16
    /// Any type.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// An IPv4 address.
    package static let address4 = DNSType(rawValue: 1)
    /// Another name.
    package static let pointer = DNSType(rawValue: 12)
    /// Texts.
    package static let text = DNSType(rawValue: 16)
    /// A host and a port.
    package static let service = DNSType(rawValue: 33)
    /// In questions: all types.
    package static let any = DNSType(rawValue: 255)
}

/// A question of a message; RFC 6762 section 18.
package struct DNSQuestion: Hashable, Sendable {
    /// What is asked about.
    package var name: DNSName
    /// What is asked for.
    package var type: DNSType
    /// Whether the answer may come to the asker alone.
    package var wantsUnicast = false

    /// Asks for the records of one type.
    package init(_ name: DNSName, _ type: DNSType) {
        self.name = name
        self.type = type
    }
}

/// A record of a message; RFC 6762 section 18.
package struct DNSRecord: Hashable, Sendable {
    /// What a record says.
    package enum Content: Hashable, Sendable {
        case pointer(DNSName)
        case service(port: UInt16, host: DNSName)
        case text([[UInt8]])
        /// An IPv4 address; its port means nothing.
        case address4(SocketAddress)
        /// A type that is of no interest here.
        case other(DNSType)
    }

    /// Whose record it is.
    package var name: DNSName
    /// Whether it replaces what was known under the name; RFC 6762 section 10.2.
    package var isUnique: Bool
    /// How long it holds, in seconds; 0 takes it back.
    package var secondsToLive: UInt32
    /// What it says.
    package var content: Content

    /// Builds a record.
    package init(_ name: DNSName, _ content: Content, secondsToLive: UInt32, isUnique: Bool) {
        self.name = name
        self.content = content
        self.secondsToLive = secondsToLive
        self.isUnique = isUnique
    }
}

/// Why a datagram is no message.
package enum DNSError: Error, Equatable, Sendable {
    /// The datagram ends before the message does.
    case truncated
    /// A name is too long, or a pointer in it does not lead backwards.
    case invalidName
    /// A record's content does not fit its length or type.
    case invalidRecord
    /// There are more entries than ``DNSMessage/entryLimit``.
    case tooManyEntries
}

/// A multicast DNS message; RFC 1035 section 4, RFC 6762 section 18.
package struct DNSMessage: Equatable, Sendable {
    /// Questions and records that are read of one message. A datagram of 1500 bytes holds fewer that are of use.
    package static let entryLimit = 256

    /// Echoed in answers to programs that do not speak multicast DNS; 0 otherwise.
    package var id: UInt16 = 0
    /// Whether it answers.
    package var isResponse: Bool
    /// Whether more known answers follow in another message; RFC 6762 section 7.2.
    package var isTruncated = false
    /// What is asked.
    package var questions: [DNSQuestion] = []
    /// Answers, or in a question what is known already.
    package var answers: [DNSRecord] = []
    /// What will be asked next.
    package var additionals: [DNSRecord] = []

    /// A message without entries.
    package init(isResponse: Bool) { self.isResponse = isResponse }

    // MARK: Reading

    /// Reads a message. Records of other types are kept as ``DNSRecord/Content/other(_:)``.
    package init(decoding bytes: [UInt8]) throws(DNSError) {
        var reader = DNSReader(bytes: bytes)
        id = try reader.readUInt16()
        let flags = try reader.readUInt16()
        isResponse = flags & 0x8000 != 0
        isTruncated = flags & 0x0200 != 0
        var counts: [Int] = []
        for _ in 0..<4 { counts.append(Int(try reader.readUInt16())) }
        // Opcode and response code must be zero: RFC 6762 sections 18.3 and 18.11.
        guard flags & 0x780f == 0 else { throw .invalidRecord }
        guard counts.reduce(0, +) <= DNSMessage.entryLimit else { throw .tooManyEntries }
        for _ in 0..<counts[0] {
            var question = DNSQuestion(try reader.readName(), DNSType(rawValue: try reader.readUInt16()))
            question.wantsUnicast = try reader.readUInt16() & 0x8000 != 0
            questions.append(question)
        }
        for _ in 0..<counts[1] { answers.append(try reader.readRecord()) }
        // The authority section is for probing, of which names that are keys have no need.
        for _ in 0..<counts[2] { _ = try reader.readRecord() }
        for _ in 0..<counts[3] { additionals.append(try reader.readRecord()) }
    }

    // MARK: Writing

    /// The message on the wire, with names compressed.
    package var encoded: [UInt8] {
        var writer = DNSWriter()
        writer.writeUInt16(id)
        // A response is authoritative: RFC 6762 section 18.4.
        writer.writeUInt16((isResponse ? 0x8400 : 0) | (isTruncated ? 0x0200 : 0))
        for count in [questions.count, answers.count, 0, additionals.count] {
            writer.writeUInt16(UInt16(clamping: count))
        }
        for question in questions {
            writer.writeName(question.name)
            writer.writeUInt16(question.type.rawValue)
            writer.writeUInt16(question.wantsUnicast ? 0x8001 : 1)
        }
        for record in answers + additionals { writer.writeRecord(record) }
        return writer.bytes
    }
}

/// Reads the parts of a message. Every position comes from the peer, so that each is checked.
private struct DNSReader {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func readByte() throws(DNSError) -> UInt8 {
        guard position < bytes.count else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func readUInt16() throws(DNSError) -> UInt16 { UInt16(try readByte()) << 8 | UInt16(try readByte()) }

    mutating func readUInt32() throws(DNSError) -> UInt32 { UInt32(try readUInt16()) << 16 | UInt32(try readUInt16()) }

    mutating func readBytes(_ count: Int) throws(DNSError) -> [UInt8] {
        guard count <= bytes.count - position else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// Reads a name. Pointers must lead to before the part they are in, which bounds the work and excludes loops.
    mutating func readName() throws(DNSError) -> DNSName {
        var labels: [[UInt8]] = []
        var byteCount = 1
        var cursor = position
        var partStart = position
        var isPastPointer = false
        while true {
            guard cursor < bytes.count else { throw .truncated }
            let length = Int(bytes[cursor])
            switch length >> 6 {
            case 0:
                guard cursor + 1 + length <= bytes.count else { throw .truncated }
                if length == 0 {
                    if !isPastPointer { position = cursor + 1 }
                    return DNSName(labels: labels)
                }
                byteCount += length + 1
                guard byteCount <= DNSName.byteLimit else { throw .invalidName }
                labels.append(Array(bytes[cursor + 1...cursor + length]))
                cursor += 1 + length
            case 3:
                guard cursor + 1 < bytes.count else { throw .truncated }
                let target = (length & 0x3f) << 8 | Int(bytes[cursor + 1])
                guard target < partStart else { throw .invalidName }
                if !isPastPointer { position = cursor + 2 }
                isPastPointer = true
                cursor = target
                partStart = target
            default:
                throw .invalidName
            }
        }
    }

    mutating func readRecord() throws(DNSError) -> DNSRecord {
        let name = try readName()
        let type = DNSType(rawValue: try readUInt16())
        let recordClass = try readUInt16()
        let secondsToLive = try readUInt32()
        let length = Int(try readUInt16())
        guard length <= bytes.count - position else { throw .truncated }
        let end = position + length
        let content: DNSRecord.Content
        switch type {
        case .pointer: content = .pointer(try readName())
        case .service:
            _ = try readBytes(4)
            let port = try readUInt16()
            content = .service(port: port, host: try readName())
        case .text:
            var texts: [[UInt8]] = []
            while position < end { texts.append(try readBytes(Int(try readByte()))) }
            content = .text(texts)
        case .address4:
            guard length == 4, let address = SocketAddress(bytes: try readBytes(4), port: 0) else {
                throw .invalidRecord
            }
            content = .address4(address)
        default:
            _ = try readBytes(length)
            content = .other(type)
        }
        guard position == end else { throw .invalidRecord }
        return DNSRecord(name, content, secondsToLive: secondsToLive, isUnique: recordClass & 0x8000 != 0)
    }
}

/// Writes the parts of a message.
private struct DNSWriter {
    var bytes: [UInt8] = []
    /// Where each name that was written begins, for pointers to it.
    private var positions: [DNSName: Int] = [:]
    // A pointer has 14 bits; RFC 1035 section 4.1.4.
    private static let pointerLimit = 1 << 14

    mutating func writeUInt16(_ value: UInt16) { bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }

    mutating func writeUInt32(_ value: UInt32) {
        writeUInt16(UInt16(value >> 16))
        writeUInt16(UInt16(truncatingIfNeeded: value))
    }

    mutating func writeName(_ name: DNSName) {
        var rest = name
        while let parent = rest.parent {
            if let position = positions[rest] {
                writeUInt16(0xc000 | UInt16(position))
                return
            }
            if bytes.count < DNSWriter.pointerLimit { positions[rest] = bytes.count }
            bytes.append(UInt8(clamping: rest.labels[0].count))
            bytes += rest.labels[0].prefix(DNSName.labelByteLimit)
            rest = parent
        }
        bytes.append(0)
    }

    mutating func writeRecord(_ record: DNSRecord) {
        writeName(record.name)
        let type: DNSType =
            switch record.content {
            case .pointer: .pointer
            case .service: .service
            case .text: .text
            case .address4: .address4
            case .other(let type): type
            }
        writeUInt16(type.rawValue)
        writeUInt16(record.isUnique ? 0x8001 : 1)
        writeUInt32(record.secondsToLive)
        let lengthPosition = bytes.count
        writeUInt16(0)
        switch record.content {
        case .pointer(let name): writeName(name)
        case .service(let port, let host):
            writeUInt32(0)
            writeUInt16(port)
            writeName(host)
        case .text(let texts):
            for text in texts {
                bytes.append(UInt8(clamping: text.count))
                bytes += text.prefix(255)
            }
            // A text record has at least one text: RFC 6763 section 6.1.
            if texts.isEmpty { bytes.append(0) }
        case .address4(let address): bytes += address.hostBytes
        case .other: break
        }
        let length = bytes.count - lengthPosition - 2
        bytes[lengthPosition] = UInt8(truncatingIfNeeded: length >> 8)
        bytes[lengthPosition + 1] = UInt8(truncatingIfNeeded: length)
    }
}
