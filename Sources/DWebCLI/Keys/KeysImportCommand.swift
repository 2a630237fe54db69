import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb keys import`.
struct KeysImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a store from a recovery phrase or a sealed file.",
        discussion: "Reads the words from standard input, or the file named by --file. The store must not exist yet.")

    @Option(help: "Read this sealed file.", completion: .file())
    var file: String?

    @OptionGroup var passphrase: PassphraseOptions
    @OptionGroup var options: KeyStoreOptions
    @OptionGroup var output: OutputOptions

    private struct Imported: Encodable {
        let store: String
        let driveKey: String?
    }

    func run() async throws {
        let path = try options.path()
        guard !FileManager.default.fileExists(atPath: path + "/CORESTORE") else {
            throw CommandFailure(
                .storage, "There is a store in '\(path)' already; keys are only restored into a new one.")
        }
        let key = try readKey()
        let (console, drive) = (output.console, options.drive)
        // The mark comes before the store: a store without it would be writable.
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try RestoredStore(path: path).mark()
        let driveKey = try await Node.withStore(path: path, primaryKey: key) { _, store -> String? in
            guard let drive else { return nil }
            let place = DrivePlace(try DriveReference(drive))
            let opened = try await place.open(in: store)
            place.note(opened)
            return opened.key.text
        }
        console.emit(Imported(store: path, driveKey: driveKey), text: driveKey ?? path)
        console.say("Restored. Logs can be written again once a peer has told their newest length.")
    }

    private func readKey() throws -> Bytes32 {
        if let file {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw CommandFailure(.storage, "The file '\(file)' cannot be read.")
            }
            return try SealedKey.open([UInt8](data), passphrase: try passphrase.read(isNew: false))
        }
        if isatty(STDIN_FILENO) == 1 { output.console.say("Type the \(RecoveryPhrase.wordCount) words, then Ctrl-D.") }
        let text = try FileDescriptor.standardInput.readUpTo(4_096)
        return try RecoveryPhrase.key(String(decoding: text, as: UTF8.self))
    }
}
