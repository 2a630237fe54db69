public import DWebBase

/// A JSON document as a tree, with accessors that throw a sentence where the shape is not the expected one.
public enum JSONValue: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// A value that does not have the shape a test asked for.
    public struct Mismatch: Error, CustomStringConvertible {
        public let description: String
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// The member `name`; ``null`` if this is an object without it.
    public subscript(name: String) -> JSONValue {
        if case .object(let members) = self { return members[name] ?? .null }
        return .null
    }

    /// The element at `index`; ``null`` outside the array.
    public subscript(index: Int) -> JSONValue {
        if case .array(let elements) = self, elements.indices.contains(index) { return elements[index] }
        return .null
    }

    public var isNull: Bool { self == .null }

    public var arrayValue: [JSONValue] {
        get throws {
            guard case .array(let elements) = self else { throw mismatch("an array") }
            return elements
        }
    }

    public var objectValue: [String: JSONValue] {
        get throws {
            guard case .object(let members) = self else { throw mismatch("an object") }
            return members
        }
    }

    public var stringValue: String {
        get throws {
            guard case .string(let text) = self else { throw mismatch("a string") }
            return text
        }
    }

    public var boolValue: Bool {
        get throws {
            guard case .bool(let value) = self else { throw mismatch("true or false") }
            return value
        }
    }

    public var intValue: Int {
        get throws {
            guard case .integer(let value) = self else { throw mismatch("an integer") }
            return Int(value)
        }
    }

    public var uintValue: UInt64 {
        get throws {
            guard case .integer(let value) = self, value >= 0 else { throw mismatch("an unsigned integer") }
            return UInt64(value)
        }
    }

    /// A string of hexadecimal digits as bytes.
    public var hexValue: [UInt8] {
        get throws {
            guard let bytes = Hex.decode(try stringValue) else { throw mismatch("hexadecimal digits") }
            return bytes
        }
    }

    /// A string of 64 hexadecimal digits.
    public var bytes32Value: Bytes32 {
        get throws {
            guard let value = Bytes32(try hexValue) else { throw mismatch("32 bytes in hexadecimal") }
            return value
        }
    }

    /// nil for ``null``, else what `read` makes of the value.
    public func optional<Value>(_ read: (JSONValue) throws -> Value) rethrows -> Value? {
        isNull ? nil : try read(self)
    }

    private func mismatch(_ expected: String) -> Mismatch {
        Mismatch(description: "expected \(expected), found \(String(describing: self).prefix(80))")
    }
}
