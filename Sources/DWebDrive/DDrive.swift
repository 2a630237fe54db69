public import DWebBase
public import DWebDatabase
import DWebLogCore
import DWebPorts
public import DWebStore
public import DWebTree

/// A folder that many can read and one can write, known to the living network as a Hyperdrive.
///
/// A drive is two logs of a store: a tree of paths, and a log of content. A drive value is a view: the newest version,
/// or a version checked out. Views of one drive share memory and the turn to write.
///
/// Everything that may have to come from peers takes ``ReadOptions`` with the longest time to wait.
public actor DDrive {
    package nonisolated let engine: DriveEngine
    /// The paths of this view.
    nonisolated let files: DTree

    init(engine: DriveEngine, files: DTree) {
        self.engine = engine
        self.files = files
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { engine.unownedExecutor }

    /// Opens the drive of a store, or one by its key.
    ///
    /// Never waits for the network. Make one drive per key and derive views from it.
    ///
    /// - Parameters:
    ///   - store: The store. Each namespace of a store has room for one drive of its own.
    ///   - key: The key of a drive; nil for the store's own, which is created if there is none.
    ///   - encryption: The secret without which neither paths nor content can be read; the same on all machines.
    /// - Throws: ``DDriveError`` with code `closed`, `storage`, `unsupportedFormat` or `cancelled`.
    public static func open(
        in store: Basestore, key: PublicKey? = nil, encryption: BlockEncryption? = nil
    ) async throws(DDriveError) -> DDrive {
        let database: DDatabase
        do throws(BasestoreError) {
            if let key {
                database = try await store.database(key: key, encryption: encryption)
            } else {
                database = try await store.database(named: "db", encryption: encryption)
            }
        } catch {
            throw DDriveError(error)
        }
        let engine = DriveEngine(store: store, database: database, encryption: encryption)
        // A writer's content log can be opened at once, so that peers which ask for it are served.
        if database.isWritable || database.length > 0 {
            do throws(DDriveError) {
                _ = try await engine.content(.localOnly)
            } catch {
                guard error.code == .notAvailable || error.code == .notADrive, !database.isWritable else { throw error }
            }
        }
        return DDrive(engine: engine, files: engine.files)
    }

    // MARK: State

    /// The drive's key. Whoever knows it can read the drive.
    public nonisolated var key: PublicKey { engine.tree.key }
    /// The drive's public name, under which peers find each other.
    public nonisolated var discoveryKey: DiscoveryKey { engine.tree.database.discoveryKey }
    /// The version of this view: 1 for an empty drive, one more with every change of a path.
    public nonisolated var version: UInt64 { files.version }
    /// Whether this view can be changed.
    public nonisolated var isWritable: Bool { files.isWritable }
    /// Whether the view keeps showing one version.
    public nonisolated var isCheckout: Bool { files.isCheckout }
    /// The log of paths.
    public nonisolated var database: DDatabase { engine.tree.database }
    /// The tree in which paths, and whatever else an application keeps with a drive, are stored.
    public nonisolated var tree: DTree { engine.tree }

    /// The log of content.
    ///
    /// - Throws: ``DDriveError`` with code `noPeers` or `notAvailable` if the drive's first block cannot be had,
    ///   `notADrive`, `closed`, `storage` or `cancelled`.
    public func contentDatabase(_ options: ReadOptions = ReadOptions()) async throws(DDriveError) -> DDatabase {
        try await engine.content(options)
    }

    /// Asks peers whether the drive has a newer version, and returns whether it has.
    ///
    /// - Throws: ``DDriveError`` with code `cancelled`, `closed` or `storage`.
    @discardableResult
    public func update(upTo wait: Duration = .seconds(10)) async throws(DDriveError) -> Bool {
        do throws(DTreeError) { return try await engine.tree.update(upTo: wait) } catch { throw DDriveError(error) }
    }

    // MARK: Views

    /// A view that keeps showing `version`. Its content is there as long as it was not cleared.
    public nonisolated func checkout(_ version: UInt64) -> DDrive {
        DDrive(engine: engine, files: files.checkout(version))
    }

    /// A view that keeps showing the present version.
    public nonisolated func snapshot() -> DDrive { DDrive(engine: engine, files: files.snapshot()) }

    /// A view that keeps showing the newest version; of a drive of which nothing is known yet, once something is.
    func settled(_ options: ReadOptions) async throws(DDriveError) -> DDrive {
        do throws(DTreeError) {
            return DDrive(engine: engine, files: try await files.settledSnapshot(options))
        } catch {
            throw DDriveError(error)
        }
    }

    // MARK: Entries

    /// What is at `path`; nil if there is nothing. Folders have no entry of their own.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - links: Whether to return what a link leads to, instead of the link.
    ///   - options: How long to wait for blocks that are missing.
    /// - Throws: ``DDriveError`` with code `invalidPath`, `badLink`, `noPeers`, `notAvailable`, `deadlineExceeded`,
    ///   `damaged`, `notADrive`, `unsupportedFormat`, `notAVersion`, `snapshotNotAvailable`, `cancelled`, `closed` or
    ///   `storage`.
    public func entry(
        at path: String, links: LinkPolicy = .ignore, _ options: ReadOptions = ReadOptions()
    ) async throws(DDriveError) -> Entry? {
        var path = try DDrive.filePath(path)
        let deadline = Deadline(options, now: engine.loop.now)
        for _ in 0...DriveLimits.linkCount {
            guard let entry = try await stored(path, deadline.options(now: engine.loop.now)) else { return nil }
            guard links != .ignore, let target = entry.linkTarget else { return entry }
            do throws(DriveFault) {
                path = try (links == .followAsReference ? path : path.parent).resolving(target)
            } catch {
                throw DDriveError(.badLink, "The link \(entry.path) leads out of the drive")
            }
            guard !path.isRoot else { return nil }
        }
        throw DDriveError(.badLink, "More than \(DriveLimits.linkCount) links lead from \(path.text) to each other")
    }

    private func stored(_ path: DrivePath, _ options: ReadOptions) async throws(DDriveError) -> Entry? {
        let entry: DTree.Entry?
        do throws(DTreeError) { entry = try await files.get(path.bytes, options) } catch { throw DDriveError(error) }
        guard let entry else { return nil }
        return try Entry(entry)
    }

    /// Whether there is an entry at `path`.
    public func contains(_ path: String, _ options: ReadOptions = ReadOptions()) async throws(DDriveError) -> Bool {
        try await entry(at: path, options) != nil
    }

    /// Everything below `folder`, in the order of paths.
    ///
    /// Entries whose path is not in normal form, or whose record cannot be read, are left out; `report` is told.
    ///
    /// - Parameters:
    ///   - folder: The folder; an entry at its very path does not belong to it.
    ///   - options: How long to wait for blocks that are missing, at every step.
    ///   - report: Called with what is wrong with an entry that is left out.
    public nonisolated func entries(
        in folder: String = "/", _ options: ReadOptions = ReadOptions(),
        reportingTo report: (@Sendable (DDriveError) -> Void)? = nil
    ) -> Entries {
        Entries(drive: self, folder: folder, options: options, report: report)
    }

    /// What is directly in `folder`, in the order of names; each name once.
    public nonisolated func children(of folder: String = "/", _ options: ReadOptions = ReadOptions()) -> Children {
        Children(drive: self, folder: folder, options: options)
    }

    /// The paths below `folder` in which this version differs from another one, in order.
    public nonisolated func differences(
        from version: UInt64, in folder: String = "/", _ options: ReadOptions = ReadOptions()
    ) -> Differences {
        Differences(drive: self, version: version, folder: folder, options: options)
    }

    /// Pairs of versions, one each time that something below `folder` has changed, until the task is cancelled.
    public nonisolated func changes(in folder: String = "/", _ options: ReadOptions = ReadOptions()) -> Changes {
        Changes(drive: self, folder: folder, options: options)
    }

    /// The changes of paths in the order they were made.
    ///
    /// - Parameters:
    ///   - range: The blocks of the drive's tree; see ``HistoryRange``.
    ///   - isReversed: Whether to start with the newest.
    ///   - limit: The most changes; nil for all.
    ///   - isLive: Whether to go on with changes made later, until the task is cancelled. Not together with
    ///     `isReversed`.
    ///   - options: How long to wait for blocks that are missing, at every step.
    public nonisolated func history(
        _ range: HistoryRange = HistoryRange(), isReversed: Bool = false, limit: Int? = nil, isLive: Bool = false,
        _ options: ReadOptions = ReadOptions()
    ) -> History {
        History(
            prefix: files.prefix,
            base: files.history(range, isReversed: isReversed, isLive: isLive, options), limit: limit)
    }

    // MARK: Reading content

    /// The content of the file at `path`, or a part of it, in pieces as they come: memory does not grow with the file.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - range: The bytes; cut to the file. Nil for all.
    ///   - links: Whether to read what a link leads to.
    ///   - options: How long to wait for blocks that are missing, at every step.
    public nonisolated func content(
        of path: String, range: Range<UInt64>? = nil, links: LinkPolicy = .ignore,
        _ options: ReadOptions = ReadOptions()
    ) -> Content {
        Content(drive: self, source: .path(path, links), range: range, options: options)
    }

    /// The content of an entry, or a part of it, in pieces as they come.
    public nonisolated func content(
        of entry: Entry, range: Range<UInt64>? = nil, _ options: ReadOptions = ReadOptions()
    ) -> Content {
        Content(drive: self, source: .entry(entry), range: range, options: options)
    }

    /// The content of the file at `path`, or a part of it, as a whole; nil if there is no entry, or it has no content.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - range: The bytes; cut to the file. Nil for all.
    ///   - byteCountLimit: The most bytes that may be held in memory; 256 MiB unless told otherwise.
    ///   - links: Whether to read what a link leads to.
    ///   - options: How long to wait for blocks that are missing.
    /// - Throws: ``DDriveError`` with code `tooLarge`, and as ``entry(at:links:_:)``.
    public func read(
        _ path: String, range: Range<UInt64>? = nil, byteCountLimit: UInt64 = 256 << 20, links: LinkPolicy = .ignore,
        _ options: ReadOptions = ReadOptions()
    ) async throws(DDriveError) -> [UInt8]? {
        let deadline = Deadline(options, now: engine.loop.now)
        guard let entry = try await entry(at: path, links: links, options), let blob = entry.blob else { return nil }
        let log = try await engine.content(deadline.options(now: engine.loop.now))
        var reader = try await BlobReader(
            blob, range: range, path: entry.path, log: log, deadline.options(now: engine.loop.now))
        guard reader.remainingByteCount <= byteCountLimit else {
            throw DDriveError(
                .tooLarge, "\(entry.path) has \(reader.remainingByteCount) bytes, more than \(byteCountLimit)")
        }
        var content: [UInt8] = []
        // Reserved as pieces arrive: what a stranger claims is not allocated.
        while reader.remainingByteCount > 0 {
            let pieces = try await reader.next(deadline.options(now: engine.loop.now))
            if content.isEmpty, pieces.count == 1, reader.remainingByteCount == 0 { return pieces[0] }
            for piece in pieces { content += piece }
        }
        return content
    }

    /// The number of bytes of an entry's content; reads the map of a mapped one.
    public func byteCount(of entry: Entry, _ options: ReadOptions = ReadOptions()) async throws(DDriveError) -> UInt64 {
        guard let blob = entry.blob, blob.isMapped, blob.blockLength > 0 else { return entry.byteCount }
        let log = try await engine.content(options)
        return try await BlobReader.map(blob, path: entry.path, log: log, options).byteCount ?? 0
    }

    /// Whether the content of the file at `path`, or of everything below a folder, is stored here.
    ///
    /// - Throws: ``DDriveError`` as ``entry(at:links:_:)``, without waiting for peers.
    public func isStored(_ path: String) async throws(DDriveError) -> Bool {
        for try await entry in targets(path, .localOnly) where try await !isStored(entry) { return false }
        return true
    }

    func isStored(_ entry: Entry) async throws(DDriveError) -> Bool {
        guard let blob = entry.blob, blob.blockLength > 0 else { return true }
        do throws(DDriveError) {
            let log = try await engine.content(.localOnly)
            guard try await DDrive.has(blob.blocks, log) else { return false }
            guard blob.isMapped else { return true }
            for piece in try await BlobReader.map(blob, path: entry.path, log: log, .localOnly).pieces {
                guard try await DDrive.has(piece.block..<piece.block + 1, log) else { return false }
            }
            return true
        } catch {
            if error.code == .notAvailable { return false }
            throw error
        }
    }

    static func has(_ blocks: Range<UInt64>, _ log: DDatabase) async throws(DDriveError) -> Bool {
        do throws(DDatabaseError) { return try await log.has(blocks) } catch { throw DDriveError(error) }
    }

    /// The entry at a path, or all below it where there is none.
    nonisolated func targets(_ path: String, _ options: ReadOptions) -> Targets {
        Targets(drive: self, path: path, options: options)
    }

    /// Closes the sessions of both logs that the drive was opened with. The store stays open. Applies to every view.
    public func close() async { await engine.close() }

    /// A path that names a file.
    static func filePath(_ text: String) throws(DDriveError) -> DrivePath {
        do throws(DriveFault) {
            let path = try DrivePath(text)
            guard !path.isRoot else { throw .invalidPath }
            return path
        } catch {
            throw DDriveError(fault: error, in: "\"\(text)\"")
        }
    }

    /// A path that names a folder.
    static func folderPath(_ text: String) throws(DDriveError) -> DrivePath {
        do throws(DriveFault) { return try DrivePath(text) } catch {
            throw DDriveError(fault: error, in: "\"\(text)\"")
        }
    }
}

extension DrivePath {
    /// Everything below the folder; spec 50 section 9.5.4.
    var range: KeyRange {
        let prefix = Array(folderPrefix.utf8)
        return KeyRange(gt: prefix, lt: Array(prefix.dropLast()) + [UInt8(ascii: "0")])
    }
}

/// Until when an operation may wait for peers.
struct Deadline: Sendable {
    let moment: MonotonicTime?

    init(_ options: ReadOptions, now: MonotonicTime) {
        switch options.wait {
        case .localOnly: moment = nil
        case .wait(let duration): moment = now + duration
        }
    }

    /// What remains of the time.
    func options(now: MonotonicTime) -> ReadOptions {
        guard let moment else { return .localOnly }
        return .wait(upTo: max(.zero, moment - now))
    }
}
