import DWeb
import DWebEssentials

/// Where the drives of this person are kept when no store is named: each in a store of its own, so that several
/// commands can run at once.
///
/// A folder `drives` holds one store per drive. Drives of one's own have names of their own; drives of others are named
/// after their discovery key. `keys` holds a link from the key of each own drive to its store.
struct DriveHome {
    let path: String

    /// `$DWEB_HOME`, else `~/.dweb`.
    static var standard: DriveHome {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["DWEB_HOME"], !path.isEmpty { return DriveHome(path: path) }
        return DriveHome(path: HomeFolder.appending(".dweb"))
    }

    private var drives: String { path + "/drives" }

    /// The store of the drive that shares a local path.
    func store(sharing localPath: String) -> String { "\(drives)/share-\(DriveHome.shortHash(localPath))" }

    /// The store of a drive of one's own that has a name.
    func store(named name: String) -> String { "\(drives)/name-\(DriveHome.shortHash(name))" }

    /// The store of the drive with a key: one of one's own if the key belongs to one.
    func store(key: PublicKey) -> String {
        let link = keyLink(key)
        if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link) {
            let own = "\(drives)/\(FilePath(target).lastComponent?.string ?? "")"
            if FileManager.default.fileExists(atPath: own) { return own }
        }
        return store(copying: key)
    }

    /// The store of a copy of the drive with a key, whoever made it.
    func store(copying key: PublicKey) -> String { "\(drives)/key-\(key.discoveryKey.hex.prefix(32))" }

    /// Notes what a store holds, for people and for ``store(key:)``.
    func note(_ label: DriveLabel, store: String, isOwn: Bool) {
        let files = FileManager.default
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if let data = try? encoder.encode(label) { try? data.write(to: URL(fileURLWithPath: store + "/drive.json")) }
        guard isOwn, let key = try? PublicKey(text: label.key) else { return }
        try? files.createDirectory(atPath: path + "/keys", withIntermediateDirectories: true)
        try? files.removeItem(atPath: keyLink(key))
        try? files.createSymbolicLink(
            atPath: keyLink(key), withDestinationPath: "../drives/\(FilePath(store).lastComponent?.string ?? "")")
    }

    /// All stores and what they hold.
    func stores() -> [(path: String, label: DriveLabel)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: drives)) ?? []
        return names.sorted().compactMap { name in
            let store = "\(drives)/\(name)"
            guard let data = FileManager.default.contents(atPath: store + "/drive.json"),
                let label = try? JSONDecoder().decode(DriveLabel.self, from: data)
            else { return nil }
            return (store, label)
        }
    }

    private func keyLink(_ key: PublicKey) -> String { "\(path)/keys/\(key.discoveryKey.hex.prefix(32))" }

    private static func shortHash(_ text: String) -> String {
        String(Hex.encode(Blake2b.hash32(Array(text.utf8)).bytes).prefix(24))
    }
}

/// What a store of the home holds.
struct DriveLabel: Codable {
    /// The drive's key.
    var key: String
    /// The local path that it shares.
    var path: String?
    /// The name that its owner gave it.
    var name: String?

    /// What people call it.
    var title: String { name ?? path ?? key }
}
