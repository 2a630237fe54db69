import DWebBase
import DWebTestSupport
import Testing

@Suite struct EncodingVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("encoding.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func valuesEncodeAndDecode() throws {
        for item in try vectors["cases"].arrayValue {
            let codec = try Codec(item["codec"].stringValue)
            let bytes = try item["hex"].hexValue
            var writer = ByteWriter()
            try codec.encode(item["value"], to: &writer)
            #expect(writer.bytes == bytes, "\(codec)")
            var reader = ByteReader(bytes)
            let decoded = try codec.decode(&reader)
            let expected = try codec.normalized(item["decoded"].isNull ? item["value"] : item["decoded"])
            #expect(decoded == expected, "\(codec)")
            #expect(reader.isAtEnd)
        }
    }

    @Test func legalOddities() throws {
        for item in try vectors["decode"].arrayValue {
            let codec = try Codec(item["codec"].stringValue)
            var reader = ByteReader(try item["hex"].hexValue)
            let decoded = try codec.decode(&reader)
            #expect(try decoded == codec.normalized(item["value"]), "\(item["note"])")
            #expect(try reader.position == item["consumed"].intValue)
        }
    }

    @Test func refusals() throws {
        for item in try vectors["reject"].arrayValue {
            let codec = try Codec(item["codec"].stringValue)
            let bytes = try item["hex"].hexValue
            #expect(throws: CodecError.self, "\(codec): \(item["reason"])") {
                var reader = ByteReader(bytes)
                _ = try codec.decode(&reader)
            }
        }
    }

    @Test func everyTruncationIsRefused() throws {
        for item in try vectors["cases"].arrayValue {
            let codec = try Codec(item["codec"].stringValue)
            guard case .raw = codec else {
                let bytes = try item["hex"].hexValue
                for count in stride(from: 0, to: bytes.count, by: bytes.count > 300 ? 97 : 1) {
                    #expect(throws: CodecError.self, "\(codec) cut after \(count)") {
                        // The bytes behind a reader's end are not its own.
                        var reader = ByteReader(bytes, range: 0..<count)
                        _ = try codec.decode(&reader)
                    }
                }
                continue
            }
        }
    }

    @Test func valuesThatNoPeerCouldReadAreNotWritten() async throws {
        for item in try vectors["encodeReject"].arrayValue {
            let codec = try Codec(item["codec"].stringValue)
            switch codec {
            case .fixed(let byteCount):
                #expect(try item["value"].hexValue.count != byteCount)
                if byteCount == Bytes32.byteCount { #expect(Bytes32(try item["value"].hexValue) == nil) }
            case .uint, .unsigned, .int:
                guard let value = UInt64(exactly: try item["value"].integer) else { continue }
                let folded: UInt64 = if case .int = codec { value << 1 } else { value }
                #expect(folded > ByteReader.integerLimit)
            default:
                Issue.record("no rule for \(codec)")
            }
        }
        await #expect(processExitsWith: .failure) {
            var writer = ByteWriter()
            writer.writeUInt(ByteReader.integerLimit + 1)
        }
    }
}

@Suite struct OrderedKeyVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("encoding.json")["index"] }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func componentsEncodeAndDecode() throws {
        for item in try vectors["cases"].arrayValue {
            try check(codecs: [item["codec"]], values: [item["value"]], bytes: try item["hex"].hexValue)
        }
        for item in try vectors["composites"].arrayValue {
            try check(
                codecs: try item["codecs"].arrayValue, values: try item["values"].arrayValue,
                bytes: try item["hex"].hexValue)
        }
    }

    @Test func refusals() throws {
        for item in try vectors["reject"].arrayValue {
            let bytes = try item["hex"].hexValue
            let codec = try item["codec"].stringValue
            #expect(throws: CodecError.self, "\(item["reason"])") {
                var reader = OrderedKeyReader(bytes)
                _ = try OrderedKeyVectorTests.read(codec, from: &reader)
            }
        }
    }

    @Test func encodingsSortLikeValues() throws {
        for (codec, list) in [("UINT", "sortedUint"), ("STRING", "sortedString")] {
            var previous: [UInt8]?
            for item in try vectors[list].arrayValue {
                let bytes = try item["hex"].hexValue
                try check(codecs: [.string(codec)], values: [item["value"]], bytes: bytes)
                if let previous { #expect(previous.lexicographicallyPrecedes(bytes)) }
                previous = bytes
            }
        }
        var previous: [UInt8] = []
        for value in 0...70000 {
            var writer = OrderedKeyWriter()
            writer.writeUInt(value)
            if !previous.lexicographicallyPrecedes(writer.bytes) { Issue.record("\(value) sorts wrongly") }
            previous = writer.bytes
        }
        var infinity = OrderedKeyWriter()
        infinity.writeInfinity()
        #expect(previous.lexicographicallyPrecedes(infinity.bytes))
    }

    @Test func rawPartsLieBetweenComponents() throws {
        var writer = OrderedKeyWriter(appendingTo: [9])
        writer.writeUInt(1)
        writer.writeBytes32(Bytes32(repeating: 7))
        writer.writeFixed(0x0102, byteCount: 8)
        writer.writeBytes([5, 6])
        var reader = OrderedKeyReader(writer.bytes, startingAt: 1)
        #expect(try reader.readUInt() == 1)
        #expect(try reader.readBytes32() == Bytes32(repeating: 7))
        #expect(try reader.readFixed(byteCount: 8) == 0x0102)
        #expect(reader.remaining == 2)
        #expect(try reader.readBytes(1) == [5])
        let rest = reader.readRest()
        #expect(rest == [6])
        #expect(reader.isAtEnd)
        #expect(throws: CodecError.outOfBounds) { try reader.readBytes32() }
    }

    private func check(codecs: [JSONValue], values: [JSONValue], bytes: [UInt8]) throws {
        var writer = OrderedKeyWriter()
        for (codec, value) in zip(codecs, values) {
            if value == .string("Infinity"), codec == .string("UINT") {
                writer.writeInfinity()
                continue
            }
            switch try codec.stringValue {
            case "UINT": writer.writeUInt(try value.uintValue)
            case "BOOL": writer.writeBool(try value.boolValue)
            case "STRING": writer.writeString(value.isNull ? "" : try value.stringValue)
            case "BUFFER": writer.writeBuffer(value.isNull ? [] : try value.hexValue)
            case let other: Issue.record("unknown codec \(other)")
            }
        }
        #expect(writer.bytes == bytes)
        var reader = OrderedKeyReader(bytes)
        for (codec, value) in zip(codecs, values) {
            let decoded = try OrderedKeyVectorTests.read(codec.stringValue, from: &reader)
            #expect(decoded == (value.isNull ? .string("") : value))
        }
        #expect(reader.isAtEnd)
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) {
                var reader = OrderedKeyReader(Array(bytes[..<count]))
                for codec in codecs { _ = try OrderedKeyVectorTests.read(codec.stringValue, from: &reader) }
            }
        }
    }

    private static func read(_ codec: String, from reader: inout OrderedKeyReader) throws -> JSONValue {
        switch codec {
        case "UINT":
            if reader.skipInfinity() { return .string("Infinity") }
            return .integer(Int64(try reader.readUInt()))
        case "BOOL": return .bool(try reader.readBool())
        case "STRING": return .string(try reader.readString())
        case "BUFFER": return .string(Hex.encode(try reader.readBuffer()))
        default: return .null
        }
    }
}
