import DWeb
import Testing

@testable import DWebCLI

/// Secret keys as words and as sealed files.
@Suite struct KeyTests {
    private static let key = Bytes32(repeating: 0x5a)

    @Test func phrasesComeBack() throws {
        var random = SecureRandom(seed: Bytes32(repeating: 1))
        for _ in 0..<100 {
            let key = random.bytes32()
            let words = RecoveryPhrase.words(key)
            #expect(words.count == RecoveryPhrase.wordCount)
            #expect(try RecoveryPhrase.key(words.joined(separator: " ")) == key)
            #expect(try RecoveryPhrase.key("  " + words.joined(separator: ",\n").uppercased() + ".") == key)
        }
        // Proquints of 127.0.0.1, as their author gives them.
        let loopback = Bytes32([127, 0, 0, 1] + [UInt8](repeating: 0, count: 28))
        #expect(RecoveryPhrase.words(try #require(loopback)).prefix(2) == ["lusab", "babad"])
    }

    @Test func wrongWordsAreRefused() throws {
        let words = RecoveryPhrase.words(Self.key)
        var swapped = RecoveryPhrase.words(Bytes32([UInt8](0..<32)) ?? .zero)
        swapped.swapAt(2, 3)
        var changed = words
        changed[5] = "babab"
        var unknown = words
        unknown[0] = "hello"
        for wrong in [swapped, changed, unknown, Array(words.dropLast()), words + ["babab"], []] {
            #expect(throws: CommandFailure.self) { try RecoveryPhrase.key(wrong.joined(separator: " ")) }
        }
    }

    @Test func sealedFilesNeedTheirPassphrase() throws {
        let sealed = try SealedKey.seal(Self.key, passphrase: "correct horse")
        #expect(try SealedKey.open(sealed, passphrase: "correct horse") == Self.key)
        #expect(throws: CommandFailure.self) { try SealedKey.open(sealed, passphrase: "correct house") }
        var damaged = sealed
        damaged[damaged.count - 1] ^= 1
        #expect(throws: CommandFailure.self) { try SealedKey.open(damaged, passphrase: "correct horse") }
        for end in [0, 5, 20, 40] {
            #expect(throws: CommandFailure.self) {
                try SealedKey.open(Array(sealed.prefix(end)), passphrase: "correct horse")
            }
        }
        #expect(throws: CommandFailure.self) { try SealedKey.seal(Self.key, passphrase: "") }
    }
}
