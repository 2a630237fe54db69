import ArgumentParser
import DWeb
import DWebEssentials

#if Daemon
    import DWebDaemonServer
#endif

/// `dweb share`: a file, a folder or a pipe under one key.
struct ShareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share", abstract: "Share a file, a folder or standard input: prints one key and serves it.",
        discussion: """
            The key alone goes to standard output as soon as everything can be fetched, or is stored where no network \
            answers; whoever has it runs 'dweb get KEY'. Sharing the same path again keeps the key and adds what has \
            changed. Files are named by what .dwebignore and .drivesignore files (in the format of .gitignore) do not \
            leave out. Stays until Ctrl-C; where a daemon runs, until the daemon has all of it and keeps it available.
            """)

    @Argument(help: "The file or folder to share; - reads standard input.", completion: .file())
    var path: String

    @Flag(help: "Watch the path, and share changes as they happen.")
    var live = false

    @Option(help: "The name under which standard input is shared.")
    var name: String = "stdin"

    @Flag(help: "Keep files in the share that are gone from the folder.")
    var keepRemoved = false

    @Flag(help: "End once everything is stored, without serving it.")
    var exit = false

    @Flag(help: "Serve here until Ctrl-C, and leave a daemon that runs out of it.")
    var foreground = false

    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Shared: Encodable {
        let key: String
        let discoveryKey: String
        let version: UInt64
        let files: Int
        let byteCount: UInt64
        let contentBlocks: UInt64
        let seconds: Double
        let address: String?
    }

    private enum Source: Sendable {
        case input
        case file(String)
        case folder(String)
    }

    func run() async throws {
        let command = self
        let source = try source()
        if exit {
            try await untilInterrupted { try await command.share(source) }
        } else {
            try await servingUntilInterrupted { try await command.share(source) }
        }
    }

    private func source() throws -> Source {
        if path == "-" {
            guard !live else { throw ValidationError("Standard input cannot be watched: leave --live out.") }
            return .input
        }
        let absolute = DriveReference.absolute(path)
        switch FileKind(at: absolute) {
        case .folder: return .folder(absolute)
        case .file: return .file(absolute)
        case nil: throw CommandFailure(.storage, "There is no file or folder '\(path)'.")
        }
    }

    private func place(_ source: Source) -> DrivePlace? {
        switch source {
        // Standard input is a drive of its own each time, gone at the end unless a store was named.
        case .input:
            storeOptions.namedStore == nil && !storeOptions.memory
                ? nil : DrivePlace(.name("stdin/\(UUID().uuidString)"), storeOptions)
        case .file(let path), .folder(let path): DrivePlace(.path(path), storeOptions)
        }
    }

    private func share(_ source: Source) async throws {
        let place = place(source)
        let started = Date()
        let (network, console, isServing) = (network, output.console, !exit)
        _ = try network.configuration()
        try await Node.withStore(path: place?.storePath, isMemory: storeOptions.memory) { runtime, store in
            let drive =
                if let place { try await place.open(in: store) } else { try await DDrive.open(in: store) }
            place?.note(drive)
            try await RestoredStore(path: place?.storePath).prepareWriting(
                drive, runtime, store, network: network, console)
            guard isServing else {
                let memory = FolderMemory()
                let summary = try await fill(drive, source, memory, console)
                try await emit(drive, summary, since: started, address: nil, console)
                return
            }
            try await Node.with(runtime, store, network: network) { node in
                try await serve(drive, source, node, since: started, console)
            }
        }
    }

    private func serve(
        _ drive: DDrive, _ source: Source, _ node: Node, since started: Date, _ console: Console
    ) async throws {
        let memory = FolderMemory()
        let announcement = Announcement(
            discoveryKey: drive.discoveryKey, networker: node.networker, neighbor: node.neighbor)
        let (isReady, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        // The announcement is on its way while files are read.
        async let announced: Void = {
            defer { continuation.finish() }
            try await announcement.make(console) { _ in continuation.finish() }
        }()
        let summary = try await fill(drive, source, memory, console)
        for await _ in isReady {}
        try Task.checkCancellation()
        try await emit(
            drive, summary, since: started, address: await node.networker.localAddress?.description, console)
        console.say("Fetch it with: dweb get \(drive.key.text). Ctrl-C stops.")
        let content = try await drive.contentDatabase()
        defer {
            let statistics = content.statistics
            console.say(
                "Gave \(Format.count(statistics.uploadedBlockCount, "block")) of content, "
                    + "\(Format.bytes(statistics.uploadedByteCount))."
            )
        }
        // Each says whether there is nothing left to do here.
        let isKept = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                await Narrator.tell(node.networker, console)
                return false
            }
            group.addTask {
                try await drive.tree.exchangeHints()
                return false
            }
            if live {
                group.addTask {
                    try await follow(drive, source, memory, console)
                    return false
                }
            }
            #if Daemon
                if !foreground, !network.isLocalNetworkOff {
                    group.addTask { try await handOver(drive, node, console) }
                }
            #endif
            defer { group.cancelAll() }
            return try await group.first { $0 } != nil
        }
        // What the daemon keeps it announces itself.
        if isKept { return }
        try await announced
        try Task.checkCancellation()
    }

    #if Daemon
        /// Gives the drive to a daemon, if one runs. Says whether that leaves nothing to do here.
        private func handOver(_ drive: DDrive, _ node: Node, _ console: Console) async throws -> Bool {
            guard case .running(let daemon) = DaemonPresence.probe(DaemonPaths(folder: DaemonOptions.standardPath))
            else {
                return false
            }
            let note = path == "-" ? name : DriveReference.absolute(path)
            switch try await DaemonHandover.give(drive, note: note, over: node.networker, to: daemon) {
            case .kept:
                let end = "'dweb unseed \(drive.key.text)' ends that."
                console.say(
                    live
                        ? "The daemon has all of it, and keeps the newest version it gets available: \(end)"
                        : "The daemon has all of it and keeps it available: \(end)")
                return !live
            case .refused(let reason):
                console.say("The daemon does not keep it: \(reason).")
                return false
            }
        }
    #endif

    private func emit(
        _ drive: DDrive, _ summary: TransferSummary?, since started: Date, address: String?, _ console: Console
    ) async throws {
        var files = 0
        var byteCount: UInt64 = 0
        for try await entry in drive.entries() {
            files += 1
            byteCount += entry.byteCount
        }
        let seconds = Date().timeIntervalSince(started)
        console.emit(
            Shared(
                key: drive.key.text, discoveryKey: drive.discoveryKey.hex, version: drive.version, files: files,
                byteCount: byteCount, contentBlocks: try await drive.contentDatabase().length, seconds: seconds,
                address: address), text: drive.key.text)
        for refusal in summary?.refusals.prefix(20) ?? [] {
            console.say("Left out: \(refusal.path): \(refusal.reason).")
        }
        console.say(
            "Sharing \(Format.count(files, "file")), \(Format.bytes(byteCount)), ready in "
                + "\(Format.duration(seconds: seconds)).")
    }

    /// Brings the drive up to what is shared.
    private func fill(
        _ drive: DDrive, _ source: Source, _ memory: FolderMemory, _ console: Console
    ) async throws -> TransferSummary? {
        var options = MirrorOptions()
        options.prunes = !keepRemoved
        options.memory = memory
        switch source {
        case .input:
            try await fillFromInput(drive)
            return nil
        case .file(let path):
            let target = "/" + (FilePath(path).lastComponent?.string ?? "")
            return try await TransferView.run(drive.mirror(fromFile: path, to: target, options), "Reading", console)
        case .folder(let path):
            return try await TransferView.run(drive.mirror(fromFolder: path, options), "Reading", console)
        }
    }

    private func fillFromInput(_ drive: DDrive) async throws {
        let writer = try drive.writer(to: "/" + name)
        do {
            for try await piece in InputPieces(.standardInput) { try await writer.write(piece) }
            try await writer.finish()
        } catch {
            await writer.abort()
            throw error
        }
    }

    /// Brings the drive up to date whenever the path changes.
    private func follow(
        _ drive: DDrive, _ source: Source, _ memory: FolderMemory, _ console: Console
    ) async throws {
        let path: String
        switch source {
        case .input: return
        case .file(let file), .folder(let file): path = file
        }
        for try await _ in FolderWatch(path) {
            let version = drive.version
            let summary: TransferSummary?
            do {
                summary = try await fill(drive, source, memory, console)
            } catch let error as DDriveError where error.code == .localFile {
                console.say("The path cannot be read just now: \(error.detail).")
                continue
            }
            guard let summary, drive.version != version else { continue }
            console.say(
                "Version \(drive.version): \(summary.addedCount) new, \(summary.changedCount) changed, "
                    + "\(summary.removedCount) removed.")
        }
    }
}
