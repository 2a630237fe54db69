#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonProto
    import DWebDaemonServer
    import DWebDrive
    import Foundation
    import SwiftProtobuf

    /// `dweb serve`: a drive as a web site on this machine.
    struct ServeCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "serve", abstract: "Serve the files of a drive over HTTP on this machine.",
            discussion: """
                Prints the address and stays until Ctrl-C. Files come from peers as they are asked for. Byte ranges, \
                media types, folders as pages and entity tags are supported. Only localhost is answered. If the daemon \
                seeds the drive, its address at the daemon is printed instead, and the command returns.
                """)

        @Argument(help: "The drive's key.")
        var key: String

        @Option(name: .customLong("web-port"), help: "The local port; 0 takes a free one.")
        var webPort: UInt16 = 8_080

        @Option(name: .customLong("store"), help: "Keep what is read in this directory. Default: a temporary one.")
        var directory: String?

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var network: NetworkOptions
        @OptionGroup var output: OutputOptions

        private struct Serving: Encodable {
            let url: String
        }

        func run() async throws {
            let key = try PublicKey(text: key)
            if let url = try await addressAtDaemon(key) {
                output.console.emit(Serving(url: url), text: url)
                output.console.say("The daemon serves this drive.")
                return
            }
            let command = self
            try await servingUntilInterrupted { try await command.serve(key) }
        }

        private func addressAtDaemon(_ key: PublicKey) async throws -> String? {
            guard case .running(let note) = DaemonPresence.probe(daemon.paths), let dashboard = note.dashboard else {
                return nil
            }
            let seeds = try await daemon.withDaemon { calls, _ in
                try await calls.listSeeds(.with { $0.keys = [Data(key.bytes)] }, options: ControlClient.options).seeds
            }
            guard seeds.contains(where: { $0.kind == .drive && $0.state != .searching }) else { return nil }
            return "\(dashboard)drive/\(key.text)/"
        }

        private func serve(_ key: PublicKey) async throws {
            let console = output.console
            try await translatingDaemonErrors {
                try await Node.with(storePath: directory, network: network) { node in
                    let drive = try await DDrive.open(in: node.store, key: key)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            try await DriveServer.run(drive, port: webPort) { url in
                                console.emit(Serving(url: url), text: url)
                                console.say("Serving \(key.text). Ctrl-C stops.")
                            }
                        }
                        group.addTask {
                            try await node.networker.join(drive.discoveryKey, announce: true, lookup: true)
                        }
                        try await group.waitForAll()
                    }
                }
            }
        }
    }
#endif
