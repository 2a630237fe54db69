import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb get`: what somebody shares, into a file or folder.
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Fetch what somebody shares: finds it by its key, fetches, verifies, ends.",
        discussion: """
            Every block is verified against the key before it is used, and kept: an interrupted fetch goes on where it \
            stopped, and nothing is fetched twice. Files appear complete or not at all. What is in the way and was not \
            written by an earlier fetch of this drive stays, unless --force. A drive of a single file becomes that file; - \
            writes it to standard output.
            """)

    @Argument(help: "The key: 52 characters in z-base-32, 64 in hexadecimal, or an address that starts with hyper://.")
    var key: String

    @Argument(
        help: "Where to put it. Default: a folder named after the key, or the shared file's name.", completion: .file())
    var destination: String?

    @Option(help: "Fetch only this file, or everything in this folder of the drive.")
    var path: String = "/"

    @Option(help: "Fetch this version instead of the newest.")
    var version: UInt64?

    @Flag(help: "Stay, and follow changes.")
    var live = false

    @Flag(help: "Replace what is in the way, whoever put it there.")
    var force = false

    @Flag(help: "Remove what an earlier fetch wrote and the drive has no more.")
    var prune = false

    @Flag(help: "Compare every file byte by byte, even where nothing looks changed.")
    var check = false

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @OptionGroup var wait: WaitOptions
    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !live || version == nil else {
            throw ValidationError("--live follows the newest version: leave --version out.")
        }
        guard !live || destination != "-" else { throw ValidationError("Standard output cannot follow changes.") }
    }

    func run() async throws {
        let command = self
        guard let key = DriveReference.key(in: key) else {
            // Throws the sentence that says what is wrong with the text.
            _ = try PublicKey(text: key)
            return
        }
        if live {
            try await servingUntilInterrupted { try await command.fetch(key) }
        } else {
            try await untilInterrupted { try await command.fetch(key) }
        }
    }

    private func fetch(_ key: PublicKey) async throws {
        let console = output.console
        let command = self
        try await DriveSession.reading(key.text, storeOptions, network, wait, console) { session in
            let view = command.version.map { session.drive.checkout($0) } ?? session.drive
            try await command.fetch(view, session, console)
        }
    }

    private func fetch(_ drive: DDrive, _ session: DriveSession, _ console: Console) async throws {
        let file = try await singleFile(drive)
        if destination == "-" {
            guard let file else {
                throw CommandFailure(
                    .usage, "The drive has more than one file: name a folder, or one file with --path.")
            }
            try await writeToStandardOutput(drive, file)
            return
        }
        let target = try target(file, session.drive.key)
        var options = options(console)
        let started = Date()
        let summary = try await TransferView.run(transfer(drive, file, target, options), "Fetching", console)
        let report = TransferReport(
            session.drive, summary, seconds: Date().timeIntervalSince(started), path: target,
            downloads: try await session.drive.contentDatabase(wait.read).statistics)
        console.emit(report, text: target)
        console.say("Verified: \(report.text).")
        guard live else {
            try TransferView.check(summary, console, advice: force ? "" : "Use --force to replace what is in the way.")
            return
        }
        options.since = summary.version
        try await follow(session.drive, from: summary.version, console) { drive, version in
            options.since = version
            return transfer(drive, file, target, options)
        }
    }

    private func transfer(
        _ drive: DDrive, _ file: DDrive.Entry?, _ target: String, _ options: MirrorOptions
    ) -> DriveTransfer {
        if let file { return drive.mirror(toFile: target, from: file.path, options) }
        return drive.mirror(toFolder: target, options)
    }

    private func options(_ console: Console) -> MirrorOptions {
        var options = MirrorOptions()
        options.prefix = path
        options.ignore = IgnoreRules()
        options.prunes = prune
        options.isDryRun = dryRun
        options.comparesAll = check
        options.keepsForeignFiles = !force
        options.stallTimeout = live ? nil : wait.offline ? .zero : .seconds(wait.timeout)
        if dryRun {
            options.report = { event in
                let step = MirrorStep(event)
                console.emit(step, text: step.text)
            }
        }
        return options
    }

    /// The file that is meant: the one at `--path`, or the only one of the drive.
    private func singleFile(_ drive: DDrive) async throws -> DDrive.Entry? {
        if path != "/", let entry = try await drive.entry(at: path, wait.read) {
            guard entry.kind == .file else { throw CommandFailure(.failure, "There is no file at \(path).") }
            return entry
        }
        var iterator = drive.entries(in: path, wait.read).makeAsyncIterator()
        guard let first = try await iterator.next(), first.kind == .file, path == "/",
            try await iterator.next() == nil, !first.path.dropFirst().contains("/")
        else { return nil }
        return first
    }

    private func target(_ file: DDrive.Entry?, _ key: PublicKey) throws -> String {
        let name = file.flatMap { FilePath($0.path).lastComponent?.string } ?? String(key.text.prefix(12))
        guard let destination else { return "./" + name }
        let kind = FileKind(at: destination)
        if file != nil {
            return destination.hasSuffix("/") || kind == .folder
                ? FilePath(destination).appending(name).string : destination
        }
        guard kind != .file else {
            throw CommandFailure(.storage, "'\(destination)' is a file; the drive needs a folder.")
        }
        return destination
    }

    private func writeToStandardOutput(_ drive: DDrive, _ file: DDrive.Entry) async throws {
        let console = output.console
        for try await piece in drive.content(of: file, wait.read) {
            console.write(piece, to: .standardOutput)
        }
    }
}

/// Follows a drive: runs a transfer for every newer version, until the task is cancelled.
func follow(
    _ drive: DDrive, from version: UInt64, _ console: Console,
    _ transfer: (DDrive, UInt64) async throws -> DriveTransfer
) async throws {
    var version = version
    while true {
        try await drive.database.waitForGrowth(beyond: version)
        try Task.checkCancellation()
        let summary = try await TransferView.run(try await transfer(drive, version), "Fetching", console)
        guard summary.version != version else { continue }
        version = summary.version
        console.say(
            "Version \(version): \(summary.addedCount) new, \(summary.changedCount) changed, "
                + "\(summary.removedCount) removed.")
        for refusal in summary.refusals.prefix(20) { console.say("Left out: \(refusal.path): \(refusal.reason).") }
    }
}
