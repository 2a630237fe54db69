import ArgumentParser
import DWebEssentials

/// Where a passphrase comes from.
struct PassphraseOptions: ParsableArguments {
    @Option(help: "Read the passphrase from the first line of this file. Default: $DWEB_PASSPHRASE, else the terminal.")
    var passphraseFile: String?

    /// Asks for the passphrase.
    func read(isNew: Bool) throws -> String {
        if let passphraseFile {
            guard let text = try? String(contentsOfFile: passphraseFile, encoding: .utf8) else {
                throw CommandFailure(.storage, "The file '\(passphraseFile)' cannot be read.")
            }
            return String(text.prefix { !$0.isNewline })
        }
        if let text = ProcessInfo.processInfo.environment["DWEB_PASSPHRASE"], !text.isEmpty { return text }
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(.usage, "There is no terminal to ask for a passphrase: use --passphrase-file.")
        }
        let first = try ask("Passphrase: ")
        if isNew, try ask("Once more: ") != first { throw CommandFailure(.usage, "The two passphrases differ.") }
        return first
    }

    private func ask(_ prompt: String) throws -> String {
        guard let text = getpass(prompt) else { throw CommandFailure(.interrupted, "Interrupted.") }
        return String(cString: text)
    }
}
