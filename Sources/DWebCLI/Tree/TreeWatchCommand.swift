import ArgumentParser
import DWeb

/// `dweb tree watch`.
struct TreeWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show changes of keys as they happen, until Ctrl-C.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Option(help: "Only keys that start with this.")
    var prefix: String = ""

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let range = prefix.isEmpty ? KeyRange.all : KeyRange(prefix: try encoding.bytes(prefix))
        try await options.reading(wait, isServer: true) { tree in
            console.say("Watching version \(tree.version) ...")
            for try await pair in tree.changes(in: range, read) {
                for try await step in pair.current.differences(from: pair.previous.version, in: range, read) {
                    let report = TreeDifferenceReport(step, encoding)
                    console.emit(report, text: report.line)
                }
            }
        }
    }
}
