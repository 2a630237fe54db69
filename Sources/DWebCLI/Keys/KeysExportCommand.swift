import ArgumentParser
import DWeb
import DWebEssentials

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
