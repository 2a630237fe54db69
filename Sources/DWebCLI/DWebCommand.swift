import ArgumentParser
import CPieces
import DWeb

/// The program.
@main
struct DWebCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dweb",
        abstract: "Share folders, files and signed logs over a peer-to-peer network.",
        discussion: """
            Standard output carries data, standard error carries talk. Exit codes: 0 done, 1 failed, 3 no peer had the \
            data in time, 4 file or store unreadable, 5 store in use, 6 network refused, 7 data did not verify, \
            8 no daemon answers, 64 wrong usage, 130 interrupted.
            """,
        version: DWebVersion.text,
        subcommands: [
            ShareCommand.self, GetCommand.self, SyncCommand.self, DriveCommand.self, TreeCommand.self, LogCommand.self,
        ] + daemonCommands + [
            DiskUseCommand.self, CollectCommand.self, KeysCommand.self, DoctorCommand.self, DHTCommand.self,
            RelayCommand.self, TestnetCommand.self, DemoCommand.self, BenchCommand.self, CompletionsCommand.self,
            ManualCommand.self,
        ])

    /// The commands that a program without the daemon does not have.
    private static var daemonCommands: [any ParsableCommand.Type] {
        #if Daemon
            [
                DaemonCommand.self, StatusCommand.self, SeedCommand.self, UnseedCommand.self, PeersCommand.self,
                LimitsCommand.self, ServeCommand.self,
            ]
        #else
            []
        #endif
    }

    /// Tells who asks for a command of the daemon, in a program that was built without it, how to get one that has it.
    private static func nameMissingCommand() throws {
        #if !Daemon
            let names: Set = ["daemon", "status", "seed", "unseed", "peers", "limits", "serve"]
            guard let name = CommandLine.arguments.dropFirst().first, names.contains(name) else { return }
            throw CommandFailure(
                .usage,
                "'dweb \(name)' is part of the daemon, which this program was built without; "
                    + "'scripts/build --daemon' builds one that has it.")
        #endif
    }

    // Two left half of the page faults of large blocks, four gained nothing and stayed in memory.
    private static let keptPieceCount: Int32 = 3

    /// Runs the command line and turns every failure into one sentence and its exit code.
    static func main() async {
        // The loop does nearly all work, so threads have little to contend for.
        ProcessMemory.limitArenas(to: 2)
        dweb_keep_pieces(RocksStorage.writeBufferPieceByteCount, DWebCommand.keptPieceCount)
        ParentWatch.startIfAsked()
        do {
            do {
                try nameMissingCommand()
                var command = try parseAsRoot()
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
            } catch {
                // Requests for help and wrong usage are the parser's to show.
                guard let failure = CommandFailure(describing: error) else { throw error }
                let text = failure.description
                Console(isJSON: false, isQuiet: false).say("dweb: \(text)" + (text.hasSuffix(".") ? "" : "."))
                exit(withError: failure.status.code)
            }
        } catch {
            exit(withError: error)
        }
    }
}
