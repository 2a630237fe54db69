#if Daemon
    import ArgumentParser
    import DWebDaemonProto
    import DWebDaemonServer
    import Foundation
    import GRPCCore
    import SwiftProtobuf

    /// `dweb daemon`: the process that keeps logs, trees and drives available.
    struct DaemonCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "daemon", abstract: "Run and look after the daemon, which keeps drives available for years.",
            discussion: """
                The daemon remembers what it is told to seed, announce and look up, and goes on with it after every \
                restart. One daemon runs per folder. Commands such as 'dweb seed' talk to it over a socket that only its \
                owner can open.
                """,
            subcommands: [
                DaemonStartCommand.self, DaemonStopCommand.self, DaemonStatusCommand.self, DaemonLogsCommand.self,
                DaemonTopicsCommand.self, MadeUpDrivesCommand.self,
            ])
    }

    /// `dweb daemon stop`: ends the daemon in order.
    struct DaemonStopCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "stop", abstract: "End the daemon in order, and wait until it has ended.")

        @Option(help: "Give up waiting after this many seconds.")
        var timeout: Double = 30

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let paths = daemon.paths
            switch DaemonPresence.probe(paths) {
            case .notRunning, .staleLock:
                output.console.say("No daemon runs.")
                return
            case .starting(let processID): kill(processID, SIGTERM)
            // Of another version only the signal is certain to be understood.
            case .wrongVersion(let note): kill(note.processID, SIGTERM)
            case .running:
                _ = try await daemon.withDaemon { calls, _ in
                    try await calls.stop(Dweb_V1_StopRequest(), options: ControlClient.options)
                }
            }
            let deadline = Date().addingTimeInterval(timeout)
            while DaemonLock.holder(of: paths.lock) != nil {
                guard Date() < deadline else {
                    throw CommandFailure(.failure, "The daemon was asked to end and has not after \(Int(timeout)) s.")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            output.console.say("The daemon has ended.")
        }
    }

    /// `dweb daemon logs`: what the daemon said.
    struct DaemonLogsCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "logs", abstract: "Print the newest lines of the daemon's log.",
            discussion: """
                Asks the daemon that runs for the lines it remembers. Without one, prints the end of the file that a \
                daemon started with --detach wrote. Rotating that file is left to the system.
                """)

        @Option(name: .shortAndLong, help: "The number of lines.")
        var lines: Int = 100

        @Flag(name: .shortAndLong, help: "Go on with new lines until Ctrl-C.")
        var follow = false

        @OptionGroup var daemon: DaemonOptions

        func validate() throws {
            guard (0...LogBuffer.lineCount).contains(lines) else {
                throw ValidationError("--lines takes 0 to \(LogBuffer.lineCount).")
            }
        }

        func run() async throws {
            let command = self
            guard case .running = DaemonPresence.probe(daemon.paths) else { return try printFile() }
            try await servingUntilInterrupted {
                try await command.daemon.withDaemon { calls, _ in
                    let request = Dweb_V1_ReadLogRequest.with {
                        $0.lines = UInt32(command.lines)
                        $0.follow = command.follow
                    }
                    try await calls.readLog(request) { response in
                        for try await message in response.messages {
                            for line in message.lines { print(line) }
                            fflush(nil)
                        }
                    }
                }
            }
        }

        private func printFile() throws {
            guard let text = try? String(contentsOfFile: daemon.paths.log, encoding: .utf8) else {
                throw CommandFailure(
                    .noDaemon, "No daemon runs, and none has left a log in \(daemon.paths.folder).")
            }
            if follow { throw CommandFailure(.noDaemon, "No daemon runs whose log could be followed.") }
            for line in text.split(separator: "\n").suffix(lines) { print(line) }
        }
    }
#endif
