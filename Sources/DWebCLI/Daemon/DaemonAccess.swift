#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonKit
    import DWebDaemonProto
    import DWebDaemonServer
    import DWebEssentials
    import Foundation
    import GRPCCore

    /// Where the daemon is.
    struct DaemonOptions: ParsableArguments {
        @Option(
            name: .customLong("daemon"),
            help: "The daemon's folder, the owner's alone. Default: $DWEB_DAEMON, else ~/.dweb/daemon.")
        var folder: String?

        /// The folder, with the defaults applied.
        var paths: DaemonPaths { DaemonPaths(folder: path) }

        var path: String {
            if let folder, !folder.isEmpty { return URL(fileURLWithPath: folder).standardizedFileURL.path }
            return DaemonOptions.standardPath
        }

        /// `$DWEB_DAEMON`, else `~/.dweb/daemon`.
        static var standardPath: String {
            let named = ProcessInfo.processInfo.environment["DWEB_DAEMON"] ?? ""
            if !named.isEmpty { return URL(fileURLWithPath: named).standardizedFileURL.path }
            return HomeFolder.appending(".dweb/daemon")
        }

        /// Runs `body` with the calls of the daemon that runs.
        ///
        /// - Throws: ``CommandFailure`` with status `noDaemon` and a sentence that says why there is none to call.
        func withDaemon<Result: Sendable>(
            _ body: (ControlClient.Calls, DaemonNote) async throws -> Result
        ) async throws -> Result {
            let presence = DaemonPresence.probe(paths)
            guard case .running(let note) = presence else { throw CommandFailure(.noDaemon, presence.sentence(paths)) }
            return try await translatingDaemonErrors {
                try await ControlClient.with(socket: note.socket) { try await body($0, note) }
            }
        }
    }

    extension DaemonPresence {
        /// What is the case, and what to do about it.
        func sentence(_ paths: DaemonPaths) -> String {
            switch self {
            case .notRunning: "No daemon runs. Start one with: dweb daemon start --detach"
            case .staleLock(let note):
                "No daemon runs; the last one (process \(note.processID)) ended without notice, which does no harm. "
                    + "Start one with: dweb daemon start --detach"
            case .starting(let processID): "The daemon (process \(processID)) is starting; try again in a moment."
            case .wrongVersion(let note):
                "The daemon that runs is version \(note.version), which this program (\(DWebVersion.text)) does not "
                    + "understand. Restart it with: dweb daemon stop && dweb daemon start --detach"
            case .running(let note): "The daemon runs (process \(note.processID), version \(note.version))."
            }
        }

        /// One word for programs.
        var word: String {
            switch self {
            case .notRunning: "not running"
            case .staleLock: "stale lock"
            case .starting: "starting"
            case .wrongVersion: "wrong version"
            case .running: "running"
            }
        }
    }

    /// Puts errors of the daemon, its process and its control interface into a sentence and an exit code.
    func translatingDaemonErrors<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as DaemonProcessError {
            let status: ExitStatus =
                switch error.kind {
                case .files: .storage
                case .alreadyRunning: .locked
                case .network: .network
                }
            throw CommandFailure(status, error.description + ".")
        } catch let error as RPCError {
            switch error.code {
            case .unavailable: throw CommandFailure(.noDaemon, "The daemon does not answer: \(error.message)")
            case .deadlineExceeded: throw CommandFailure(.noDaemon, "The daemon did not answer in time.")
            case .invalidArgument: throw CommandFailure(.usage, error.message)
            case .failedPrecondition: throw CommandFailure(.storage, error.message)
            case .cancelled: throw CommandFailure(.interrupted, "Interrupted.")
            default: throw CommandFailure(.failure, error.message)
            }
        }
    }

    extension Data {
        /// The key that the bytes are, as people read it.
        var keyText: String { PublicKey(self)?.text ?? "" }
        /// The discovery key that the bytes are.
        var discoveryText: String { DiscoveryKey(self)?.hex ?? "" }
    }
#endif
