#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDrive
    import Foundation

    /// `dweb daemon made-up-drives`: made-up drives for measurements of a daemon.
    struct MadeUpDrivesCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "made-up-drives", abstract: "Serve made-up drives for a measurement.", shouldDisplay: false)

        private struct Ready: Encodable { let key: String }

        @Option var count: Int
        @Option var files = 10
        @Option var size = 10_000
        @Option(name: .customLong("store")) var directory: String
        @OptionGroup var network: NetworkOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let command = self
            try await servingUntilInterrupted { try await command.serve() }
        }

        private func serve() async throws {
            let console = Console(isJSON: true, isQuiet: true)
            try await Node.with(storePath: directory, network: network) { node in
                // Held as long as they are served: a peer asks for both logs of a drive.
                var drives: [DDrive] = []
                for number in 0..<count {
                    let drive = try await DDrive.open(in: node.store.namespace("drive \(number)"))
                    for file in 0..<files {
                        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &+ file &* 7) }
                        try await drive.write(content, to: "/folder/file \(file).bin")
                    }
                    drives.append(drive)
                    try await node.networker.join(drive.discoveryKey, announce: true, lookup: false, flush: false)
                    console.emit(Ready(key: drive.key.text), text: "")
                }
                while !drives.isEmpty { try await Task.sleep(for: .seconds(3_600)) }
            }
        }
    }
#endif
