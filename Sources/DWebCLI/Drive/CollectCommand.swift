import ArgumentParser
import DWeb

/// `dweb gc`.
struct CollectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Delete content that the newest version of a drive does not need, and free its space.",
        discussion: """
            What goes is the content of older versions, and what interrupted writes left. Entries of older versions stay; of \
            a drive that is written here their content may exist nowhere else. The number of bytes goes to standard output.
            """)

    @OptionGroup var options: SpaceOptions

    @Flag(help: "Say what would be freed, and do nothing.")
    var dryRun = false

    func run() async throws {
        let console = options.output.console
        let (options, dryRun) = (options, dryRun)
        try await untilInterrupted {
            try await options.each { title, path, drive, store in
                var freed: UInt64 = 0
                if let content = try? await drive.contentDatabase(.localOnly) {
                    let stored = try await store.diskUse(of: content.key).blockByteCount
                    var rest: UInt64
                    do {
                        rest = try await SpaceOptions.neededByteCount(drive)
                        if !dryRun {
                            try await drive.clearUnneeded()
                            try await store.reclaimSpace()
                            rest = try await store.diskUse(of: content.key).blockByteCount
                        }
                    } catch let error as DDriveError where error.code == .notAvailable || error.code == .noPeers {
                        console.say("\(title) is not known completely here and was left alone.")
                        return
                    }
                    freed = stored - min(stored, rest)
                }
                console.emit(
                    FreedReport(key: drive.key.text, freedBytes: freed, store: path), text: "\(freed)\t\(title)")
            }
        }
    }
}
