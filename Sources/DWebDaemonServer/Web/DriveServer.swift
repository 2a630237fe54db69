#if Daemon
    package import DWebDrive
    import Logging

    /// A web server for one drive.
    package enum DriveServer {
        /// Serves a drive at the root of a local port until the task is cancelled.
        ///
        /// - Parameters:
        ///   - drive: The drive, whose peers somebody else looks for.
        ///   - port: The port; 0 takes a free one.
        ///   - isReady: Called with the address before the server begins.
        /// - Throws: ``DaemonProcessError`` if the port cannot be used.
        package static func run(
            _ drive: DDrive, port: UInt16, isReady: @Sendable (String) -> Void
        ) async throws {
            let server = try WebServer.bind(
                port: port, content: .drive(drive), logger: Logger(label: "serve") { _ in SwiftLogNoOpLogHandler() })
            isReady(server.url)
            try await server.run()
        }
    }
#endif
