import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log tail`: follows a log.
struct LogTailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print a log's blocks as they are appended, until Ctrl-C.",
        discussion: """
            Starts with the last ten blocks, or what -n says: of the log as the first peers know it or, where the store \
            has some of it, as the store does. Each block is followed by a newline, unless --raw. With --json each line \
            carries the index and the bytes.
            """)

    @Argument(help: "The log's key.")
    var key: String

    // How long the peers that are there get to tell of a longer log than the first one knew.
    private static let lengthTime = Duration.seconds(2)

    @Option(
        name: [.customShort("n"), .long],
        help: "How many of the existing blocks to print first; 'all' prints every one, '+N' all from block N on.")
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
        let start = try LogTailStart(from)
        let console = output.console
        try await Node.with(storePath: directory, network: network) { node in
            let database = try await node.store.database(key: key)
            console.say("Following \(key.text). Ctrl-C stops.")
            try await node.networker.join(database.discoveryKey, announce: false, lookup: true, flush: false)
            if database.length == 0 {
                try await database.waitForGrowth(beyond: 0)
                try await database.update(upTo: LogTailCommand.lengthTime)
            }
            var index = start.index(length: database.length)
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

/// The block with which a log is followed.
enum LogTailStart: Equatable {
    /// So many before the end.
    case last(UInt64)
    /// This one.
    case block(UInt64)

    /// - Throws: `ValidationError` for a text that is none of those.
    init(_ text: String) throws {
        if text == "all" {
            self = .block(0)
        } else if text.hasPrefix("+"), let index = UInt64(text.dropFirst()) {
            self = .block(index)
        } else if let count = UInt64(text) {
            self = .last(count)
        } else {
            throw ValidationError("-n takes a number, '+' and the number of a block, or 'all'.")
        }
    }

    func index(length: UInt64) -> UInt64 {
        switch self {
        case .last(let count): length - min(length, count)
        case .block(let index): index
        }
    }
}
