import ArgumentParser
import DWeb

/// `dweb drive`: everything about drives beside sharing them.
struct DriveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drive", abstract: "Read and change drives: folders that many can read and one can write.",
        discussion: """
            A drive is named by its key, by the path that 'dweb share' shares, or by a name of one's own. Drives of others \
            are looked up in the network; what was read stays on this machine.
            """,
        subcommands: [
            DriveInfoCommand.self, DriveListCommand.self, DriveStatCommand.self, DriveCatCommand.self,
            DrivePutCommand.self, DriveLinkCommand.self, DriveMoveCommand.self, DriveRemoveCommand.self,
            DriveDiffCommand.self, DriveHistoryCommand.self, DriveWatchCommand.self, DriveImportCommand.self,
            DriveExportCommand.self, DriveDownloadCommand.self, DriveClearCommand.self, DrivePurgeCommand.self,
            DriveServeCommand.self,
        ])
}

/// What commands that read a drive have in common.
struct DriveReadOptions: ParsableArguments {
    @Argument(help: "The drive: its key, the path that it shares, or its name.")
    var drive: String

    @Option(name: [.customLong("at")], help: "Read this version instead of the newest.")
    var version: UInt64?

    @OptionGroup var wait: WaitOptions
    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    /// Runs `body` with the version asked for, until Ctrl-C.
    func reading(
        isServer: Bool = false, _ body: @escaping @Sendable (DDrive, DriveSession) async throws -> Void
    ) async throws {
        let options = self
        let work: @Sendable () async throws -> Void = {
            try await DriveSession.reading(
                options.drive, options.storeOptions, options.network, options.wait, options.output.console
            ) { session in
                try await body(options.version.map { session.drive.checkout($0) } ?? session.drive, session)
            }
        }
        if isServer { try await servingUntilInterrupted(work) } else { try await untilInterrupted(work) }
    }
}

/// What commands that change a drive have in common.
struct DriveWriteOptions: ParsableArguments {
    @Argument(help: "The drive: its name, the path that it shares, or its key.")
    var drive: String

    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    /// Runs `body` with the drive, until Ctrl-C.
    func writing(
        createIfMissing: Bool = false, _ body: @escaping @Sendable (DDrive) async throws -> Void
    ) async throws {
        let options = self
        try await untilInterrupted {
            try await DriveSession.writing(
                options.drive, options.storeOptions, options.network, options.output.console,
                createIfMissing: createIfMissing
            ) { session in try await body(session.drive) }
        }
    }
}

/// An entry of a drive, for scripts.
struct EntryReport: Encodable {
    let path: String
    let kind: String
    let byteCount: UInt64
    let executable: Bool
    let link: String?
    let sequence: UInt64
    let metadata: String?
    let stored: Bool?
    let blockOffset: UInt64?
    let blockLength: UInt64?

    init(_ entry: DDrive.Entry, byteCount: UInt64? = nil, isStored: Bool? = nil) {
        path = entry.path
        kind =
            switch entry.kind {
            case .file: "file"
            case .link: "link"
            case .bare: "bare"
            }
        self.byteCount = byteCount ?? entry.byteCount
        executable = entry.isExecutable
        link = entry.linkTarget
        sequence = entry.sequence
        metadata = entry.metadata?.text
        stored = isStored
        blockOffset = entry.blob?.blockOffset
        blockLength = entry.blob?.blockLength
    }

    /// A line for people.
    var line: String {
        let sign = kind == "link" ? "l" : executable ? "x" : kind == "bare" ? "." : "-"
        let size = String(byteCount).leftPadded(to: 12)
        return "\(sign) \(size)  \(path)" + (link.map { " -> \($0)" } ?? "")
    }
}

extension String {
    /// The text with spaces before it, so that it has at least `count` characters.
    func leftPadded(to count: Int) -> String { String(repeating: " ", count: max(0, count - self.count)) + self }
}
