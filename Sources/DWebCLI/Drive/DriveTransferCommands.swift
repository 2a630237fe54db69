import ArgumentParser
import DWeb
import Foundation

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

/// `dweb drive clear`.
struct DriveClearCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Delete content from this machine; peers can give it again.",
        discussion: "The entries stay. Of a drive that is written here, this may be the only copy: it needs --force.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "A file or folder of the drive.")
    var path: String

    @Flag(help: "Also for a drive that is written here.")
    var force = false

    func run() async throws {
        let (console, path, force) = (options.output.console, path, force)
        var local = options
        local.wait.offline = true
        try await local.reading { drive, session in
            guard force || !drive.isWritable else {
                throw CommandFailure(
                    .usage, "This drive is written here, so this may be the only copy: use --force to delete it.")
            }
            let log = try await drive.contentDatabase(.localOnly)
            let before = try await session.store.diskUse(of: log.key).blockByteCount
            try await drive.clear(path)
            let after = try await session.store.diskUse(of: log.key).blockByteCount
            try await session.store.reclaimSpace()
            let freed = FreedReport(key: drive.key.text, freedBytes: before - min(before, after), store: nil)
            console.emit(freed, text: "\(freed.freedBytes)")
            console.say("Freed \(Format.bytes(freed.freedBytes)).")
        }
    }
}

/// `dweb drive purge`.
struct DrivePurgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge", abstract: "Delete a drive from this machine, for good.",
        discussion:
            "Peers keep what they have. A drive that is written here and has no copy elsewhere is lost: it needs --force.")

    @OptionGroup var options: DriveReadOptions

    @Flag(help: "Also a drive that is written here.")
    var force = false

    func run() async throws {
        let (console, force) = (options.output.console, force)
        var local = options
        local.wait.offline = true
        let place = DrivePlace(try DriveReference(options.drive), options.storeOptions)
        try await local.reading { drive, session in
            guard force || !drive.isWritable else {
                throw CommandFailure(
                    .usage, "This drive is written here and would be lost: use --force to delete it.")
            }
            let key = drive.key.text
            var freed: UInt64 = 0
            for log in [try? await drive.contentDatabase(.localOnly), drive.database].compactMap({ $0 }) {
                freed += (try? await session.store.diskUse(of: log.key).blockByteCount) ?? 0
            }
            try await drive.purge()
            try await session.store.reclaimSpace()
            console.emit(FreedReport(key: key, freedBytes: freed, store: nil), text: "\(freed)")
            console.say("Deleted \(key), \(Format.bytes(freed)).")
        }
        // The store held nothing else.
        if let path = place.storePath, !place.isShared { try? FileManager.default.removeItem(atPath: path) }
    }
}

/// `dweb drive serve`.
struct DriveServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Announce a drive and serve what of it is on this machine, until Ctrl-C.")

    @OptionGroup var options: DriveReadOptions

    @Flag(help: "Fetch and keep everything, and follow changes.")
    var mirror = false

    private struct Serving: Encodable {
        let key: String
        let version: UInt64
        let address: String?
    }

    func run() async throws {
        let command = self
        let console = options.output.console
        var local = options
        local.wait.offline = true
        try await local.reading(isServer: true) { drive, session in
            try await Node.with(session.store.runtime, session.store, network: command.options.network) { node in
                try await node.networker.join(
                    drive.discoveryKey, announce: true, lookup: !drive.isWritable, flush: false)
                let serving = Serving(
                    key: drive.key.text, version: drive.version,
                    address: await node.networker.localAddress?.description)
                console.emit(serving, text: serving.key)
                console.say("Serving version \(drive.version). Ctrl-C stops.")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await Narrator.tell(node.networker, console) }
                    if command.mirror, !drive.isWritable {
                        group.addTask { try await keep(drive, console) }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    /// Downloads every version as it comes.
    private func keep(_ drive: DDrive, _ console: Console) async throws {
        var version: UInt64 = 0
        while true {
            try await drive.database.waitForGrowth(beyond: version)
            try Task.checkCancellation()
            let summary = try await TransferView.run(drive.download("/", stallTimeout: nil), "Fetching", console)
            version = max(version + 1, summary.version)
            console.say("Version \(summary.version) is here: \(Format.bytes(summary.byteCount)) fetched.")
        }
    }
}

/// How much space was freed.
struct FreedReport: Encodable {
    let key: String
    let freedBytes: UInt64
    let store: String?
}
