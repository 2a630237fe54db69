import ArgumentParser
import DWeb
import DWebEssentials

/// Where drives are kept.
struct DriveStoreOptions: ParsableArguments {
    @Option(
        name: .customLong("store"),
        help: "Keep all drives in this one store. Default: $DWEB_STORE, else a store for each drive below ~/.dweb.")
    var directory: String?

    @Flag(help: "Keep everything in memory: nothing is stored on disk, and nothing is left afterwards.")
    var memory = false

    /// The one store that was named.
    var namedStore: String? {
        if let directory { return directory }
        let directory = ProcessInfo.processInfo.environment["DWEB_STORE"]
        return directory?.isEmpty == false ? directory : nil
    }

    func validate() throws {
        guard !memory || directory == nil else { throw ValidationError("--memory and --store exclude each other.") }
    }
}

/// How long to wait for peers.
struct WaitOptions: ParsableArguments {
    @Option(help: "Give up when nothing has moved for this many seconds.")
    var timeout: Double = 30

    @Flag(help: "Use only what is on this machine.")
    var offline = false

    func validate() throws {
        guard timeout > 0, timeout.isFinite else { throw ValidationError("The timeout must be above zero.") }
    }

    /// What every read may wait.
    var read: ReadOptions { offline ? .localOnly : .wait(upTo: .seconds(timeout)) }
}

/// A drive as it is named on the command line.
enum DriveReference: Sendable {
    /// The drive with a key, one's own or not.
    case key(PublicKey)
    /// A drive of one's own with a name.
    case name(String)
    /// The drive that shares a file or folder.
    case path(String)

    /// A key in any form, the path of something that exists, or a name.
    init(_ text: String) throws {
        if let key = DriveReference.key(in: text) {
            self = .key(key)
        } else if text.hasPrefix("drive:"), text.count > 6 {
            self = .name(String(text.dropFirst(6)))
        } else if text.contains("/") || text == "." || text == ".." {
            self = .path(DriveReference.absolute(text))
        } else if text.isEmpty {
            throw ValidationError("A drive is named by its key, a name, or the path that it shares.")
        } else {
            self = .name(text)
        }
    }

    /// The key that a text is, also as the address of other programs.
    static func key(in text: String) -> PublicKey? {
        let bare = text.hasPrefix("hyper://") ? String(text.dropFirst(8).prefix { $0 != "/" }) : text
        return try? PublicKey(text: bare)
    }

    /// A local path in the form by which it is remembered.
    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath().path
    }

    /// The name of the part of a store that holds the drive; nil for a drive that is opened by its key.
    fileprivate var namespace: String? {
        switch self {
        case .key: nil
        case .name(let name): "drive/\(name)"
        case .path(let path): "share/\(path)"
        }
    }

    /// What people see.
    var title: String {
        switch self {
        case .key(let key): key.text
        case .name(let text), .path(let text): text
        }
    }
}

/// The store of one drive, and how the drive is opened in it.
struct DrivePlace: Sendable {
    let reference: DriveReference
    /// The store's directory; nil for memory.
    let storePath: String?
    /// Whether the store holds other drives as well.
    let isShared: Bool
    let isMemory: Bool

    init(_ reference: DriveReference, _ options: DriveStoreOptions) {
        self.init(reference, namedStore: options.namedStore, isMemory: options.memory)
    }

    /// The place of a drive in a store that was named, in memory, or in a store of its own.
    init(_ reference: DriveReference, namedStore: String? = nil, isMemory: Bool = false) {
        self.reference = reference
        self.isMemory = isMemory
        isShared = namedStore != nil
        if isMemory {
            storePath = nil
        } else if let named = namedStore {
            storePath = named
        } else {
            let home = DriveHome.standard
            storePath =
                switch reference {
                case .key(let key): home.store(key: key)
                case .name(let name): home.store(named: name)
                case .path(let path): home.store(sharing: path)
                }
        }
    }

    /// The place of a copy of the drive, for when the drive's own store on this machine is in use, for example because it
    /// is being shared; nil where there is no other place.
    var copy: DrivePlace? {
        guard case .key(let key) = reference, !isShared, !isMemory else { return nil }
        let path = DriveHome.standard.store(copying: key)
        return path == storePath ? nil : DrivePlace(reference, storePath: path)
    }

    private init(_ reference: DriveReference, storePath: String) {
        self.reference = reference
        self.storePath = storePath
        isShared = false
        isMemory = false
    }

    /// Whether a store is there already.
    var exists: Bool { storePath.map { FileManager.default.fileExists(atPath: $0 + "/CORESTORE") } ?? false }

    /// Opens the drive in the store.
    func open(in store: Basestore) async throws -> DDrive {
        if case .key(let key) = reference { return try await DDrive.open(in: store, key: key) }
        let space = isShared ? store.namespace(reference.namespace ?? "") : store
        return try await DDrive.open(in: space)
    }

    /// Notes in the home what the store holds.
    func note(_ drive: DDrive) {
        guard let storePath, !isShared else { return }
        var label = DriveLabel(key: drive.key.text)
        switch reference {
        case .key: break
        case .name(let name): label.name = name
        case .path(let path): label.path = path
        }
        if case .key = reference, drive.isWritable { return }
        DriveHome.standard.note(label, store: storePath, isOwn: drive.isWritable)
    }
}
