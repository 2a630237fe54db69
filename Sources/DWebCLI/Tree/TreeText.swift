import ArgumentParser
import DWeb

/// How keys and values are written on the command line and shown.
enum TreeText: String, CaseIterable, ExpressibleByArgument {
    case utf8
    case hex

    /// The bytes that a text stands for.
    func bytes(_ text: String) throws -> [UInt8] {
        switch self {
        case .utf8: return Array(text.utf8)
        case .hex:
            guard let bytes = Hex.decode(text) else { throw ValidationError("'\(text)' is not hexadecimal.") }
            return bytes
        }
    }

    /// The text of bytes; bytes that are no text are shown in hexadecimal.
    func text(_ bytes: [UInt8]) -> String {
        switch self {
        case .utf8: String(validating: bytes, as: UTF8.self) ?? Hex.encode(bytes)
        case .hex: Hex.encode(bytes)
        }
    }
}
