import ArgumentParser
import DWeb

/// `dweb drive rm`.
struct DriveRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove files from a drive. Older versions keep them.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The paths.")
    var paths: [String]

    @Flag(name: .shortAndLong, help: "Remove folders with everything below them.")
    var recursive = false

    func run() async throws {
        let (console, paths, isRecursive) = (options.output.console, paths, recursive)
        try await options.writing { drive in
            var removed: [String] = []
            for path in paths {
                if path != "/", try await drive.remove(path) {
                    removed.append(path)
                    continue
                }
                guard isRecursive else {
                    throw CommandFailure(.failure, "There is no file at \(path); folders need --recursive.")
                }
                let all = try await drive.removeAll(in: path)
                guard !all.isEmpty else { throw CommandFailure(.failure, "There is nothing at \(path).") }
                removed += all
            }
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: removed),
                text: removed.joined(separator: "\n"))
        }
    }
}
