import ArgumentParser
import DWeb

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
