/// How values of a type become the bytes of a block or message, and back.
public struct BlockCoding<Value>: Sendable {
    private let encoder: @Sendable (Value) throws -> [UInt8]
    private let decoder: @Sendable ([UInt8]) throws -> Value

    /// A coding by its two directions; what they throw becomes an error with code `invalidValue`.
    public init(
        encode: @escaping @Sendable (Value) throws -> [UInt8], decode: @escaping @Sendable ([UInt8]) throws -> Value
    ) {
        encoder = encode
        decoder = decode
    }

    func encoded(_ value: Value) throws(DDatabaseError) -> [UInt8] {
        do {
            return try encoder(value)
        } catch {
            throw DDatabaseError(.invalidValue, "The value cannot be encoded: \(error)")
        }
    }

    func decode(_ bytes: [UInt8]) throws(DDatabaseError) -> Value {
        do {
            return try decoder(bytes)
        } catch let error as DDatabaseError {
            throw error
        } catch {
            throw DDatabaseError(.invalidValue, "The bytes are no value of the type \(Value.self): \(error)")
        }
    }
}

extension BlockCoding where Value == [UInt8] {
    /// The bytes themselves.
    public static var bytes: BlockCoding { BlockCoding(encode: { $0 }, decode: { $0 }) }
}

extension BlockCoding where Value == String {
    /// Text as UTF-8; other bytes are no value.
    public static var utf8: BlockCoding {
        BlockCoding(
            encode: { Array($0.utf8) },
            decode: { bytes in
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw DDatabaseError(.invalidValue, "The bytes are not UTF-8")
                }
                return text
            })
    }
}

extension BlockCoding where Value: Codable & SendableMetatype {
    /// A type that is `Codable`, by any encoder and decoder: for JSON
    /// `.codable(Person.self, encode: { try JSONEncoder().encode($0) }, decode: { try JSONDecoder().decode($0, from: $1) })`.
    ///
    /// - Parameters:
    ///   - type: The type of the values.
    ///   - encode: Makes bytes of a value.
    ///   - decode: Makes a value of the type from bytes, which it gets in the collection it takes, such as `Data`.
    public static func codable<
        Output: Sequence<UInt8> & SendableMetatype, Input: RangeReplaceableCollection<UInt8> & SendableMetatype
    >(
        _ type: Value.Type, encode: @escaping @Sendable (Value) throws -> Output,
        decode: @escaping @Sendable (Value.Type, Input) throws -> Value
    ) -> BlockCoding {
        BlockCoding(encode: { Array(try encode($0)) }, decode: { try decode(Value.self, Input($0)) })
    }
}
