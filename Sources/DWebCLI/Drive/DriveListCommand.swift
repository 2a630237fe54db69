import ArgumentParser
import DWeb

/// `dweb drive ls`.
struct DriveListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List what is in a folder of a drive.",
        discussion: "Without --long, a name per line; folders end in a slash.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The folder.")
    var folder: String = "/"

    @Flag(name: .shortAndLong, help: "List everything below the folder, with full paths.")
    var recursive = false

    @Flag(name: .shortAndLong, help: "Show kind, size and target of each.")
    var long = false

    private struct Child: Encodable {
        let name: String
        let folder: Bool
        let entry: EntryReport?
    }

    func run() async throws {
        let (console, read, folder, isLong) = (options.output.console, options.wait.read, folder, long)
        let isRecursive = recursive
        try await options.reading { drive, _ in
            var count = 0
            if isRecursive {
                let entries = drive.entries(in: folder, read) { console.say("Left out: \($0.detail).") }
                for try await entry in entries {
                    count += 1
                    let report = EntryReport(entry)
                    console.emit(report, text: isLong ? report.line : entry.path)
                }
            } else {
                for try await child in drive.children(of: folder, read) {
                    count += 1
                    let report = child.entry.map { EntryReport($0) }
                    var text = child.name
                    if isLong {
                        text = report?.line ?? "d \(String().leftPadded(to: 12))  \(child.name)"
                    }
                    console.emit(
                        Child(name: child.name, folder: child.isFolder, entry: report),
                        text: text + (child.isFolder ? "/" : ""))
                }
            }
            guard count == 0, folder != "/" else { return }
            if try await drive.contains(folder, read) {
                throw CommandFailure(.failure, "\(folder) is a file: see 'dweb drive stat'.")
            }
            throw CommandFailure(.failure, "There is nothing in \(folder).")
        }
    }
}
