import ArgumentParser
import DWeb
import Foundation

/// The stores that commands about space look at.
struct SpaceOptions: ParsableArguments {
    @Argument(help: "Drives: keys, names or shared paths. Default: all on this machine.")
    var drives: [String] = []

    @OptionGroup var storeOptions: DriveStoreOptions
    @OptionGroup var output: OutputOptions

    /// Runs `body` with every drive that is meant and not in use, one after the other.
    func each(
        _ body: @escaping @Sendable (_ title: String, _ path: String, DDrive, Basestore) async throws -> Void
    ) async throws {
        let console = output.console
        let places: [(title: String, place: DrivePlace)]
        if drives.isEmpty, storeOptions.namedStore == nil {
            places = try DriveHome.standard.stores().map { store in
                let label = store.label
                let reference: DriveReference =
                    if let path = label.path {
                        .path(path)
                    } else if let name = label.name { .name(name) } else { .key(try PublicKey(text: label.key)) }
                return (label.title, DrivePlace(reference, storeOptions))
            }
        } else {
            guard !drives.isEmpty else { throw ValidationError("With --store, name the drives.") }
            places = try drives.map { text in
                let reference = try DriveReference(text)
                return (reference.title, DrivePlace(reference, storeOptions))
            }
        }
        for (title, place) in places {
            guard let path = place.storePath, place.exists else {
                throw CommandFailure(.storage, "There is no drive '\(title)' on this machine.")
            }
            do {
                try await Node.withStore(path: path) { _, store in
                    try await body(title, path, try await place.open(in: store), store)
                }
            } catch let error as BasestoreError where error.code == .locked && drives.isEmpty {
                console.say("\(title) is in use by another program and was left out.")
            }
        }
    }

    /// The bytes of content that the newest version of a drive needs.
    static func neededByteCount(_ drive: DDrive) async throws -> UInt64 {
        var sum: UInt64 = 0
        for try await entry in drive.entries(in: "/", .localOnly) {
            sum += try await drive.byteCount(of: entry, .localOnly)
        }
        return sum
    }

    /// The bytes that the files of a directory take.
    static func byteCount(ofDirectory path: String) -> UInt64 {
        var sum: UInt64 = 0
        for name in FileManager.default.enumerator(atPath: path)?.compactMap({ $0 as? String }) ?? [] {
            let attributes = try? FileManager.default.attributesOfItem(atPath: path + "/" + name)
            if attributes?[.type] as? FileAttributeType == .typeRegular {
                sum += (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
            }
        }
        return sum
    }
}

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

/// `dweb gc`.
struct CollectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Delete content that the newest version of a drive does not need, and free its space.",
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
