public import DWebDatabase
import DWebTree

/// Changes of a drive that become visible together; see ``DDrive/batch()``.
///
/// Content is appended at once, paths with ``flush()``. Nothing else can change the drive's paths from the first change
/// until the batch is flushed or closed. A batch that is let go without either is discarded.
public actor DriveBatch {
    private nonisolated let drive: DDrive
    private nonisolated let batch: TreeBatch

    init(drive: DDrive) {
        self.drive = drive
        batch = drive.files.batch()
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { drive.unownedExecutor }

    /// Stages a file.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/write(_:to:_:)``.
    public func write(
        _ bytes: [UInt8], to path: String, _ attributes: DDrive.Attributes = DDrive.Attributes()
    ) async throws(DDriveError) {
        try await write([File(path: path, bytes: bytes, attributes: attributes)])
    }

    /// A file to write.
    public struct File: Sendable {
        /// Where to put it.
        public var path: String
        /// The content.
        public var bytes: [UInt8]
        /// What to keep with it.
        public var attributes: DDrive.Attributes

        /// A file to write.
        public init(path: String, bytes: [UInt8], attributes: DDrive.Attributes = DDrive.Attributes()) {
            self.path = path
            self.bytes = bytes
            self.attributes = attributes
        }
    }

    /// Stages files whose content is appended together: much cheaper for many small ones.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/write(_:to:_:)``.
    public func write(_ files: [File]) async throws(DDriveError) {
        var paths: [DrivePath] = []
        for file in files { paths.append(try DDrive.filePath(file.path)) }
        try drive.checkWritable()
        let blobs = try await drive.engine.append(files.map(\.bytes))
        for (index, file) in files.enumerated() {
            var record = EntryRecord()
            record.blob = blobs[index]
            record.isExecutable = file.attributes.isExecutable
            record.metadata = file.attributes.metadata
            try await put(record, at: paths[index])
        }
    }

    /// Stages a file from a sequence of pieces: memory does not grow with the file.
    ///
    /// The content is appended before the path is staged. If the sequence fails, nothing is staged and the batch can go
    /// on.
    ///
    /// - Throws: What the sequence throws, and ``DDriveError`` as ``DDrive/write(_:to:_:)``.
    public nonisolated func write<Pieces: AsyncSequence & Sendable>(
        from pieces: Pieces, to path: String, _ attributes: DDrive.Attributes = DDrive.Attributes()
    ) async throws where Pieces.Element == [UInt8] {
        let writer = try drive.writer(to: path, attributes)
        do {
            for try await piece in pieces { try await writer.write(piece) }
            try await put(try await writer.finishContent(), at: try DDrive.filePath(path))
        } catch {
            await writer.abort()
            throw error
        }
    }

    /// Stages a link.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/link(_:to:_:)``.
    public func link(
        _ path: String, to target: String, _ attributes: DDrive.Attributes = DDrive.Attributes()
    ) async throws(DDriveError) {
        var record = EntryRecord()
        record.linkTarget = target
        record.isExecutable = attributes.isExecutable
        record.metadata = attributes.metadata
        try await put(record, at: try DDrive.filePath(path))
    }

    /// Stages a removal, and returns whether there is something to remove.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/remove(_:)``.
    @discardableResult
    public func remove(_ path: String) async throws(DDriveError) -> Bool {
        let path = try DDrive.filePath(path)
        do throws(DTreeError) { return try await batch.delete(path.bytes) } catch { throw DDriveError(error) }
    }

    /// Stages a move, without copying content.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/move(_:to:)``.
    public func move(_ path: String, to newPath: String) async throws(DDriveError) {
        let new = try DDrive.filePath(newPath)
        guard let entry = try await entry(at: path) else {
            throw DDriveError(.notFound, "There is nothing at \(path)")
        }
        guard entry.path != new.text else { return }
        try await put(entry.record, at: new)
        try await remove(entry.path)
    }

    /// What is at `path` with the changes staged so far; nil if there is nothing.
    ///
    /// - Throws: ``DDriveError`` as ``DDrive/entry(at:links:_:)``.
    public func entry(
        at path: String, _ options: ReadOptions = ReadOptions()
    ) async throws(DDriveError) -> DDrive.Entry? {
        let path = try DDrive.filePath(path)
        let entry: DTree.Entry?
        do throws(DTreeError) { entry = try await batch.get(path.bytes, options) } catch { throw DDriveError(error) }
        guard let entry else { return nil }
        return try DDrive.Entry(entry)
    }

    /// Makes all staged changes visible and ends the batch.
    ///
    /// - Throws: ``DDriveError`` with code `closed`, `storage` or `conflict`; no path has changed then.
    public func flush() async throws(DDriveError) { _ = try await flushBlocks() }

    /// Makes all staged changes visible, ends the batch and returns the blocks of the changes in their order.
    func flushBlocks() async throws(DDriveError) -> Range<UInt64> {
        do throws(DTreeError) { return try await batch.flush() } catch { throw DDriveError(error) }
    }

    /// Forgets the staged changes and ends the batch. Callable more than once.
    public func close() async { await batch.close() }

    /// Stages a record.
    func put(_ record: EntryRecord, at path: DrivePath) async throws(DDriveError) {
        do throws(DTreeError) { try await batch.put(path.bytes, record.encoded) } catch { throw DDriveError(error) }
    }
}
