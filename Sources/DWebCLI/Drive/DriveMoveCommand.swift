import ArgumentParser
import DWeb

/// `dweb drive mv`.
struct DriveMoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mv", abstract: "Move a file or folder within a drive, without copying content.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "What to move.")
    var path: String

    @Argument(help: "Its new path.")
    var newPath: String

    func run() async throws {
        let (console, path, newPath) = (options.output.console, path, newPath)
        try await options.writing { drive in
            let moved = try await drive.moveAll(path, to: newPath)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: moved),
                text: moved.joined(separator: "\n"))
        }
    }
}
