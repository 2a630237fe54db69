import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb drive purge`.
struct DrivePurgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge", abstract: "Delete a drive from this machine, for good.",
        discussion:
            "Peers keep what they have. A drive that is written here and has no copy elsewhere is lost: it needs --force."
    )

    @OptionGroup var options: DriveReadOptions

    @Flag(help: "Also a drive that is written here.")
    var force = false

    func run() async throws {
        let (console, force) = (options.output.console, force)
        var local = options
        local.wait.offline = true
        let place = DrivePlace(try DriveReference(options.drive), options.storeOptions)
        try await local.reading { drive, session in
            guard force || !drive.isWritable else {
                throw CommandFailure(
                    .usage, "This drive is written here and would be lost: use --force to delete it.")
            }
            let key = drive.key.text
            var freed: UInt64 = 0
            for log in [try? await drive.contentDatabase(.localOnly), drive.database].compactMap({ $0 }) {
                freed += (try? await session.store.diskUse(of: log.key).blockByteCount) ?? 0
            }
            try await drive.purge()
            try await session.store.reclaimSpace()
            console.emit(FreedReport(key: key, freedBytes: freed, store: nil), text: "\(freed)")
            console.say("Deleted \(key), \(Format.bytes(freed)).")
        }
        // The store held nothing else.
        if let path = place.storePath, !place.isShared { try? FileManager.default.removeItem(atPath: path) }
    }
}
