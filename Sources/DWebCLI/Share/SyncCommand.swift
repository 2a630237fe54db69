import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb sync`: a folder to a drive, or a drive to a folder.
struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Make a drive equal to a folder, or a folder equal to a drive.",
        discussion: """
            One way, from source to destination. A drive is named by its key, or by drive:NAME for one of one's own; \
            anything else is a folder. A folder that is synced to a drive of one's own is not served by this command: use \
            'dweb share' or 'dweb drive serve'.
            """)

    @Argument(help: "The folder or drive to read.", completion: .directory)
    var source: String

    @Argument(help: "The drive or folder to write.", completion: .directory)
    var destination: String

    @Flag(help: "Stay, and follow changes.")
    var live = false

    @Flag(help: "Remove from the destination what the source lacks.")
    var prune = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @Flag(help: "Replace and remove in a folder whatever is in the way, whoever put it there.")
    var force = false

    @Flag(help: "Compare every file byte by byte, even where nothing looks changed.")
    var check = false

    @Option(help: "Leave out what matches this pattern, in the format of .gitignore. Repeatable.")
    var ignore: [String] = []

    @OptionGroup var wait: WaitOptions
    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !(live && dryRun) else { throw ValidationError("--live and --dry-run exclude each other.") }
    }

    private static func isDrive(_ text: String) -> Bool {
        DriveReference.key(in: text) != nil || text.hasPrefix("drive:")
    }

    func run() async throws {
        let command = self
        let work: @Sendable () async throws -> Void
        switch (SyncCommand.isDrive(source), SyncCommand.isDrive(destination)) {
        case (true, true):
            throw CommandFailure(.usage, "Both are drives: one of the two must be a folder.")
        case (false, false):
            throw CommandFailure(.usage, "Neither is a drive: name one by its key, or as drive:NAME.")
        case (false, true): work = { try await command.toDrive() }
        case (true, false): work = { try await command.toFolder() }
        }
        if live { try await servingUntilInterrupted(work) } else { try await untilInterrupted(work) }
    }

    private func options() -> MirrorOptions {
        let console = output.console
        var options = MirrorOptions()
        options.prunes = prune
        options.isDryRun = dryRun
        options.comparesAll = check
        options.keepsForeignFiles = !force
        options.ignore = options.ignore.adding(IgnoreRules(ignore.joined(separator: "\n")))
        if dryRun { options.report = { event in console.emit(MirrorStep(event), text: MirrorStep(event).text) } }
        return options
    }

    private func toDrive() async throws {
        let command = self
        let console = output.console
        guard FileKind(at: source) == .folder else {
            throw CommandFailure(.storage, "There is no folder '\(source)'.")
        }
        var options = options()
        options.memory = FolderMemory()
        let settings = options
        try await DriveSession.writing(destination, storeOptions, network, console, createIfMissing: true) { session in
            try await command.mirror(session.drive, settings, console)
            guard command.live else { return }
            for try await _ in FolderWatch(command.source, settings) {
                try await command.mirror(session.drive, settings, console)
            }
        }
    }

    private func mirror(_ drive: DDrive, _ options: MirrorOptions, _ console: Console) async throws {
        let (started, version) = (Date(), drive.version)
        let summary = try await TransferView.run(drive.mirror(fromFolder: source, options), "Reading", console)
        guard !live || drive.version != version || version == 1 else { return }
        try finish(drive, summary, since: started, console)
    }

    private func toFolder() async throws {
        let command = self
        let console = output.console
        try await DriveSession.reading(source, storeOptions, network, wait, console) { session in
            let drive = session.drive
            var options = command.options()
            options.stallTimeout = command.live ? nil : command.wait.offline ? .zero : .seconds(command.wait.timeout)
            let started = Date()
            let transfer = drive.mirror(toFolder: command.destination, options)
            let summary = try await TransferView.run(transfer, "Writing", console)
            try command.finish(drive, summary, since: started, console)
            guard command.live else { return }
            try await follow(drive, from: summary.version, console) { drive, version in
                options.since = version
                return drive.mirror(toFolder: command.destination, options)
            }
        }
    }

    private func finish(_ drive: DDrive, _ summary: TransferSummary, since started: Date, _ console: Console) throws {
        let report = TransferReport(
            drive, summary, seconds: Date().timeIntervalSince(started), path: destination)
        if !dryRun { console.emit(report, text: drive.key.text) }
        console.say(report.text.prefix(1).uppercased() + report.text.dropFirst() + ".")
        if !live {
            try TransferView.check(summary, console, advice: force ? "" : "Use --force to replace what is there.")
        }
    }
}
