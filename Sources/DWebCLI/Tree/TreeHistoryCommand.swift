import ArgumentParser
import DWeb

/// `dweb tree history`.
struct TreeHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the changes of a tree in the order they were made, with full keys.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    @OptionGroup var changes: HistoryOptions

    private struct Change: Encodable {
        let operation: String
        let entry: TreeEntryReport
    }

    func run() async throws {
        let (console, read, encoding) = (options.output.console, wait.read, options.encoding)
        let changes = changes
        try await options.reading(wait, isServer: changes.live) { tree in
            let history = tree.history(
                changes.range, isReversed: changes.reverse, limit: changes.limit, isLive: changes.live, read)
            for try await change in history {
                let report = TreeEntryReport(change.entry, encoding)
                console.emit(
                    Change(operation: change.isDeletion ? "del" : "put", entry: report),
                    text: "\(report.sequence)\t\(change.isDeletion ? "-" : "+")\t\(report.line)")
            }
        }
    }
}
