import DWebBase
import DWebCrypto
import Testing

/// The worked examples of spec 00 sections 3 to 8 and spec 40 section 11, where no recording repeats them.
@Suite struct ConformanceCryptoTests {
    private let coreKey = "d8c3a0597903b28d751c6e0b7107775e388ec5a3cf669bdd1e7ec41b8b8f6e72"

    private func key() throws -> PublicKey { PublicKey(try #require(Hex.decode(coreKey).flatMap { Bytes32($0) })) }

    /// Item 22: signing draws nothing at random.
    @Test func theReferencePairSignsAlwaysAlike() {
        let pair = KeyPair(seed: Bytes32(repeating: 1))
        #expect(pair.publicKey.hex == "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
        #expect(pair.publicKey.text == "tkrq8zmwb8a3m9k15csu3q17qmfgqnp9dskbrg9uq1rydpyxp7qy")
        let signature = pair.sign([1, 2, 3])
        #expect(pair.sign([1, 2, 3]) == signature && pair.sign([1, 2, 4]) != signature)
    }

    /// Items 20 and 21.
    @Test func discoveryKeyAndCapabilities() throws {
        let key = try key()
        #expect(key.discoveryKey.hex == "fb892b1c77fdcb05dcbd234607208b7036e00a13e7f2cc0bbaa463924e57865a")
        let hash = [UInt8](repeating: 9, count: 64)
        let values = [true, false].map {
            Hex.encode(HandshakeSecrets.replicationCapability(isInitiator: $0, key: key, handshakeHash: hash).bytes)
        }
        #expect(
            values == [
                "70b87109b381a32bd31e5d4ad14910063b90c7372890d480826750ab5f9b0083",
                "0cfabfdc0cb98a1416cf5bb0976d70d3ade54a9818f234e687aaf15f80e92def",
            ])
    }

    /// Item 36, and item 21 of spec 40: the stored block of index 3 under fork 1 in each mode.
    @Test func blocksOfEveryMode() throws {
        let key = try key()
        let examples: [(BlockCipher.Mode, String)] = [
            (.normal, "9a505587bec4c43a51ef80f34d"), (.compat, "62a86c64740912bff1e1d08d85"),
            (.blockKey, "1891b8e30ef071ce52dd50d1c9"),
        ]
        for (mode, stored) in examples {
            let cipher = BlockCipher(mode: mode, coreKey: key, encryptionKey: Bytes32(repeating: 0xee))
            let block = cipher.seal(Array("hello".utf8), index: 3, fork: 1)
            #expect(Hex.encode(block) == stored)
            #expect(cipher.open(block, index: 3) == Array("hello".utf8))
        }
    }
}
