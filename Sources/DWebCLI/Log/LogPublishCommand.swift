import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log publish`: appends a file to a log and serves it.
struct LogPublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Append a file to a log, print the log's key and serve it.",
        discussion: """
            The key alone goes to standard output as soon as the log can be found; where no network answers, at once. The \
            log belongs to the file's path: \
            publishing the same file again serves the same key, and appends what the file has gained. Stays until Ctrl-C.
            """)

    @Argument(help: "The file to publish; - reads standard input.")
    var file: String

    @Flag(help: "Make every line a block, instead of every 64 KiB.")
    var lines = false

    @Option(help: "The log's name in the store. Default: the file's path; for standard input a new name each time.")
    var name: String?

    @OptionGroup var storeOptions: StoreOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Published: Encodable {
        let key: String
        let discoveryKey: String
        let length: UInt64
        let byteLength: UInt64
        let address: String?
    }

    func run() async throws {
        try await interruptionIsSuccess { try await publish() }
    }

    private func publish() async throws {
        // Checked before anything is opened, so that a typing error costs nothing.
        let input = try BlockSource.open(file)
        let isStandardInput = file == "-"
        let logName =
            name
            ?? (isStandardInput ? "stdin/\(UUID().uuidString)" : URL(fileURLWithPath: file).standardizedFileURL.path)
        let console = output.console
        try await Node.with(storePath: storeOptions.path, network: network) { node in
            let database = try await node.store.database(named: logName)
            try await fillLog(
                database, from: BlockSource(input, isLines: lines), total: isStandardInput ? nil : fileByteCount(),
                console: console)
            ProcessMemory.giveBackUnused()
            let announcement = Announcement(
                discoveryKey: database.discoveryKey, networker: node.networker, neighbor: node.neighbor)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await Narrator.tell(node.networker, console) }
                group.addTask {
                    try await announcement.make(console) { _ in
                        let published = Published(
                            key: database.key.text, discoveryKey: database.discoveryKey.hex, length: database.length,
                            byteLength: database.byteLength, address: await node.networker.localAddress?.description)
                        console.emit(published, text: published.key)
                        console.say(
                            "Serving \(Format.count(database.length, "block")), \(Format.bytes(database.byteLength)). "
                                + "Fetch them with: dweb log get \(database.key.text) --out FILE. Ctrl-C stops.")
                    }
                }
                try await group.waitForAll()
            }
            try Task.checkCancellation()
        }
    }

    private func fileByteCount() -> UInt64? {
        FileKind.byteCount(at: file)
    }
}

/// Appends what `source` has beyond the blocks that `database` already holds, which must be its beginning.
func fillLog(_ database: DDatabase, from source: BlockSource, total: UInt64?, console: Console) async throws {
    var index: UInt64 = 0
    var byteCount: UInt64 = 0
    var meter = ProgressMeter(label: "Appended", total: total)
    var lastShown = Date.distantPast
    while var blocks = try source.nextBatch() {
        try Task.checkCancellation()
        byteCount += blocks.reduce(0) { $0 + UInt64($1.count) }
        if index < database.length {
            // A log cannot be rewritten, so a file that changed in the middle needs another log.
            let known = try await database.blocks(
                at: index..<min(database.length, index + UInt64(blocks.count)), .localOnly)
            guard zip(known, blocks).allSatisfy({ $0 == $1 }) else {
                throw CommandFailure(
                    .storage,
                    "The file differs from what was published under this name before. Publish it under a new one with --name."
                )
            }
            index += UInt64(known.count)
            blocks.removeFirst(known.count)
        }
        if !blocks.isEmpty { index = try await database.append(blocks).upperBound }
        if Date().timeIntervalSince(lastShown) > 0.2 {
            lastShown = Date()
            console.showProgress(meter.line(bytes: byteCount, peers: nil))
        }
    }
    console.endProgress()
    guard index >= database.length else {
        throw CommandFailure(
            .storage,
            "The file is shorter than what was published under this name before. Publish it under a new one with --name."
        )
    }
}
