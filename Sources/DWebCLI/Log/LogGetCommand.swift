import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log get`: fetches a log into a file.
struct LogGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Fetch a log from peers, verify it and write it to a file.",
        discussion: """
            Every block is verified against the key before it is written. With --store, blocks are kept: an interrupted \
            fetch goes on where it stopped, and nothing is downloaded twice.
            """)

    @Argument(help: "The log's key: 52 characters in z-base-32 or 64 in hexadecimal.")
    var key: String

    @Option(help: "The file to write; - writes to standard output.")
    var out: String

    @Option(name: .customLong("store"), help: "Keep the blocks in this directory. Default: a temporary one.")
    var directory: String?

    @Option(help: "Give up when no peer was found for this many seconds.")
    var timeout: Double = 30

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Fetched: Encodable {
        let key: String
        let length: UInt64
        let byteLength: UInt64
        let downloadedBytes: UInt64
        let seconds: Double
        let bytesPerSecond: Double
        let out: String
    }

    func run() async throws {
        try await fetch()
    }

    private func fetch() async throws {
        let key = try PublicKey(text: key)
        guard timeout > 0 else { throw ValidationError("The timeout must be above zero.") }
        let sink = try FileSink(path: out)
        let console = output.console
        let started = Date()
        do {
            try await Node.with(storePath: directory, network: network) { node in
                let database = try await node.store.database(key: key)
                console.say("Looking for peers of \(key.text) ...")
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        try await node.networker.join(
                            database.discoveryKey, announce: false, lookup: true, flush: false)
                        return false
                    }
                    // Beside the lookup: a peer in the local network is there long before a silent DHT gives up.
                    group.addTask {
                        try await waitForLength(database, node)
                        return true
                    }
                    while try await group.next() == false {}
                    group.cancelAll()
                }
                let length = database.length
                let byteCount = try await writeBlocks(database, length: length, to: sink, console: console)
                try sink.finish()
                let seconds = Date().timeIntervalSince(started)
                let fetched = Fetched(
                    key: key.text, length: length, byteLength: byteCount,
                    downloadedBytes: database.statistics.downloadedByteCount, seconds: seconds,
                    bytesPerSecond: Double(byteCount) / max(0.001, seconds), out: out)
                if output.json || out != "-" {
                    if output.json { console.emit(fetched, text: "") }
                }
                console.say(
                    "Verified \(Format.count(length, "block")), \(Format.bytes(byteCount)), "
                        + "in \(Format.duration(seconds: seconds)) (\(Format.rate(fetched.bytesPerSecond))).")
            }
        } catch {
            sink.discard()
            throw error
        }
    }

    /// Waits until the log's length is known from a peer, or was known before and no peer appears.
    private func waitForLength(_ database: DDatabase, _ node: Node) async throws {
        let deadline = Date().addingTimeInterval(timeout)
        while Date() < deadline {
            if database.peerCount > 0 { _ = try await database.update(upTo: .seconds(5)) }
            if database.length > 0, database.peerCount > 0 || database.contiguousLength == database.length { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        if database.length > 0 { return }
        throw CommandFailure(
            .unavailable,
            database.peerCount > 0
                ? "The peers that were found do not have this log yet."
                : "No peer with this log was found within \(Format.duration(seconds: timeout)).")
    }

    /// Writes the log's blocks and returns how many bytes they are.
    private func writeBlocks(
        _ database: DDatabase, length: UInt64, to sink: FileSink, console: Console
    ) async throws -> UInt64 {
        let total = database.byteLength
        var meter = ProgressMeter(label: "Fetched", total: total)
        var lastShown = Date.distantPast
        var byteCount: UInt64 = 0
        // The download runs ahead of the writer, which verifies by reading what was stored.
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.download(0..<length) }
            var iterator = database.blocks(from: 0, live: false, .wait(upTo: .seconds(timeout))).makeAsyncIterator()
            var count: UInt64 = 0
            while count < length, let block = try await iterator.next() {
                try sink.write(block)
                byteCount += UInt64(block.count)
                count += 1
                if Date().timeIntervalSince(lastShown) > 0.2 {
                    lastShown = Date()
                    console.showProgress(meter.line(bytes: byteCount, peers: database.peerCount))
                }
            }
            console.endProgress()
            try await group.waitForAll()
        }
        return byteCount
    }
}
