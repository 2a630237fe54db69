import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive import`.
struct DriveImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring a local file or folder into a drive: only what differs is written.")

    @OptionGroup var options: DriveWriteOptions

    @Argument(help: "The local file or folder.", completion: .file())
    var source: String

    @Option(help: "The folder of the drive to write to; for a file, its path.")
    var to: String = "/"

    @Flag(help: "Remove from the drive what the folder lacks.")
    var prune = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @Flag(help: "Make everything visible at once, as one version.")
    var atomic = false

    @Option(help: "Leave out what matches this pattern, in the format of .gitignore. Repeatable.")
    var ignore: [String] = []

    func run() async throws {
        let command = self
        let console = options.output.console
        var mirror = MirrorOptions()
        mirror.prefix = to
        mirror.prunes = prune
        mirror.isDryRun = dryRun
        mirror.isAtomic = atomic
        mirror.ignore = mirror.ignore.adding(IgnoreRules(ignore.joined(separator: "\n")))
        if dryRun { mirror.report = { event in console.emit(MirrorStep(event), text: MirrorStep(event).text) } }
        let settings = mirror
        guard let kind = FileKind(at: source) else {
            throw CommandFailure(.storage, "There is no file or folder '\(source)'.")
        }
        let isFolder = kind == .folder
        let file = DriveReference.absolute(source)
        let path = to == "/" ? "/" + (FilePath(file).lastComponent?.string ?? "") : to
        try await options.writing(createIfMissing: true) { drive in
            let started = Date()
            let transfer =
                isFolder ? drive.mirror(fromFolder: file, settings) : drive.mirror(fromFile: file, to: path, settings)
            let summary = try await TransferView.run(transfer, "Reading", console)
            let report = TransferReport(
                drive, summary, seconds: Date().timeIntervalSince(started), path: command.source)
            if !settings.isDryRun { console.emit(report, text: drive.key.text) }
            console.say(report.text.prefix(1).uppercased() + report.text.dropFirst() + ".")
            try TransferView.check(summary, console)
        }
    }
}
