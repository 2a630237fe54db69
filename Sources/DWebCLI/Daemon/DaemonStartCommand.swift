#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonServer
    import Foundation
    import Logging
    import UnixSignals

    /// How a daemon is started; `dweb daemon start` and `dweb seed` without a daemon share it.
    struct DaemonStartOptions: ParsableArguments {
        @Option(
            name: .customLong("store"),
            help: "The directory of the store of logs. Default: 'store' in the daemon's folder.")
        var store: String?

        @Option(
            help: "The local port of the dashboard and of drives over HTTP; 0 takes a free one. Default: 49780 if free."
        )
        var webPort: UInt16?

        @Flag(help: "Serve neither dashboard nor drives over HTTP.")
        var noWeb = false

        @Option(
            help:
                "Also take control calls on this local TCP port, from those who know the token in the daemon's folder.")
        var controlPort: UInt16?

        @Flag(help: "Write the log as JSON, one object per line.")
        var logJSON = false

        @Option(help: "The least important lines to log.")
        var logLevel = LogLevel.info

        @OptionGroup var network: NetworkOptions

        // Beside the network's own port, 49737, and as unassigned.
        private static let usualWebPort: UInt16 = 49_780

        /// The daemon that these options describe.
        func program(_ daemon: DaemonOptions, isQuiet: Bool = false) throws -> DaemonProgram {
            let store = store.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
            var options = DaemonProgram.Options(paths: DaemonPaths(folder: daemon.path, store: store))
            options.network.bootstrap = try network.bootstrapAddresses()
            options.network.port = network.port
            options.network.isAnyPortAllowed = network.port == nil
            options.network.host = try network.bindHost()
            options.webPort = noWeb ? nil : webPort ?? DaemonStartOptions.usualWebPort
            options.isAnyWebPortAllowed = webPort == nil
            options.controlPort = controlPort
            let buffer = LogBuffer()
            let handler = DaemonLogHandler(
                label: "daemon", level: isQuiet ? .warning : logLevel.level, isJSON: logJSON, buffer: buffer)
            return DaemonProgram(
                options: options, logger: Logger(label: "daemon") { _ in handler }, log: buffer)
        }
    }

    /// How important a line of the log is.
    enum LogLevel: String, ExpressibleByArgument, CaseIterable {
        case trace, debug, info, notice, warning, error

        /// The same for the logger.
        var level: Logger.Level {
            switch self {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
        }
    }

    /// `dweb daemon start`: becomes the daemon, or starts one in the background.
    struct DaemonStartCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "start", abstract: "Start the daemon: in the foreground, or detached from the terminal.",
            discussion: """
                Runs in the foreground, as systemd and launchd want it, and tells them when it is ready; units are in \
                the folder 'packaging'. With --detach it returns once the daemon answers, or prints why it does not \
                start. The log goes to standard error, or with --detach to 'daemon.log' in the daemon's folder.
                """)

        @Flag(help: "Return once the daemon runs in the background.")
        var detach = false

        @Flag(help: .hidden)
        var asChild = false

        @OptionGroup var start: DaemonStartOptions
        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            if detach {
                try await translatingDaemonErrors { try startDetached() }
                return
            }
            if asChild { setsid() }
            let program = try start.program(daemon, isQuiet: output.quiet)
            let console = output.console
            let command = self
            try await endingOnSignals {
                try await translatingDaemonErrors {
                    try await program.run { note in command.report(note, console) }
                }
            }
        }

        private struct Started: Codable {
            let processID: Int32
            let socket: String
            let dashboard: String?
        }

        private func report(_ note: DaemonNote, _ console: Console) {
            let started = Started(processID: note.processID, socket: note.socket, dashboard: note.dashboard)
            if asChild {
                // The parent waits for this line, and reads no further.
                Console(isJSON: true, isQuiet: false).emit(started, text: "")
                let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
                if nowhere >= 0 {
                    dup2(nowhere, STDOUT_FILENO)
                    close(nowhere)
                }
            } else {
                if output.json { console.emit(started, text: "") }
                console.say("The daemon is ready.\(note.dashboard.map { " Dashboard: \($0)" } ?? "")")
            }
        }

        private func startDetached() throws {
            let paths = daemon.paths
            if case .running(let note) = DaemonPresence.probe(paths) {
                throw CommandFailure(.locked, "A daemon runs already (process \(note.processID)).")
            }
            try paths.prepare()
            let descriptor = open(paths.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw CommandFailure(.storage, "The file \(paths.log) cannot be written.") }
            let logFile = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            let logStart = try logFile.seekToEnd()
            let arguments = CommandLine.arguments.dropFirst().map { $0 == "--detach" ? "--as-child" : $0 }
            let child = Process()
            guard let executable = Bundle.main.executableURL else {
                throw CommandFailure(.failure, "The program's own file cannot be found.")
            }
            let answer = Pipe()
            child.executableURL = executable
            child.arguments = Array(arguments)
            child.standardInput = FileHandle.nullDevice
            child.standardOutput = answer
            child.standardError = logFile
            try child.run()
            try? answer.fileHandleForWriting.close()
            var line = Data()
            while !line.contains(0x0a) {
                let more = answer.fileHandleForReading.availableData
                if more.isEmpty { break }
                line.append(more)
            }
            guard let started = try? JSONDecoder().decode(Started.self, from: line) else {
                child.waitUntilExit()
                throw CommandFailure(
                    ExitStatus(rawValue: child.terminationStatus) ?? .failure,
                    "The daemon did not start. \(lastWords(paths.log, from: logStart))")
            }
            output.console.emit(
                started,
                text:
                    "The daemon runs (process \(started.processID)).\(started.dashboard.map { " Dashboard: \($0)" } ?? "")"
            )
        }

        /// What the daemon said last, without the name of the program that it puts before.
        private func lastWords(_ path: String, from start: UInt64) -> String {
            guard let file = FileHandle(forReadingAtPath: path) else { return "" }
            try? file.seek(toOffset: start)
            let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
            guard let last = text.split(separator: "\n").last else { return "Its log is in \(path)." }
            return last.hasPrefix("dweb: ") ? String(last.dropFirst("dweb: ".count)) : String(last)
        }
    }

    /// Runs `body` until it ends, or a signal asks it to. A second signal, or half a minute, ends the process at once.
    func endingOnSignals(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
                for await _ in signals { return false }
                return false
            }
            group.addTask {
                try await body()
                return true
            }
            let isDone = try await group.next() ?? true
            guard !isDone else {
                group.cancelAll()
                return
            }
            group.cancelAll()
            try await withThrowingTaskGroup(of: Void.self) { watch in
                watch.addTask {
                    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
                    for await _ in signals { _exit(ExitStatus.interrupted.rawValue) }
                }
                watch.addTask {
                    try await Task.sleep(for: .seconds(30))
                    _exit(ExitStatus.failure.rawValue)
                }
                do { while try await group.next() != nil {} } catch is CancellationError {
                } catch let failure as CommandFailure where failure.status == .interrupted {
                } catch {
                    watch.cancelAll()
                    throw error
                }
                watch.cancelAll()
                do { try await watch.waitForAll() } catch is CancellationError {}
            }
        }
    }
#endif
