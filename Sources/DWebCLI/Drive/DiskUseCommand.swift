import ArgumentParser
import DWeb

/// `dweb du`.
struct DiskUseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "du", abstract: "Show how much space drives take on this machine.",
        discussion: """
            For each drive: content that is stored, content that the newest version needs, and the size of the store's files.
            """)

    @OptionGroup var options: SpaceOptions

    private struct Use: Encodable {
        let key: String
        let title: String
        let writable: Bool
        let storedBytes: UInt64
        let neededBytes: UInt64
        let fileBytes: UInt64
    }

    func run() async throws {
        let console = options.output.console
        let options = options
        try await untilInterrupted {
            try await options.each { title, path, drive, store in
                var (stored, needed) = (UInt64(0), UInt64(0))
                if let content = try? await drive.contentDatabase(.localOnly) {
                    stored = try await store.diskUse(of: content.key).blockByteCount
                    needed = try await SpaceOptions.neededByteCount(drive)
                }
                stored += try await store.diskUse(of: drive.key).blockByteCount
                let use = Use(
                    key: drive.key.text, title: title, writable: drive.isWritable, storedBytes: stored,
                    neededBytes: needed, fileBytes: SpaceOptions.byteCount(ofDirectory: path))
                console.emit(
                    use,
                    text: "\(Format.bytes(use.storedBytes).leftPadded(to: 10))  "
                        + "\(Format.bytes(use.fileBytes).leftPadded(to: 10)) on disk  \(title)")
            }
        }
    }
}
