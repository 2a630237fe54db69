import ArgumentParser
import DWeb

/// `dweb drive history`.
struct DriveHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the changes of a drive in the order they were made.")

    @OptionGroup var options: DriveReadOptions

    @OptionGroup var changes: HistoryOptions

    private struct Change: Encodable {
        let sequence: UInt64
        let operation: String
        let path: String
        let entry: EntryReport?
    }

    func run() async throws {
        let (console, read) = (options.output.console, options.wait.read)
        let changes = changes
        try await options.reading(isServer: changes.live) { drive, _ in
            let history = drive.history(
                changes.range, isReversed: changes.reverse, limit: changes.limit, isLive: changes.live, read)
            for try await change in history {
                let operation = change.isRemoval ? "remove" : "put"
                let report = change.entry.map { EntryReport($0) }
                console.emit(
                    Change(sequence: change.sequence, operation: operation, path: change.path, entry: report),
                    text: "\(change.sequence)\t\(change.isRemoval ? "-" : "+")\t\(change.path)")
            }
        }
    }
}
