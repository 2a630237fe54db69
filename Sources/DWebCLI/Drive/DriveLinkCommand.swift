import ArgumentParser
import DWeb

/// `dweb drive link`.
struct DriveLinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link", abstract: "Write a link into a drive.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The path of the link.")
    var path: String

    @Argument(help: "What it leads to; from the root of the drive if it starts with a slash.")
    var target: String

    func run() async throws {
        let (console, path, target) = (options.output.console, path, target)
        try await options.writing(createIfMissing: true) { drive in
            let entry = try await drive.link(path, to: target)
            console.emit(
                DriveChangeReport(key: drive.key.text, version: drive.version, paths: [entry.path]),
                text: drive.key.text)
        }
    }
}
