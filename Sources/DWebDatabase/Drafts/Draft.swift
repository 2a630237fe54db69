import DWebLogCore

/// A branch of a log that is not signed yet: it can be appended to and cut freely, survives a restart under its name,
/// and becomes part of the log when it is committed. The network calls it a named session.
///
/// A draft shares the log's blocks up to where it was begun. It is never replicated. Handles with the same name are the
/// same draft.
public struct Draft: Sendable {
    /// The draft's name.
    public let name: String
    let database: DDatabase

    /// The state of a draft at one moment.
    public struct Head: Sendable, Hashable {
        /// The number of blocks, those shared with the log included.
        public let length: UInt64
        /// The number of bytes in all blocks.
        public let byteLength: UInt64
        /// How many leading blocks are the log's own.
        public let sharedLength: UInt64
    }

    /// Length, byte length and shared length.
    ///
    /// - Throws: ``DDatabaseError`` with code `notFound` (discarded), `storage` or `closed`.
    public func head() async throws(DDatabaseError) -> Head {
        try await database.checkOpen()
        let head = try await database.engine.draftHead(name)
        let padding = database.isEncrypted ? BlockEncryption.paddingByteCount * head.length : 0
        return Head(
            length: head.length, byteLength: head.byteLength - min(head.byteLength, padding),
            sharedLength: head.sharedLength)
    }

    /// Appends blocks to the draft and returns their indices. Needs no signer.
    ///
    /// - Throws: ``DDatabaseError`` with code `blockTooLarge`, `outOfBounds`, `notFound`, `storage` or `closed`.
    @discardableResult
    public func append(_ blocks: [[UInt8]]) async throws(DDatabaseError) -> Range<UInt64> {
        try await database.checkOpen()
        return try await database.engine.appendToDraft(name, blocks, cipher: try await database.cipher())
    }

    /// Forgets the draft's blocks from `length` on; the log is not touched.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds`, `notFound`, `storage` or `closed`.
    public func truncate(to length: UInt64) async throws(DDatabaseError) {
        try await database.checkOpen()
        try await database.engine.truncateDraft(name, to: length)
    }

    /// The bytes of the draft's block at `index`; a shared one is read as the log reads it, from peers if need be.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds`, `snapshotNotAvailable` (the log was cut below the shared
    ///   length), `notFound`, and as ``DDatabase/block(at:_:)``.
    public func block(
        at index: UInt64, _ options: ReadOptions = ReadOptions()
    ) async throws(DDatabaseError) -> [UInt8] {
        try await database.checkOpen()
        let own = try await database.engine.draftBlock(name, at: index)
        guard let own else { return try await database.block(at: index, options) }
        return try await database.decrypted(own, at: index)
    }

    /// Makes the draft's blocks part of the log, signed, with one write; the draft goes on from there.
    ///
    /// - Returns: The indices of the blocks that are new to the log.
    /// - Throws: ``DDatabaseError`` with code `conflict` (the log has other blocks or was cut meanwhile, or is longer),
    ///   `notWritable`, `signer`, `notFound`, `storage` or `closed`.
    @discardableResult
    public func commit() async throws(DDatabaseError) -> Range<UInt64> {
        try await database.checkOpen()
        try await database.checkWritable()
        if database.isRecovering { try await database.engine.waitForRecovery(for: database.hold.session) }
        return try await database.engine.commitDraft(name)
    }

    /// Deletes the draft. Callable more than once.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func discard() async throws(DDatabaseError) {
        try await database.checkOpen()
        try await database.engine.discardDraft(name)
    }
}

extension DDatabase {
    // MARK: Drafts

    /// Opens the draft called `name`, beginning it at the log's present end if there is none.
    ///
    /// - Parameters:
    ///   - name: The draft's name.
    ///   - isOverwriting: Whether a draft that exists is thrown away and begun anew, with one write.
    /// - Throws: ``DDatabaseError`` with code `snapshotNotAvailable` (the log was cut below the beginning of the draft,
    ///   which can only be discarded or overwritten), `storage` or `closed`.
    public func draft(
        named name: String, overwriting isOverwriting: Bool = false
    ) async throws(DDatabaseError) -> Draft {
        try checkOpen()
        try await engine.openDraft(name, isOverwriting: isOverwriting)
        return Draft(name: name, database: self)
    }

    /// Deletes a draft, also one that cannot be opened any more. A name that does not exist is ignored.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func discardDraft(named name: String) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.discardDraft(name)
    }

    /// The names of the log's drafts, in the order they were begun.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func drafts() async throws(DDatabaseError) -> [String] {
        try checkOpen()
        return try await engine.draftNames()
    }
}
