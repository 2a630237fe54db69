import ArgumentParser
import DWeb

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
