import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import DWebStore
import DWebTree

/// What all views of one drive share: its two logs and the turn to append content.
package actor DriveEngine {
    nonisolated let store: Basestore
    nonisolated let tree: DTree
    /// The part of the tree that the file interface shows; spec 50 section 9.1.3.
    nonisolated let files: DTree
    nonisolated let loop: any RuntimeLoop
    private nonisolated let encryption: BlockEncryption?
    private var openContent: DDatabase?
    private var openings = MutationQueue()
    private var contentTurn = MutationQueue()

    init(store: Basestore, database: DDatabase, encryption: BlockEncryption?) {
        self.store = store
        self.encryption = encryption
        loop = store.runtime.loop
        var options = DTree.Options()
        options.metadata = TreeHeader.Metadata()
        tree = DTree(database, runtime: store.runtime, options: options)
        files = tree.sub("files")
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { tree.unownedExecutor }

    /// The content log, if it is open.
    var content: DDatabase? { openContent }

    /// The content log; where its key is not known yet, the drive's first block is asked of peers.
    func content(_ options: ReadOptions) async throws(DDriveError) -> DDatabase {
        if let openContent { return openContent }
        let header: TreeHeader?
        if tree.database.length == 0, tree.database.isWritable {
            header = nil
        } else {
            do throws(DTreeError) { header = try await tree.header(options) } catch { throw DDriveError(error) }
            guard header != nil else {
                throw DDriveError(.notAvailable, "Nothing is known of the drive \(tree.key) yet")
            }
        }
        if !openings.tryEnter() { await withCheckedContinuation { openings.enqueue($0) } }
        defer { openings.leave() }
        if let openContent { return openContent }
        let content = try await open(header)
        openContent = content
        return content
    }

    private func open(_ header: TreeHeader?) async throws(DDriveError) -> DDatabase {
        if let feed = header?.metadata?.contentFeed {
            guard feed.count >= Bytes32.byteCount, let key = PublicKey(feed.prefix(Bytes32.byteCount)) else {
                throw DDriveError(.notADrive, "The key of the content log in the drive \(tree.key) is too short")
            }
            do throws(BasestoreError) { return try await store.database(key: key, encryption: encryption) } catch {
                throw DDriveError(error)
            }
        }
        guard let manifest = await tree.database.manifest(),
            let derived = BlobsManifest.derive(from: manifest, driveKey: tree.key)
        else { throw DDriveError(.notADrive, "The log \(tree.key) does not tell where the drive's content is") }
        let signer = tree.database.isWritable ? await tree.database.signer() : nil
        do throws(BasestoreError) {
            return try await store.database(manifest: derived, signer: signer, encryption: encryption)
        } catch {
            throw DDriveError(error)
        }
    }

    /// Forgets and closes both logs.
    func close() async {
        await openContent?.close()
        openContent = nil
        await tree.close()
    }

    // MARK: Appending content

    /// Takes the turn to append content: the blocks of one file follow each other.
    func takeContentTurn() async {
        if contentTurn.tryEnter() { return }
        await withCheckedContinuation { contentTurn.enqueue($0) }
    }

    /// Gives the turn back.
    func leaveContentTurn() { contentTurn.leave() }

    /// Appends the content of files, cut into blocks of the usual size, and returns where they are.
    func append(_ contents: [[UInt8]]) async throws(DDriveError) -> [BlobID] {
        let log = try await content(.localOnly)
        await takeContentTurn()
        defer { leaveContentTurn() }
        var identifiers: [BlobID] = []
        identifiers.reserveCapacity(contents.count)
        var run = ContentRun(log: log)
        for content in contents {
            var identifier = BlobID(
                blockOffset: run.length, byteOffset: run.byteLength, blockLength: 0,
                byteLength: UInt64(content.count))
            var start = 0
            while start < content.count {
                let end = min(content.count, start + DriveLimits.contentBlockByteCount)
                run.add(start == 0 && end == content.count ? content : Array(content[start..<end]))
                start = end
                if run.isFull { try await run.flush() }
            }
            identifier.blockLength = run.length - identifier.blockOffset
            identifiers.append(identifier)
        }
        try await run.flush()
        return identifiers
    }
}

/// Blocks on their way to the end of the content log, appended in groups. Whoever uses it has the turn.
struct ContentRun {
    let log: DDatabase
    /// The length of the log with what was added.
    private(set) var length: UInt64
    /// The byte length of the log with what was added.
    private(set) var byteLength: UInt64
    private var blocks: [[UInt8]] = []
    private var byteCount = 0

    init(log: DDatabase) {
        self.log = log
        length = log.length
        byteLength = log.byteLength
    }

    /// Whether it is time to append.
    var isFull: Bool { byteCount >= DriveLimits.appendByteCount || blocks.count >= 4_096 }

    /// Adds a block.
    mutating func add(_ block: [UInt8]) {
        blocks.append(block)
        byteCount += block.count
        length += 1
        byteLength += UInt64(block.count)
    }

    /// Appends what was added.
    mutating func flush() async throws(DDriveError) {
        guard !blocks.isEmpty else { return }
        let range: Range<UInt64>
        do throws(DDatabaseError) { range = try await log.append(blocks) } catch { throw DDriveError(error) }
        blocks = []
        byteCount = 0
        guard range.upperBound == length else {
            throw DDriveError(.conflict, "Something else than the drive appended to its content log")
        }
    }
}
