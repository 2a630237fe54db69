import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb log info`: what the local store knows of a log, or of all.
struct LogInfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show what the local store holds of a log, or of all its logs.")

    @Argument(help: "The log's name or key. Default: every log of the store.")
    var log: String?

    @OptionGroup var storeOptions: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Info: Encodable {
        let key: String
        let discoveryKey: String
        let length: UInt64
        let contiguousLength: UInt64
        let byteLength: UInt64
        let fork: UInt64
        let writable: Bool
    }

    func run() async throws {
        let console = output.console
        let log = log
        try await Node.withStore(path: storeOptions.path, createIfMissing: false) { _, store in
            if let log {
                try await show(openLog(log, in: store, createNamed: false), console)
            } else {
                for key in try await store.keys() {
                    try await show(store.database(key: key, createIfMissing: false), console)
                }
            }
        }
    }

    private func show(_ database: DDatabase, _ console: Console) async throws {
        let head = database.head
        let info = Info(
            key: database.key.text, discoveryKey: database.discoveryKey.hex, length: head.length,
            contiguousLength: head.contiguousLength, byteLength: head.byteLength, fork: head.fork,
            writable: database.isWritable)
        console.emit(
            info,
            text: """
                key               \(info.key)
                discovery key     \(info.discoveryKey)
                length            \(info.length) \(info.length == 1 ? "block" : "blocks"), \(Format.bytes(info.byteLength))
                complete up to    \(info.contiguousLength)
                fork              \(info.fork)
                writable          \(info.writable ? "yes" : "no")
                """)
        await database.close()
    }
}
