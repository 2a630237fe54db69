import ArgumentParser
import DWeb

/// `dweb drive info`.
struct DriveInfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show a drive's keys, version, and what of it is on this machine.")

    @OptionGroup var options: DriveReadOptions

    private struct Info: Encodable {
        let key: String
        let discoveryKey: String
        let contentKey: String
        let version: UInt64
        let writable: Bool
        let files: Int
        let links: Int
        let byteCount: UInt64
        let storedBytes: UInt64
        let peers: Int
    }

    func run() async throws {
        let (console, wait) = (options.output.console, options.wait)
        try await options.reading { drive, session in
            let content = try await drive.contentDatabase(wait.read)
            var (files, links, byteCount) = (0, 0, UInt64(0))
            for try await entry in drive.entries(in: "/", wait.read) {
                if entry.kind == .link { links += 1 } else { files += 1 }
                byteCount += entry.byteCount
            }
            let info = Info(
                key: drive.key.text, discoveryKey: drive.discoveryKey.hex, contentKey: content.key.text,
                version: drive.version, writable: drive.isWritable, files: files, links: links, byteCount: byteCount,
                storedBytes: try await session.store.diskUse(of: content.key).blockByteCount,
                peers: drive.database.peerCount)
            console.emit(
                info,
                text: """
                    key             \(info.key)
                    discovery key   \(info.discoveryKey)
                    content key     \(info.contentKey)
                    version         \(info.version)
                    writable        \(info.writable ? "yes" : "no")
                    files           \(info.files), and \(info.links) links
                    content         \(Format.bytes(info.byteCount)), \(Format.bytes(info.storedBytes)) of it here with older versions
                    peers           \(info.peers)
                    """)
        }
    }
}
