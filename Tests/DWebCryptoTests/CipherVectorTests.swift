import DWebBase
import DWebCrypto
import DWebTestSupport
import Testing

@Suite struct CipherVectorTests {
    // Read once: each test is a value of its own.
    private static let file = Result { try VectorFile.json("crypto.json") }
    private let vectors: JSONValue

    init() throws { vectors = try Self.file.get() }

    @Test func streamsSealAndOpen() throws {
        for stream in try vectors["secretstream"].arrayValue {
            let key = try stream["key"].bytes32Value
            let header = try stream["header"].hexValue
            var sealer = StreamSealer(key: key, header: header)
            var opener = StreamOpener(key: key, header: header)
            for message in try stream["messages"].arrayValue {
                let tag = UInt8(try message["tag"].intValue)
                let additionalData = try message["ad"].optional { try $0.hexValue } ?? []
                let plain = try message["plain"].hexValue
                let cipher = try message["cipher"].hexValue
                var output: [UInt8] = [7, 7]
                sealer.seal(plain, appendingTo: &output, tag: tag, additionalData: additionalData)
                #expect(Array(output[2...]) == cipher)
                var buffer = cipher
                let opened = buffer.withUnsafeMutableBytes { opener.open(inPlace: $0, additionalData: additionalData) }
                #expect(opened == tag)
                #expect(Array(buffer[1..<1 + plain.count]) == plain)
            }
        }
    }

    @Test func streamsRefuseChangedBytes() throws {
        for stream in try vectors["secretstream"].arrayValue {
            let key = try stream["key"].bytes32Value
            let header = try stream["header"].hexValue
            let message = stream["messages"][0]
            let cipher = try message["cipher"].hexValue
            for index in cipher.indices {
                var opener = StreamOpener(key: key, header: header)
                var buffer = cipher
                buffer[index] ^= 1
                let additionalData = try message["ad"].optional { try $0.hexValue } ?? []
                #expect(
                    buffer.withUnsafeMutableBytes { opener.open(inPlace: $0, additionalData: additionalData) } == nil)
            }
            for count in 0..<cipher.count {
                var opener = StreamOpener(key: key, header: header)
                var buffer = Array(cipher[..<count])
                #expect(buffer.withUnsafeMutableBytes { opener.open(inPlace: $0) } == nil)
            }
        }
    }

    @Test func boxes() throws {
        for item in try vectors["secretbox"].arrayValue {
            let key = try item["key"].bytes32Value
            let nonce = try item["nonce"].hexValue
            let plain = try item["plain"].hexValue
            let cipher = try item["cipher"].hexValue
            #expect(SecretBox.seal(plain, nonce: nonce, key: key) == cipher)
            #expect(SecretBox.open(cipher, nonce: nonce, key: key) == plain)
            #expect(SecretBox.open([1] + cipher + [2], range: 1..<1 + cipher.count, nonce: nonce, key: key) == plain)
            for count in 0..<cipher.count {
                #expect(SecretBox.open(Array(cipher[..<count]), nonce: nonce, key: key) == nil)
            }
        }
    }

    @Test func blocks() throws {
        for item in try vectors["encryption"].arrayValue {
            let mode: BlockCipher.Mode =
                switch try item["mode"].stringValue {
                case "normal": .normal
                case "compat": .compat
                case "blockKey": .blockKey
                case let other: throw UnknownMode(name: other)
                }
            let cipher = BlockCipher(
                mode: mode, coreKey: PublicKey(try item["coreKey"].bytes32Value),
                encryptionKey: try item["encryptionKey"].bytes32Value)
            #expect(try cipher.blockKey == item["blockKey"].bytes32Value)
            #expect(try cipher.blindingKey == item["blindingKey"].bytes32Value)
            let plain = try item["plain"].hexValue
            let stored = try item["stored"].hexValue
            let index = try item["index"].uintValue
            #expect(try cipher.seal(plain, index: index, fork: item["fork"].uintValue) == stored)
            #expect(cipher.open(stored, index: index) == plain)
            for count in 0..<BlockCipher.paddingByteCount {
                #expect(cipher.open(Array(stored[..<count]), index: index) == nil)
            }
        }
    }

    @Test func recordedEncryptedLog() throws {
        let log = vectors["encryptedCore"]
        let cipher = BlockCipher(
            mode: .normal, coreKey: PublicKey(try log["key"].bytes32Value),
            encryptionKey: try log["encryptionKey"].bytes32Value)
        #expect(try cipher.blockKey == log["blockKey"].bytes32Value)
        let plain = try log["plain"].arrayValue
        let stored = try log["stored"].arrayValue
        #expect(plain.count == stored.count)
        for index in plain.indices {
            #expect(try cipher.seal(plain[index].hexValue, index: UInt64(index), fork: 0) == stored[index].hexValue)
            #expect(try cipher.open(stored[index].hexValue, index: UInt64(index)) == plain[index].hexValue)
        }
        let byteCount = try stored.reduce(0) { try $0 + $1.hexValue.count }
        #expect(try byteCount == log["byteLengthOfCore"].intValue)
        #expect(
            try byteCount - BlockCipher.paddingByteCount * stored.count == log["byteLengthReported"].intValue)
    }

    @Test func multiKeyBlocks() throws {
        // The example of spec 40 section 11.2.
        let cipher = MultiKeyBlockCipher(keyID: 7, encryptionKey: Bytes32(repeating: 0xee))
        let stored = try #require(Hex.decode("01341d9907000000f8b678f5a0"))
        #expect(cipher.seal(Array("hello".utf8), index: 3) == stored)
        #expect(cipher.open(stored, index: 3) == Array("hello".utf8))
        #expect(MultiKeyBlockCipher.scheme(of: stored) == .key(7))
        #expect(cipher.open([0, 0, 0, 0, 0, 0, 0, 0, 5], index: 3) == [5])
        #expect(cipher.open([2] + stored.dropFirst(), index: 3) == nil)
        #expect(cipher.open(Array(stored[..<7]), index: 3) == nil)
        #expect(MultiKeyBlockCipher(keyID: 8, encryptionKey: .zero).open(stored, index: 3) == nil)
    }

    private struct UnknownMode: Error {
        let name: String
    }
}
