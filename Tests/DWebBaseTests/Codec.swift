import DWebBase
import DWebTestSupport

extension JSONValue {
    /// A number of any size that the recordings have.
    var integer: Double {
        get throws {
            switch self {
            case .integer(let value): Double(value)
            case .number(let value): value
            default: throw Codec.Unknown(name: "\(self)")
            }
        }
    }
}

/// A codec by the name it has in the recordings.
indirect enum Codec {
    struct Unknown: Error {
        let name: String
    }

    case uint, int, buffer, optionalBuffer, string, bool, raw, uint32array, lexint
    case unsigned(byteCount: Int)
    case bigEndian(byteCount: Int)
    case signed(byteCount: Int)
    case fixed(byteCount: Int)
    case host(SocketAddress.Family?)
    case address(SocketAddress.Family?)
    case array(Codec)
    case frame(Codec)

    init(_ name: String) throws {
        if name.hasSuffix(")"), let open = name.firstIndex(of: "(") {
            let inner = try Codec(String(name[name.index(after: open)...].dropLast()))
            switch name[..<open] {
            case "array": self = .array(inner)
            case "frame": self = .frame(inner)
            default: throw Unknown(name: name)
            }
            return
        }
        switch name {
        case "uint": self = .uint
        case "int": self = .int
        case "buffer": self = .buffer
        case "optionalBuffer": self = .optionalBuffer
        case "string": self = .string
        case "bool": self = .bool
        case "raw": self = .raw
        case "uint32array": self = .uint32array
        case "lexint": self = .lexint
        case "ipv4": self = .host(.ipv4)
        case "ipv6": self = .host(.ipv6)
        case "ip": self = .host(nil)
        case "ipv4Address": self = .address(.ipv4)
        case "ipv6Address": self = .address(.ipv6)
        case "ipAddress": self = .address(nil)
        default: self = try Codec(sized: name)
        }
    }

    private init(sized name: String) throws {
        guard let digits = Int(name.filter(\.isNumber)) else { throw Unknown(name: name) }
        switch name.replacing("\(digits)", with: "") {
        case "uint": self = .unsigned(byteCount: digits / 8)
        case "uintbe": self = .bigEndian(byteCount: digits / 8)
        case "int": self = .signed(byteCount: digits / 8)
        case "fixed": self = .fixed(byteCount: digits)
        default: throw Unknown(name: name)
        }
    }

    /// `value` as ``decode(_:)`` returns it: addresses have one text here, and several in the recordings.
    func normalized(_ value: JSONValue) throws -> JSONValue {
        switch self {
        case .host: .string(try Codec.host(value).host)
        case .address: .string("\(try Codec.address(value))")
        case .array(let inner): .array(try value.arrayValue.map { try inner.normalized($0) })
        case .frame(let inner): try inner.normalized(value)
        default: value
        }
    }

    func encode(_ value: JSONValue, to writer: inout ByteWriter) throws {
        switch self {
        case .uint: writer.writeUInt(try value.uintValue)
        case .int: writer.writeInt(Int64(try value.intValue))
        case .unsigned(let byteCount): writer.writeFixed(try value.uintValue, byteCount: byteCount)
        case .bigEndian(let byteCount): writer.writeFixedBigEndian(try value.uintValue, byteCount: byteCount)
        case .signed(let byteCount): writer.writeFixedInt(Int64(try value.intValue), byteCount: byteCount)
        case .buffer: writer.writeBuffer(try value.hexValue)
        case .optionalBuffer: writer.writeOptionalBuffer(try value.optional { try $0.hexValue })
        case .string: writer.writeString(try value.stringValue)
        case .bool: writer.writeBool(try value.boolValue)
        case .raw: writer.writeBytes(try value.hexValue)
        case .fixed(let byteCount):
            if byteCount == Bytes32.byteCount {
                writer.writeBytes32(try value.bytes32Value)
            } else {
                writer.writeBytes(try value.hexValue)
            }
        case .uint32array: writer.writeUInt32Array(try value.arrayValue.map { UInt32(try $0.uintValue) })
        case .lexint: writer.writeLexicographicUInt(try value.uintValue)
        case .host(let family):
            let host = try Codec.host(value)
            if family == nil { writer.writeAnyHost(host) } else { writer.writeHost(host) }
        case .address(let family):
            let address = try Codec.address(value)
            if family == nil { writer.writeAnyAddress(address) } else { writer.writeAddress(address) }
        case .array(let inner):
            writer.writeUInt(try value.arrayValue.count)
            for element in try value.arrayValue { try inner.encode(element, to: &writer) }
        case .frame(let inner):
            var body = ByteWriter()
            try inner.encode(value, to: &body)
            writer.writeFrame { $0.writeBytes(body.bytes) }
        }
    }

    func decode(_ reader: inout ByteReader) throws(CodecError) -> JSONValue {
        switch self {
        case .uint: return .integer(Int64(try reader.readUInt()))
        case .int: return .integer(try reader.readInt())
        case .unsigned(let byteCount):
            switch byteCount {
            case 2: return .integer(Int64(try reader.readUInt16()))
            case 4: return .integer(Int64(try reader.readUInt32()))
            case 8: return .integer(Int64(try reader.readUInt64()))
            default: return .integer(Int64(try reader.readFixed(byteCount: byteCount)))
            }
        case .bigEndian(let byteCount): return .integer(Int64(try reader.readFixedBigEndian(byteCount: byteCount)))
        case .signed(let byteCount): return .integer(try reader.readFixedInt(byteCount: byteCount))
        case .buffer: return .string(Hex.encode(try reader.readBuffer()))
        case .optionalBuffer: return try reader.readOptionalBuffer().map { .string(Hex.encode($0)) } ?? .null
        case .string: return .string(try reader.readString())
        case .bool: return .bool(try reader.readBool())
        case .raw: return .string(Hex.encode(reader.readRest()))
        case .fixed(let byteCount):
            if byteCount == Bytes32.byteCount { return .string("\(try reader.readBytes32())") }
            return .string(Hex.encode(try reader.readBytes(byteCount)))
        case .uint32array: return .array(try reader.readUInt32Array().map { .integer(Int64($0)) })
        case .lexint: return .integer(Int64(try reader.readLexicographicUInt()))
        case .host(let family):
            let host = if let family { try reader.readHost(family) } else { try reader.readAnyHost() }
            return .string(host.host)
        case .address(let family):
            switch family {
            case .ipv4: return .string("\(try reader.readIPv4Address())")
            case .ipv6: return .string("\(try reader.readIPv6Address())")
            case nil: return .string("\(try reader.readAnyAddress())")
            }
        case .array(let inner):
            var elements: [JSONValue] = []
            for _ in 0..<(try reader.readArrayCount(minimumByteCount: 1)) {
                elements.append(try inner.decode(&reader))
            }
            return .array(elements)
        case .frame(let inner):
            var frame = try reader.readFrame()
            return try inner.decode(&frame)
        }
    }

    private static func host(_ value: JSONValue) throws -> SocketAddress {
        guard let host = SocketAddress(host: try value.stringValue, port: 0) else { throw Unknown(name: "\(value)") }
        return host
    }

    private static func address(_ value: JSONValue) throws -> SocketAddress {
        let port = UInt16(try value["port"].intValue)
        guard let address = SocketAddress(host: try value["host"].stringValue, port: port) else {
            throw Unknown(name: "\(value)")
        }
        return address
    }
}
