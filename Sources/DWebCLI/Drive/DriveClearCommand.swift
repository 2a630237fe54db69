import ArgumentParser
import DWeb

/// `dweb drive clear`.
struct DriveClearCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Delete content from this machine; peers can give it again.",
        discussion: "The entries stay. Of a drive that is written here, this may be the only copy: it needs --force.")

    @OptionGroup var options: DriveReadOptions

    @Argument(help: "A file or folder of the drive.")
    var path: String

    @Flag(help: "Also for a drive that is written here.")
    var force = false

    func run() async throws {
        let (console, path, force) = (options.output.console, path, force)
        var local = options
        local.wait.offline = true
        try await local.reading { drive, session in
            guard force || !drive.isWritable else {
                throw CommandFailure(
                    .usage, "This drive is written here, so this may be the only copy: use --force to delete it.")
            }
            let log = try await drive.contentDatabase(.localOnly)
            let before = try await session.store.diskUse(of: log.key).blockByteCount
            try await drive.clear(path)
            let after = try await session.store.diskUse(of: log.key).blockByteCount
            try await session.store.reclaimSpace()
            let freed = FreedReport(key: drive.key.text, freedBytes: before - min(before, after), store: nil)
            console.emit(freed, text: "\(freed.freedBytes)")
            console.say("Freed \(Format.bytes(freed.freedBytes)).")
        }
    }
}
