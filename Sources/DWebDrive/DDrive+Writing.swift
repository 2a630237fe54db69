public import DWebDatabase
import DWebStore
import DWebTree

extension DDrive {
    /// Writes a file: its content first, then its path, so that no path ever leads to content that is not there.
    ///
    /// - Parameters:
    ///   - bytes: The content.
    ///   - path: Where to put it; what was there before is replaced.
    ///   - attributes: What to keep with it.
    /// - Returns: The new entry.
    /// - Throws: ``DDriveError`` with code `invalidPath`, `notWritable`, `conflict`, `storage` or `closed`.
    @discardableResult
    public func write(
        _ bytes: [UInt8], to path: String, _ attributes: Attributes = Attributes()
    ) async throws(DDriveError) -> Entry {
        let path = try DDrive.filePath(path)
        try checkWritable()
        var record = EntryRecord()
        record.blob = try await engine.append([bytes])[0]
        record.isExecutable = attributes.isExecutable
        record.metadata = attributes.metadata
        return try await put(record, at: path)
    }

    /// A writer that takes the content of one file piece by piece; see ``FileWriter``.
    ///
    /// - Parameters:
    ///   - path: Where to put the file once it is finished.
    ///   - attributes: What to keep with it.
    ///   - blocking: How pieces become blocks of the content log.
    /// - Throws: ``DDriveError`` with code `invalidPath` or `notWritable`.
    public nonisolated func writer(
        to path: String, _ attributes: Attributes = Attributes(), blocking: FileWriter.Blocking = .even
    ) throws(DDriveError) -> FileWriter {
        let path = try DDrive.filePath(path)
        try checkWritable()
        return FileWriter(drive: self, path: path, attributes: attributes, blocking: blocking)
    }

    /// Writes a file from a sequence of pieces: memory does not grow with the file.
    ///
    /// - Returns: The new entry. If the sequence fails nothing changes.
    /// - Throws: What the sequence throws, and ``DDriveError`` as ``write(_:to:_:)``.
    @discardableResult
    public nonisolated func write<Pieces: AsyncSequence & Sendable>(
        from pieces: Pieces, to path: String, _ attributes: Attributes = Attributes()
    ) async throws -> Entry where Pieces.Element == [UInt8] {
        let writer = try writer(to: path, attributes)
        do {
            for try await piece in pieces { try await writer.write(piece) }
            return try await writer.finish()
        } catch {
            await writer.abort()
            throw error
        }
    }

    /// Writes a link. The target is kept as it is; it may not exist.
    ///
    /// A target that starts with a slash is understood alike by all implementations; see ``LinkPolicy`` for others.
    ///
    /// - Returns: The new entry.
    /// - Throws: ``DDriveError`` as ``write(_:to:_:)``.
    @discardableResult
    public func link(
        _ path: String, to target: String, _ attributes: Attributes = Attributes()
    ) async throws(DDriveError) -> Entry {
        let path = try DDrive.filePath(path)
        try checkWritable()
        var record = EntryRecord()
        record.linkTarget = target
        record.isExecutable = attributes.isExecutable
        record.metadata = attributes.metadata
        return try await put(record, at: path)
    }

    /// Changes what is kept with a file, and leaves its content.
    ///
    /// - Returns: The new entry.
    /// - Throws: ``DDriveError`` with code `notFound`, and as ``write(_:to:_:)``.
    @discardableResult
    public func setAttributes(_ attributes: Attributes, of path: String) async throws(DDriveError) -> Entry {
        let path = try DDrive.filePath(path)
        return try await replace(path) { entry in
            var record = entry.record
            record.isExecutable = attributes.isExecutable
            record.metadata = attributes.metadata
            return (path, record)
        }
    }

