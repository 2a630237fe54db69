import ArgumentParser
import DWeb
import DWebEssentials

/// A key pair that outlives the command, in a file.
struct SecretOptions: ParsableArguments {
    @Option(
        name: .customLong("secret-file"),
        help: "A file with 64 hexadecimal digits from which the key pair follows. Made if missing, for its owner only."
    )
    var path: String?

    /// The key pair of the file; nil if none was named.
    func keyPair() throws -> KeyPair? {
        guard let path else { return nil }
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            // Around the digits only: within them, white space is a mistake that their count tells.
            let digits = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            guard digits.count == 64, let seed = try? PublicKey(text: digits).bytes32 else {
                throw CommandFailure(.storage, "The file '\(path)' does not hold 64 hexadecimal digits.")
            }
            return KeyPair(seed: seed)
        }
        guard !FileManager.default.fileExists(atPath: path) else {
            throw CommandFailure(.storage, "The file '\(path)' cannot be read.")
        }
        let seed = SystemEntropy().seed()
        let isWritten = FileManager.default.createFile(
            atPath: path, contents: Data((PublicKey(seed).hex + "\n").utf8),
            attributes: [.posixPermissions: 0o600])
        guard isWritten else { throw CommandFailure(.storage, "The file '\(path)' cannot be written.") }
        return KeyPair(seed: seed)
    }
}
