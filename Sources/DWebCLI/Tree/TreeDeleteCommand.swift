import ArgumentParser
import DWeb

/// `dweb tree del`.
struct TreeDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "del", abstract: "Delete a key.")

    @OptionGroup var options: TreeOptions

    @Argument(help: "The key.")
    var key: String

    func run() async throws {
        let (console, encoding) = (options.output.console, options.encoding)
        let key = try encoding.bytes(key)
        try await options.writing { tree in
            guard let sequence = try await tree.delete(key) else {
                throw CommandFailure(.failure, "The tree has no key '\(encoding.text(key))'.")
            }
            console.emit(
                TreeChangeReport(key: tree.key.text, version: tree.version, sequence: sequence, count: 1),
                text: tree.key.text)
        }
    }
}
