import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive export`.
struct DriveExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a drive, or a folder of it, to a local folder: only what differs.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "The local folder.", completion: .directory)
    var destination: String

    @Option(help: "The folder of the drive to read.")
    var from: String = "/"

    @Flag(help: "Replace and remove what is in the way, whoever put it there.")
    var force = false

    @Flag(help: "Remove from the folder what the drive lacks.")
    var prune = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @Option(help: "Leave out what matches this pattern, in the format of .gitignore. Repeatable.")
    var ignore: [String] = []

    func run() async throws {
        let console = options.output.console
        var mirror = MirrorOptions()
        mirror.prefix = from
        mirror.prunes = prune
        mirror.isDryRun = dryRun
        mirror.keepsForeignFiles = !force
        mirror.stallTimeout = options.wait.offline ? .zero : .seconds(options.wait.timeout)
        mirror.ignore = mirror.ignore.adding(IgnoreRules(ignore.joined(separator: "\n")))
        if dryRun { mirror.report = { event in console.emit(MirrorStep(event), text: MirrorStep(event).text) } }
        let (settings, destination, force) = (mirror, destination, force)
        try await options.reading { drive, _ in
            let started = Date()
            let transfer = drive.mirror(toFolder: destination, settings)
            let summary = try await TransferView.run(transfer, "Writing", console)
            let report = TransferReport(
                drive, summary, seconds: Date().timeIntervalSince(started), path: destination)
            if !settings.isDryRun { console.emit(report, text: destination) }
            console.say(report.text.prefix(1).uppercased() + report.text.dropFirst() + ".")
            try TransferView.check(
                summary, console, advice: force ? "" : "Use --force to replace what is in the way.")
        }
    }
}
