import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log append`: adds blocks to a log of the local store.
struct LogAppendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append", abstract: "Append a file or standard input to a log of the local store.",
        discussion:
            "Creates the log if the store has none of that name. A store that is being served must be stopped first.")

    @Argument(help: "The log's name in the store, or its key.")
    var log: String

    @Argument(help: "The file to append; - reads standard input.")
    var file: String = "-"

    @Flag(help: "Make every line a block, instead of every 64 KiB.")
    var lines = false

    @OptionGroup var storeOptions: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Appended: Encodable {
        let key: String
        let first: UInt64
        let count: UInt64
        let length: UInt64
        let byteLength: UInt64
    }

    func run() async throws {
        let command = self
        try await untilInterrupted { try await command.append() }
    }

    private func append() async throws {
        let input = try BlockSource.open(file)
        let console = output.console
        try await Node.withStore(path: storeOptions.path) { _, store in
            let database = try await openLog(log, in: store, createNamed: true)
            guard database.isWritable else {
                throw CommandFailure(.storage, "The log \(database.key.text) can only be written where it was made.")
            }
            let source = BlockSource(input, isLines: lines)
            let first = database.length
            var meter = ProgressMeter(label: "Appended", total: nil)
            while let blocks = try source.nextBatch() {
                try Task.checkCancellation()
                try await database.append(blocks)
                console.showProgress(meter.line(bytes: database.byteLength, peers: nil))
            }
            console.endProgress()
            let appended = Appended(
                key: database.key.text, first: first, count: database.length - first, length: database.length,
                byteLength: database.byteLength)
            console.emit(appended, text: appended.key)
            console.say(
                "Appended \(Format.count(appended.count, "block")); the log has \(Format.count(appended.length)).")
        }
    }
}

/// Opens a log by key, if the text is one, else by name.
func openLog(_ text: String, in store: Basestore, createNamed: Bool) async throws -> DDatabase {
    if let key = try? PublicKey(text: text) {
        do {
            return try await store.database(key: key, createIfMissing: false)
        } catch {
            guard error.code == .notFound else { throw error }
            throw CommandFailure(.storage, "The store has no log with the key \(key.text).")
        }
    }
    if !createNamed {
        let names = try await store.names().map(\.name)
        guard names.contains(text) else {
            throw CommandFailure(.storage, "The store has no log called '\(text)', and that text is no key.")
        }
    }
    return try await store.database(named: text)
}
