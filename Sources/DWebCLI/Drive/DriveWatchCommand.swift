import ArgumentParser
import DWeb

/// `dweb drive watch`.
struct DriveWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show what changes in a folder of a drive, until Ctrl-C.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The folder.")
    var folder: String = "/"

    func run() async throws {
        let (console, read, folder) = (options.output.console, options.wait.read, folder)
        try await options.reading(isServer: true) { drive, _ in
            console.say("Watching version \(drive.version) ...")
            for try await pair in drive.changes(in: folder, read) {
                for try await step in pair.current.differences(from: pair.previous.version, in: folder, read) {
                    let report = DriveDifferenceReport(step, version: pair.current.version)
                    console.emit(report, text: "\(report.version)\t\(report.line)")
                }
            }
        }
    }
}
