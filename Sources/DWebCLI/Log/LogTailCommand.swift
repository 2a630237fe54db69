import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log tail`: follows a log.
struct LogTailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print a log's blocks as they are appended, until Ctrl-C.",
        discussion:
            "Each block is followed by a newline, unless --raw. With --json each line carries the index and the bytes.")

    @Argument(help: "The log's key.")
    var key: String

    @Option(help: "The number of existing blocks to print first; 'all' prints every one.")
    var from: String = "10"

    @Flag(help: "Print the bytes as they are, without newlines between blocks.")
    var raw = false

    @Option(name: .customLong("store"), help: "Keep the blocks in this directory. Default: a temporary one.")
    var directory: String?

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Line: Encodable {
        let index: UInt64
        let text: String?
        let base64: String?
    }

    func run() async throws {
        try await interruptionIsSuccess { try await follow() }
    }

    private func follow() async throws {
        let key = try PublicKey(text: key)
        let isAll = from == "all"
        guard isAll || UInt64(from) != nil else { throw ValidationError("--from takes a number or 'all'.") }
        let back = UInt64(from) ?? 0
        let console = output.console
        try await Node.with(storePath: directory, network: network) { node in
            let database = try await node.store.database(key: key)
            console.say("Following \(key.text). Ctrl-C stops.")
            try await node.networker.join(database.discoveryKey, announce: false, lookup: true, flush: false)
            if database.length == 0 { try await database.waitForGrowth(beyond: 0) }
            var index = isAll ? 0 : database.length - min(database.length, back)
            for try await block in database.blocks(from: index, live: true, .wait(upTo: .seconds(86_400))) {
                show(block, index, console)
                index += 1
            }
        }
    }

    private func show(_ block: [UInt8], _ index: UInt64, _ console: Console) {
        if output.json {
            let text = String(validating: block, as: UTF8.self)
            console.emit(
                Line(index: index, text: text, base64: text == nil ? Data(block).base64EncodedString() : nil), text: "")
        } else {
            console.write(raw ? block : block + [0x0a], to: .standardOutput)
        }
    }
}
