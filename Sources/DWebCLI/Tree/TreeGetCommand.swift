import ArgumentParser
import DWeb

/// `dweb tree get`.
struct TreeGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Write the value of a key to standard output.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Argument(help: "The key.")
    var key: String

    @Option(name: .customLong("at"), help: "Read this version instead of the newest.")
    var version: UInt64?

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (key, version) = (try encoding.bytes(key), version)
        try await options.reading(wait) { tree in
            guard let entry = try await (version.map { tree.checkout($0) } ?? tree).get(key, read) else {
                throw CommandFailure(.failure, "The tree has no key '\(encoding.text(key))'.")
            }
            let report = TreeEntryReport(entry, encoding)
            console.emit(report, text: report.value ?? "")
        }
    }
}
