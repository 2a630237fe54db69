/// z-base-32 text: five bits per character, most significant first, no padding, lower case; spec 00 section 5.
public enum ZBase32 {
    private static let alphabet = Array("ybndrfg8ejkmcpqxot1uwisza345h769".utf8)
    private static let invalid: UInt8 = 0xff
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: invalid, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }()

    /// The text of `bytes`; the last character's spare bits are zero.
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 8 + 4) / 5)
        var buffer = 0
        var bitCount = 0
        for byte in bytes {
            buffer = (buffer << 8 | Int(byte)) & 0xfff
            bitCount += 8
            while bitCount >= 5 {
                bitCount -= 5
                text.append(alphabet[buffer >> bitCount & 31])
            }
        }
        if bitCount > 0 { text.append(alphabet[buffer << (5 - bitCount) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes, or nil for a character outside the alphabet.
    ///
    /// Bits that do not fill a byte are ignored, whatever their value.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity((text.utf8.count * 5 + 7) / 8)
        var buffer = 0
        var bitCount = 0
        for character in text.utf8 {
            let value = values[Int(character)]
            guard value != invalid else { return nil }
            buffer = (buffer << 5 | Int(value)) & 0xfff
            bitCount += 5
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(buffer >> bitCount & 0xff))
            }
        }
        // A whole character that no byte needed becomes one more byte; fewer spare bits are ignored.
        if bitCount >= 5 { bytes.append(UInt8(buffer << (8 - bitCount) & 0xff)) }
        return bytes
    }

    static func isDigit(_ character: Character) -> Bool {
        guard let ascii = character.asciiValue else { return false }
        return values[Int(ascii)] != invalid
    }
}
