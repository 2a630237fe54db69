import ArgumentParser
import DWeb

/// `dweb tree diff`.
struct TreeDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show the keys in which two versions differ.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @Argument(help: "The version to compare with.")
    var from: UInt64

    @Option(name: .customLong("at"), help: "Compare this version instead of the newest.")
    var version: UInt64?

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let (from, version) = (from, version)
        try await options.reading(wait) { tree in
            let view = version.map { tree.checkout($0) } ?? tree
            for try await step in view.differences(from: from, read) {
                let report = TreeDifferenceReport(step, encoding)
                console.emit(report, text: report.line)
            }
        }
    }
}