    /// Removes the entry at `path`, and returns whether there was one. Its content stays in the content log.
    ///
    /// - Throws: ``DDriveError`` as ``write(_:to:_:)``.
    @discardableResult
    public func remove(_ path: String) async throws(DDriveError) -> Bool {
        let path = try DDrive.filePath(path)
        do throws(DTreeError) { return try await files.delete(path.bytes) != nil } catch { throw DDriveError(error) }
    }

    /// Moves an entry at once, without copying its content.
    ///
    /// - Throws: ``DDriveError`` with code `notFound`, and as ``write(_:to:_:)``.
    public func move(_ path: String, to newPath: String) async throws(DDriveError) {
        let (old, new) = (try DDrive.filePath(path), try DDrive.filePath(newPath))
        _ = try await replace(old) { (new, $0.record) }
    }

    /// Puts something in the place of an entry while nothing else can change the drive.
    private func replace(
        _ path: DrivePath, _ body: (Entry) -> (path: DrivePath, record: EntryRecord)
    ) async throws(DDriveError) -> Entry {
        try checkWritable()
        let batch = files.batch()
        let stored: DTree.Entry?
        do throws(DTreeError) {
            try await batch.begin()
            stored = try await batch.get(path.bytes)
        } catch {
            await batch.close()
            throw DDriveError(error)
        }
        guard let stored else {
            await batch.close()
            throw DDriveError(.notFound, "There is nothing at \(path.text)")
        }
        do throws(DDriveError) {
            let (newPath, record) = body(try Entry(stored))
            do throws(DTreeError) {
                try await batch.put(newPath.bytes, record.encoded)
                if newPath != path { try await batch.delete(path.bytes) }
                let blocks = try await batch.flush()
                return Entry(path: newPath.text, sequence: blocks.lowerBound, record: record)
            } catch {
                throw DDriveError(error)
            }
        } catch {
            await batch.close()
            throw error
        }
    }

    /// Changes that become visible together; see ``DriveBatch``.
    public nonisolated func batch() -> DriveBatch { DriveBatch(drive: self) }

