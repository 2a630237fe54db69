/// A JSON value that keeps the order of members and the text of numbers: what drives keep as metadata.
public enum JSONDocument: Sendable, Hashable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number, by its text.
    case number(Number)
    /// Text.
    case string(String)
    /// Values in order.
    case array([JSONDocument])
    /// Members in order.
    case object([Member])

    /// A number as it is written.
    public struct Number: Sendable, Hashable {
        /// The number's text, which is valid JSON.
        public let text: String

        init(text: String) { self.text = text }

        /// A whole number.
        public init(_ value: Int64) { text = "\(value)" }

        /// Any finite number; nil for infinity and NaN.
        public init?(_ value: Double) {
            guard value.isFinite else { return nil }
            text =
                value.rounded() == value && abs(value) < 9_007_199_254_740_992
                ? "\(Int64(value))" : "\(value)"
        }

        /// The value as a whole number; nil for fractions and numbers that are too large.
        public var integer: Int64? { Int64(text) ?? double.flatMap { Int64(exactly: $0) } }

        /// The nearest value that a double can hold.
        public var double: Double? { Double(text) }
    }

    /// A member of an object.
    public struct Member: Sendable, Hashable {
        /// The member's name.
        public var name: String
        /// The member's value.
        public var value: JSONDocument

        /// A member.
        public init(_ name: String, _ value: JSONDocument) {
            self.name = name
            self.value = value
        }
    }

    /// A whole number.
    public static func integer(_ value: Int64) -> JSONDocument { .number(Number(value)) }

    /// The value of the last member called `name`; nil without one, or if this is no object.
    public subscript(name: String) -> JSONDocument? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    // MARK: Text

    /// The text as the network's tools write it: no white space, slashes and letters beyond ASCII as they are; spec 50
    /// section 9.4.2.
    public var text: String { String(decoding: encoded, as: UTF8.self) }

    /// ``text`` in UTF-8.
    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    func encode(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += Array("null".utf8)
        case .bool(let value): bytes += Array((value ? "true" : "false").utf8)
        case .number(let number): bytes += Array(number.text.utf8)
        case .string(let text): JSONDocument.encode(text, into: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONDocument.encode(member.name, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    static func encode(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: bytes += Array("\\b".utf8)
            case 0x09: bytes += Array("\\t".utf8)
            case 0x0a: bytes += Array("\\n".utf8)
            case 0x0c: bytes += Array("\\f".utf8)
            case 0x0d: bytes += Array("\\r".utf8)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
