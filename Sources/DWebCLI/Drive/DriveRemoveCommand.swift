import ArgumentParser
import DWeb

/// `dweb drive rm`.
struct DriveRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove files from a drive. Older versions keep them.",
        discussion: "Several paths are one change: where one of them is missing, none is removed.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The paths.")
    var paths: [String]

    @Flag(name: .shortAndLong, help: "Remove folders with everything below them.")
    var recursive = false

    func run() async throws {
        let (console, paths, isRecursive) = (options.output.console, paths, recursive)
        try await options.writing { drive in
            let removed = try await drive.removeAll(paths, isRecursive: isRecursive)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: removed),
                text: removed.joined(separator: "\n"))
        }
    }
}
