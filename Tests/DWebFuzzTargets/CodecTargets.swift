import DWebBase
import DWebLogCore

let codecTargets: [FuzzTarget] = [
    FuzzTarget("codec", seeds: { [[0, 5, 4, 3, 1, 2, 3], [9, 2, 0, 1, 0, 2]] }) { input in
        var script = InputScript(input)
        var operations: [UInt8] = script.piece(limit: 64)
        operations.reverse()
        let bytes = script.rest()
        var reader = ByteReader(bytes)
        while let operation = operations.popLast() {
            do throws(CodecError) { try read(operation, &reader) } catch { return }
        }
    },
    FuzzTarget(
        "ordered-keys", seeds: { [[0, 1, 0xfc, 0, 0xfc], [3, 0x61, 0, 2, 0x62, 0, 1], [4, 0, 5, 0, 0]] }
    ) { input in
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        var reader = OrderedKeyReader(bytes)
        switch kind % 6 {
        case 0:
            while let value = try? reader.readUInt() { check(value <= ByteReader.integerLimit, "a number too large") }
        case 1: while (try? reader.readBuffer()) != nil {}
        case 2: while (try? reader.readString()) != nil {}
        case 3: while (try? reader.readBool()) != nil {}
        case 4: _ = try? RecordKind(key: bytes)
        default:
            _ = try? reader.readFixed(byteCount: 8)
            _ = try? reader.readBytes(32)
            _ = reader.readRest()
        }
    },
    FuzzTarget(
        "key-text",
        seeds: {
            [Array("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".utf8), Array("pear://00ff/some/path".utf8)]
        }
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        if let key = try? PublicKey(text: text) {
            check((try? PublicKey(text: key.description)) == key, "a key that does not come back")
        }
        if let bytes = Hex.decode(text) { check(Hex.decode(Hex.encode(bytes)) == bytes, "hex that does not come back") }
        if let bytes = ZBase32.decode(text) {
            check(ZBase32.decode(ZBase32.encode(bytes))?.starts(with: bytes) == true, "text that does not come back")
        }
    },
]

private func read(_ operation: UInt8, _ reader: inout ByteReader) throws(CodecError) {
    switch operation % 20 {
    case 0: _ = try reader.readUInt()
    case 1: _ = try reader.readByte()
    case 2: _ = try reader.readInt()
    case 3: _ = try reader.readFixed(byteCount: 1 + Int(operation) % 8)
    case 4: _ = try reader.readFixedInt(byteCount: 1 + Int(operation) % 8)
    case 5: _ = try reader.readFixedBigEndian(byteCount: 1 + Int(operation) % 8)
    case 6: _ = try reader.readLexicographicUInt()
    case 7: _ = try reader.readBuffer()
    case 8: _ = try reader.readOptionalBuffer()
    case 9: _ = try reader.readString()
    case 10: _ = try reader.readBool()
    case 11: _ = try reader.readArrayCount(minimumByteCount: 1 + Int(operation) % 40)
    case 12: _ = try reader.readByteCount()
    case 13: _ = try reader.readBytes32()
    case 14: _ = try reader.readAnyAddress()
    case 15: _ = try reader.readAnyHost()
    case 16: _ = try reader.readIPv4Address()
    case 17: _ = try reader.readIPv6Address()
    case 18:
        var inner = try reader.readFrame()
        _ = try inner.readUInt()
    default: _ = reader.readRest()
    }
}
