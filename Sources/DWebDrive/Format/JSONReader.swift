/// Why a text is not JSON, or not JSON that is accepted.
package enum JSONFault: Error, Equatable, Sendable {
    /// The text breaks the grammar.
    case malformed
    /// Arrays and objects are nested too deeply.
    case tooDeep
}

/// Reads JSON; spec 50 section 11.7 bounds its depth, its callers bound its size.
struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Reads a whole text.
    static func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONDocument {
        var reader = JSONReader(bytes)
        let value = try reader.readValue(depth: 0)
        reader.skipSpace()
        guard reader.position == bytes.count else { throw .malformed }
        return value
    }

    private mutating func readValue(depth: Int) throws(JSONFault) -> JSONDocument {
        guard depth <= DriveLimits.jsonDepth else { throw .tooDeep }
        skipSpace()
        switch try peek() {
        case UInt8(ascii: "{"): return try readObject(depth: depth)
        case UInt8(ascii: "["): return try readArray(depth: depth)
        case UInt8(ascii: "\""): return .string(try readString())
        case UInt8(ascii: "t"): return try readWord("true", .bool(true))
        case UInt8(ascii: "f"): return try readWord("false", .bool(false))
        case UInt8(ascii: "n"): return try readWord("null", .null)
        default: return .number(JSONDocument.Number(text: try readNumber()))
        }
    }

    private mutating func readObject(depth: Int) throws(JSONFault) -> JSONDocument {
        position += 1
        var members: [JSONDocument.Member] = []
        skipSpace()
        if try peek() == UInt8(ascii: "}") {
            position += 1
            return .object([])
        }
        while true {
            skipSpace()
            guard try peek() == UInt8(ascii: "\"") else { throw .malformed }
            let name = try readString()
            skipSpace()
            guard try take() == UInt8(ascii: ":") else { throw .malformed }
            members.append(JSONDocument.Member(name, try readValue(depth: depth + 1)))
            skipSpace()
            switch try take() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "}"): return .object(members)
            default: throw .malformed
            }
        }
    }

    private mutating func readArray(depth: Int) throws(JSONFault) -> JSONDocument {
        position += 1
        var elements: [JSONDocument] = []
        skipSpace()
        if try peek() == UInt8(ascii: "]") {
            position += 1
            return .array([])
        }
        while true {
            elements.append(try readValue(depth: depth + 1))
            skipSpace()
            switch try take() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "]"): return .array(elements)
            default: throw .malformed
            }
        }
    }

    private mutating func readWord(_ word: String, _ value: JSONDocument) throws(JSONFault) -> JSONDocument {
        for byte in word.utf8 where try take() != byte { throw .malformed }
        return value
    }

    private mutating func readNumber() throws(JSONFault) -> String {
        let start = position
        if try peek() == UInt8(ascii: "-") { position += 1 }
        if try peek() == UInt8(ascii: "0") {
            position += 1
        } else {
            try readDigits()
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try readDigits()
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if let sign = try? peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
            try readDigits()
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func readDigits() throws(JSONFault) {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        guard position > start else { throw .malformed }
    }

    private mutating func readString() throws(JSONFault) -> String {
        position += 1
        var content: [UInt8] = []
        while true {
            let byte = try take()
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw .malformed }
                return text
            case UInt8(ascii: "\\"): try readEscape(into: &content)
            case 0..<0x20: throw .malformed
            default: content.append(byte)
            }
        }
    }

    private mutating func readEscape(into content: inout [UInt8]) throws(JSONFault) {
        switch try take() {
        case UInt8(ascii: "\""): content.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): content.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): content.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0c)
        case UInt8(ascii: "n"): content.append(0x0a)
        case UInt8(ascii: "r"): content.append(0x0d)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var value = try readHex()
            if (0xd800..<0xdc00).contains(value), bytes[position...].starts(with: [0x5c, 0x75]) {
                let mark = position
                position += 2
                let low = try readHex()
                if (0xdc00..<0xe000).contains(low) {
                    value = 0x10000 + (value - 0xd800) << 10 + (low - 0xdc00)
                } else {
                    position = mark
                }
            }
            // Half of a pair stands for no character: it reads as the replacement character.
            content += Array(String(Unicode.Scalar(value) ?? "\u{fffd}").utf8)
        default: throw .malformed
        }
    }

    private mutating func readHex() throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = try take()
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: throw .malformed
            }
        }
        return value
    }

    private func peek() throws(JSONFault) -> UInt8 {
        guard position < bytes.count else { throw .malformed }
        return bytes[position]
    }

    private mutating func take() throws(JSONFault) -> UInt8 {
        let byte = try peek()
        position += 1
        return byte
    }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
    }
}

extension JSONDocument {
    /// Reads a JSON text.
    package init(parsing bytes: [UInt8]) throws(JSONFault) { self = try JSONReader.read(bytes) }

    /// Reads a JSON text; nil if it is none.
    public init?(_ text: String) {
        guard let value = try? JSONReader.read(Array(text.utf8)) else { return nil }
        self = value
    }
}
