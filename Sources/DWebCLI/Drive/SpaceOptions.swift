import ArgumentParser
import DWeb
import DWebEssentials

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
        for name in (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? [] {
            sum += FileKind.byteCount(at: path + "/" + name) ?? 0
        }
        return sum
    }
}
