import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive download`.
struct DriveDownloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download", abstract: "Fetch content into the store, to read or serve it later.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "A file or folder of the drive.")
    var path: String = "/"

    func run() async throws {
        let (console, path, wait) = (options.output.console, path, options.wait)
        try await options.reading { drive, _ in
            let started = Date()
            let transfer = drive.download(path, stallTimeout: wait.offline ? .zero : .seconds(wait.timeout))
            let summary = try await TransferView.run(transfer, "Fetching", console)
            let report = TransferReport(drive, summary, seconds: Date().timeIntervalSince(started), path: path)
            console.emit(report, text: drive.key.text)
            console.say(report.text.prefix(1).uppercased() + report.text.dropFirst() + ".")
        }
    }
}
