import ArgumentParser
import DWeb

/// `dweb tree info`.
struct TreeInfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "info", abstract: "Show a tree's key and version.")

    @OptionGroup var options: TreeOptions
    @OptionGroup var wait: WaitOptions

    private struct Info: Encodable {
        let key: String
        let discoveryKey: String
        let version: UInt64
        let writable: Bool
        let metadata: String?
        let peers: Int
    }

    func run() async throws {
        let (console, wait) = (options.output.console, wait)
        try await options.reading(wait) { tree in
            let header = try await tree.header(wait.read)
            let info = Info(
                key: tree.key.text, discoveryKey: tree.database.discoveryKey.hex, version: tree.version,
                writable: tree.isWritable, metadata: header?.metadata?.userData.map { TreeText.utf8.text($0) },
                peers: tree.database.peerCount)
            console.emit(
                info,
                text: """
                    key             \(info.key)
                    discovery key   \(info.discoveryKey)
                    version         \(info.version)
                    writable        \(info.writable ? "yes" : "no")
                    metadata        \(info.metadata ?? "-")
                    peers           \(info.peers)
                    """)
        }
    }
}
