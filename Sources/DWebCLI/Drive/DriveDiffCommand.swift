import ArgumentParser
import DWeb

/// `dweb drive diff`.
struct DriveDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show the paths in which two versions of a drive differ.",
        discussion: "Compares the version given with the newest one, or the one given with --at.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The version to compare with.")
    var from: UInt64

    @Argument(help: "The folder.")
    var folder: String = "/"

    func run() async throws {
        let (console, read, from, folder) = (options.output.console, options.wait.read, from, folder)
        try await options.reading { drive, _ in
            for try await step in drive.differences(from: from, in: folder, read) {
                let report = DriveDifferenceReport(step, version: drive.version)
                console.emit(report, text: report.line)
            }
        }
    }
}
