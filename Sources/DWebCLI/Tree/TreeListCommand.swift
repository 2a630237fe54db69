import ArgumentParser
import DWeb

/// `dweb tree ls`.
struct TreeListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List keys and values in the order of keys.",
        discussion: "A line for each: the key, a tab and the value.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Option(help: "Only keys that start with this.")
    var prefix: String?

    @Option(help: "Only keys after this one.")
    var gt: String?

    @Option(help: "Only this key and those after it.")
    var gte: String?

    @Option(help: "Only keys before this one.")
    var lt: String?

    @Option(help: "Only this key and those before it.")
    var lte: String?

    @Option(help: "At most this many.")
    var limit: Int?

    @Flag(name: .shortAndLong, help: "Start with the last key.")
    var reverse = false

    @Option(name: .customLong("at"), help: "Read this version instead of the newest.")
    var version: UInt64?

    func validate() throws {
        guard prefix == nil || (gt ?? gte ?? lt ?? lte) == nil else {
            throw ValidationError("--prefix excludes other bounds.")
        }
    }

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (limit, reverse, version) = (limit, reverse, version)
        let range =
            if let prefix {
                KeyRange(prefix: try encoding.bytes(prefix))
            } else {
                KeyRange(
                    gt: try gt.map(encoding.bytes), gte: try gte.map(encoding.bytes), lt: try lt.map(encoding.bytes),
                    lte: try lte.map(encoding.bytes))
            }
        try await options.reading(wait) { tree in
            let view = version.map { tree.checkout($0) } ?? tree
            for try await entry in view.entries(in: range, isReversed: reverse, limit: limit, read) {
                let report = TreeEntryReport(entry, encoding)
                console.emit(report, text: report.line)
            }
        }
    }
}
