import ArgumentParser
import DWeb
import Foundation

/// `dweb keys`: the secret from which everything one publishes follows.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Export and restore the secret key of a store.",
        discussion: """
            Who has this key can write everything that the store publishes. A store that was restored refuses to write to a \
            log until a peer has told its newest length: writing earlier would split its history for ever.
            """,
        subcommands: [KeysExportCommand.self, KeysImportCommand.self, KeysSettleCommand.self])
}

/// Which store is meant.
struct KeyStoreOptions: ParsableArguments {
    @Option(help: "The drive whose own store is meant: its name, or the path that it shares.")
    var drive: String?

    @OptionGroup var storeOptions: StoreOptions

    /// The store's directory.
    func path() throws -> String {
        guard let drive else { return storeOptions.path }
        guard storeOptions.directory == nil else { throw ValidationError("--drive and --store exclude each other.") }
        guard let path = DrivePlace(try DriveReference(drive), DriveStoreOptions()).storePath else {
            throw ValidationError("A drive in memory has no store.")
        }
        return path
    }
}

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

/// `dweb keys export`.
struct KeysExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the store's secret key as words, or as a file that a passphrase opens.",
        discussion: "Without --file the recovery phrase goes to standard output: 18 words, the last two a checksum.")

    @Option(help: "Write a sealed file instead of words.", completion: .file())
    var file: String?

    @OptionGroup var passphrase: PassphraseOptions
    @OptionGroup var options: KeyStoreOptions
    @OptionGroup var output: OutputOptions

    private struct Exported: Encodable {
        let phrase: String?
        let file: String?
    }

    func run() async throws {
        let path = try options.path()
        let key = try await Node.withStore(path: path, createIfMissing: false) { _, store in store.primaryKey }
        let console = output.console
        guard let file else {
            let words = RecoveryPhrase.words(key)
            let lines = stride(from: 0, to: words.count, by: 6).map { words[$0..<$0 + 6].joined(separator: " ") }
            console.emit(
                Exported(phrase: words.joined(separator: " "), file: nil), text: lines.joined(separator: "\n"))
            console.say("Whoever has these words can write everything that this store publishes. Keep them on paper.")
            return
        }
        let sealed = try SealedKey.seal(key, passphrase: try passphrase.read(isNew: true))
        guard !FileManager.default.fileExists(atPath: file) else {
            throw CommandFailure(.storage, "The file '\(file)' is there already.")
        }
        guard
            FileManager.default.createFile(
                atPath: file, contents: Data(sealed), attributes: [.posixPermissions: 0o600])
        else { throw CommandFailure(.storage, "The file '\(file)' cannot be written.") }
        console.emit(Exported(phrase: nil, file: file), text: file)
    }
}

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
            throw CommandFailure(.storage, "There is a store in '\(path)' already; keys are only restored into a new one.")
        }
        let key = try readKey()
        let (console, drive) = (output.console, options.drive)
        // The mark comes before the store: a store without it would be writable.
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try RestoredStore(path: path).mark()
        let driveKey = try await Node.withStore(path: path, primaryKey: key) { _, store -> String? in
            guard let drive else { return nil }
            let place = DrivePlace(try DriveReference(drive), DriveStoreOptions())
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
        let data = (try? FileHandle.standardInput.readToEnd()) ?? Data()
        return try RecoveryPhrase.key(String(decoding: data.prefix(4_096), as: UTF8.self))
    }
}

/// `dweb keys settle`.
struct KeysSettleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle", abstract: "Allow writing to a restored store without asking peers.",
        discussion: "Only where no copy of its logs exists anywhere: otherwise their history is split for ever.")

    @OptionGroup var options: KeyStoreOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try RestoredStore(path: try options.path()).settle()
        output.console.say("The store can be written.")
    }
}