    /// Deletes the content of the file at `path`, or of everything below a folder, from this machine. The entries stay,
    /// and peers can give the content again. Nothing happens elsewhere.
    ///
    /// Content that several files share through block maps is kept.
    ///
    /// - Throws: ``DDriveError`` with code `storage`, `closed`, and as ``entry(at:links:_:)`` without waiting for
    ///   peers.
    public func clear(_ path: String) async throws(DDriveError) {
        let log: DDatabase
        do throws(DDriveError) {
            log = try await engine.content(.localOnly)
        } catch {
            if error.code == .notAvailable { return }
            throw error
        }
        var iterator = targets(path, .localOnly).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let blob = entry.blob, blob.blockLength > 0, blob.blocks.lowerBound < log.length else { continue }
            let blocks = blob.blocks.clamped(to: 0..<log.length)
            do throws(DDatabaseError) { try await log.clear(blocks) } catch { throw DDriveError(error) }
        }
    }

    /// Deletes all content from this machine, whether an entry leads to it or not. The entries stay.
    ///
    /// - Throws: ``DDriveError`` with code `storage` or `closed`.
    public func clearAll() async throws(DDriveError) {
        do throws(DDriveError) {
            let log = try await engine.content(.localOnly)
            do throws(DDatabaseError) { try await log.clear(0..<log.length) } catch { throw DDriveError(error) }
        } catch {
            if error.code != .notAvailable { throw error }
        }
    }

    /// Deletes content from this machine that no entry of this version leads to: that of older versions, and what
    /// interrupted writes left. The entries of older versions stay, and peers can give their content again.
    ///
    /// - Throws: ``DDriveError`` with code `notAvailable` if this version is not known here completely, and as
    ///   ``clear(_:)``.
    public func clearUnneeded() async throws(DDriveError) {
        let log = try await engine.content(.localOnly)
        // Nobody appends meanwhile: what is written just now is not in any version yet.
        await engine.takeContentTurn()
        do throws(DDriveError) {
            try await clearUnneeded(log)
        } catch {
            await engine.leaveContentTurn()
            throw error
        }
        await engine.leaveContentTurn()
    }

    private func clearUnneeded(_ log: DDatabase) async throws(DDriveError) {
        let length = log.length
        var needed = BlockRanges(limit: .max)
        // Of another application's entries it is not known what they need, so only the newest view's own count.
        var iterator = entries(in: "/", .localOnly).makeAsyncIterator()
        while let entry = try await iterator.next() {
            guard let blob = entry.record.blob, blob.blockLength > 0 else { continue }
            needed.add(blob.blocks)
            guard blob.isMapped else { continue }
            for piece in try await BlobReader.map(blob, path: entry.path, log: log, .localOnly).pieces {
                needed.add(piece.block..<piece.block + 1)
            }
        }
        var start: UInt64 = 0
        for range in needed.merged + [length..<length] where start < length {
            let end = min(range.lowerBound, length)
            if start < end {
                do throws(DDatabaseError) { try await log.clear(start..<end) } catch { throw DDriveError(error) }
            }
            start = max(start, range.upperBound)
        }
    }

    /// Closes the drive and deletes both of its logs from this machine. Peers keep what they have; a drive that is
    /// written here and has no copy elsewhere is lost.
    ///
    /// - Throws: ``DDriveError`` with code `storage`, `closed` or `cancelled`.
    public func purge() async throws(DDriveError) {
        let content: DDatabase?
        do throws(DDriveError) {
            content = try await engine.content(.localOnly)
        } catch {
            guard error.code == .notAvailable || error.code == .notADrive else { throw error }
            content = nil
        }
        let keys = [content?.discoveryKey, discoveryKey].compactMap { $0 }
        await engine.close()
        do throws(BasestoreError) {
            for key in keys { try await engine.store.purge(key) }
        } catch {
            throw DDriveError(error)
        }
    }

    /// Makes the drive forget everything after `version`, content included, here and, once they learn of it, at its
    /// readers.
    ///
    /// - Throws: ``DDriveError`` with code `notWritable`, `invalidArgument`, `storage` or `closed`.
    public func truncate(to version: UInt64) async throws(DDriveError) {
        try checkWritable()
        guard version >= 1, version <= self.version else {
            throw DDriveError(.invalidArgument, "The drive has version \(self.version), there is no version \(version)")
        }
        let contentLength = try await checkout(version).contentLength()
        let log = try await engine.content(.localOnly)
        await engine.takeContentTurn()
        do throws(DDatabaseError) {
            try await database.truncate(to: version)
            if contentLength < log.length { try await log.truncate(to: contentLength) }
        } catch {
            await engine.leaveContentTurn()
            throw DDriveError(error)
        }
        await engine.leaveContentTurn()
    }

    /// How many blocks of the content log the entries of this version need; spec 50 section 9.5.11.
    ///
    /// - Throws: ``DDriveError`` as ``entry(at:links:_:)``.
    public func contentLength(_ options: ReadOptions = ReadOptions()) async throws(DDriveError) -> UInt64 {
        var length: UInt64 = 0
        var iterator = entries(in: "/", options).makeAsyncIterator()
        while let entry = try await iterator.next() {
            if let blob = entry.record.blob { length = max(length, blob.blocks.upperBound) }
        }
        return length
    }

    func put(_ record: EntryRecord, at path: DrivePath) async throws(DDriveError) -> Entry {
        do throws(DTreeError) {
            guard let block = try await files.put(path.bytes, record.encoded) else {
                preconditionFailure("a put without a condition is written")
            }
            return Entry(path: path.text, sequence: block, record: record)
        } catch {
            throw DDriveError(error)
        }
    }

    nonisolated func checkWritable() throws(DDriveError) {
        guard !isCheckout else { throw DDriveError(.notWritable, "A version that was checked out cannot be changed") }
        guard isWritable else { throw DDriveError(.notWritable, "The drive \(key) cannot be written here") }
    }
}
