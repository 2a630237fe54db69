import ArgumentParser
import DWeb

/// `dweb drive serve`.
struct DriveServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Announce a drive and serve what of it is on this machine, until Ctrl-C.")

    @OptionGroup var options: DriveReadOptions

    @Flag(help: "Fetch and keep everything, and follow changes.")
    var mirror = false

    private struct Serving: Encodable {
        let key: String
        let version: UInt64
        let address: String?
    }

    func run() async throws {
        let command = self
        let console = options.output.console
        var local = options
        local.wait.offline = true
        try await local.reading(isServer: true) { drive, session in
            try await Node.with(session.store.runtime, session.store, network: command.options.network) { node in
                try await node.networker.join(
                    drive.discoveryKey, announce: true, lookup: !drive.isWritable, flush: false)
                let serving = Serving(
                    key: drive.key.text, version: drive.version,
                    address: await node.networker.localAddress?.description)
                console.emit(serving, text: serving.key)
                console.say("Serving version \(drive.version). Ctrl-C stops.")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await Narrator.tell(node.networker, console) }
                    group.addTask { try await drive.tree.exchangeHints() }
                    if command.mirror, !drive.isWritable {
                        group.addTask { try await keep(drive, console) }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    /// Downloads every version as it comes.
    private func keep(_ drive: DDrive, _ console: Console) async throws {
        var version: UInt64 = 0
        while true {
            try await drive.database.waitForGrowth(beyond: version)
            try Task.checkCancellation()
            let summary = try await TransferView.run(drive.download("/", stallTimeout: nil), "Fetching", console)
            version = max(version + 1, summary.version)
            console.say("Version \(summary.version) is here: \(Format.bytes(summary.byteCount)) fetched.")
        }
    }
}
