/// Why a text is not a key.
public enum KeyTextError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text has neither 52 (z-base-32) nor 64 (hexadecimal) characters.
    case wrongLength(Int)
    /// The text has a character outside its alphabet.
    case invalidCharacter(Character)

    /// One sentence for people.
    public var description: String {
        switch self {
        case .wrongLength(let count):
            "A key has 52 characters (z-base-32) or 64 (hexadecimal), but this text has \(count)."
        case .invalidCharacter(let character):
            "A key cannot contain the character '\(character)'."
        }
    }
}

/// Reads keys as people type them: spec 00 section 5.
package enum KeyText {
    private static let scheme = "pear://"

    package static func decode(_ text: some StringProtocol) throws(KeyTextError) -> Bytes32 {
        var rest = Substring(text)
        if rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            rest = rest.prefix { $0 != "/" }
        }
        switch rest.utf8.count {
        case 52:
            guard let bytes = ZBase32.decode(rest), let value = Bytes32(bytes.prefix(32)) else {
                throw .invalidCharacter(rest.first { !ZBase32.isDigit($0) } ?? "?")
            }
            return value
        case 64:
            guard let bytes = Hex.decode(rest), let value = Bytes32(bytes) else {
                throw .invalidCharacter(rest.first { !$0.isHexDigit } ?? "?")
            }
            return value
        default:
            throw .wrongLength(rest.count)
        }
    }
}
