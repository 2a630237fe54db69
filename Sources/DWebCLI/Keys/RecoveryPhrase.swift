import DWeb

/// A key as words that can be written on paper and read aloud: each word stands for 16 bits by the letters of proquints
/// (Wilkerson 2009: consonant, vowel, consonant, vowel, consonant), and two words at the end are a checksum.
enum RecoveryPhrase {
    private static let consonants = Array("bdfghjklmnprstvz")
    private static let vowels = Array("aiou")
    /// Sixteen words for the key, two for the checksum.
    static let wordCount = 18
    private static let domain = Array("dweb recovery phrase 1".utf8)

    /// The words of a key.
    static func words(_ key: Bytes32) -> [String] {
        let bytes = key.bytes + checksum(key.bytes)
        return stride(from: 0, to: bytes.count, by: 2).map { word(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])) }
    }

    /// The key of words, whatever their case and what stands between them.
    ///
    /// - Throws: ``CommandFailure`` with status `usage` that says which word is wrong, or that they do not fit together.
    static func key(_ text: String) throws -> Bytes32 {
        let words = text.lowercased().split { !$0.isLetter }.map(String.init)
        guard words.count == wordCount else {
            throw CommandFailure(.usage, "A recovery phrase has \(wordCount) words, this one has \(words.count).")
        }
        var bytes: [UInt8] = []
        for (index, word) in words.enumerated() {
            guard let number = number(word) else {
                throw CommandFailure(.usage, "Word \(index + 1), '\(word)', is no word of a recovery phrase.")
            }
            bytes += [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
        }
        guard let key = Bytes32(bytes.prefix(32)), Array(bytes.suffix(4)) == checksum(key.bytes) else {
            throw CommandFailure(.usage, "The words do not fit together: one is wrong or in the wrong place.")
        }
        return key
    }

    private static func checksum(_ bytes: [UInt8]) -> [UInt8] { Array(Blake2b.hash32(domain, bytes).bytes.prefix(4)) }

    private static func word(_ number: UInt16) -> String {
        String([
            consonants[Int(number >> 12)], vowels[Int(number >> 10 & 3)], consonants[Int(number >> 6 & 15)],
            vowels[Int(number >> 4 & 3)], consonants[Int(number & 15)],
        ])
    }

    private static func number(_ word: String) -> UInt16? {
        let letters = Array(word)
        guard letters.count == 5 else { return nil }
        var number: UInt16 = 0
        for (index, letter) in letters.enumerated() {
            let alphabet = index % 2 == 0 ? consonants : vowels
            guard let digit = alphabet.firstIndex(of: letter) else { return nil }
            number = number << (index % 2 == 0 ? 4 : 2) | UInt16(digit)
        }
        return number
    }
}
