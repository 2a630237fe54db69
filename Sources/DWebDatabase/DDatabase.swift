public import DWebBase
import DWebCrypto
import DWebPorts

/// One signed append-only log, known to the living network as a Hypercore.
///
/// A database is a session over the log: several sessions of the same store share one log, and closing the last one
/// releases it. Reads of blocks that are not stored locally ask the peers that the log's store replicates with.
/// Sessions come from a store: `Basestore.database(named:)` and `Basestore.database(key:)`.
public actor DDatabase {
    /// The log's key. Whoever knows it can read the log.
    public nonisolated let key: PublicKey
    /// The log's public name, under which peers find each other.
    public nonisolated let discoveryKey: DiscoveryKey
    /// The log behind the session.
    package nonisolated let engine: LogEngine
    /// Keeps the log open as long as the session lives.
    nonisolated let hold: LogHold
    /// The state that a snapshot keeps showing; nil for a session that follows the log.
    nonisolated let frozen: Head?
    /// How the session encrypts and decrypts blocks.
    nonisolated let encryption: BlockEncryption?
    var cachedCipher: BlockCipher?
    /// What a snapshot still sees of blocks that were deleted after it was taken.
    var view: SnapshotView?

    /// Opens a session over a log.
    package init(engine: LogEngine, encryption: BlockEncryption? = nil) {
        self.init(engine: engine, frozen: nil, encryption: encryption, view: nil)
    }

    init(
        engine: LogEngine, frozen: Head?, encryption: BlockEncryption?, view: SnapshotView?, isWeak: Bool = false
    ) {
        self.engine = engine
        self.frozen = frozen
        self.encryption = encryption
        self.view = view
        key = engine.key
        discoveryKey = engine.discoveryKey
        hold = LogHold(engine, isWeak: isWeak)
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { engine.unownedExecutor }

    // MARK: State

    /// Length, byte length, fork and contiguous length at this moment, or as a snapshot keeps them.
    public nonisolated var head: Head {
        var head = storedHead
        if encryption != nil { head.byteLength -= min(head.byteLength, BlockEncryption.paddingByteCount * head.length) }
        return head
    }
    /// The same, with bytes as stored.
    nonisolated var storedHead: Head { frozen ?? engine.published.head }
    /// The number of blocks in the log, stored locally or not.
    public nonisolated var length: UInt64 { head.length }
    /// The number of bytes in all blocks of the log, without what encryption adds.
    public nonisolated var byteLength: UInt64 { head.byteLength }
    /// How often the writer truncated the log.
    public nonisolated var fork: UInt64 { head.fork }
    /// The number of leading blocks that are all stored locally.
    public nonisolated var contiguousLength: UInt64 { min(head.length, engine.published.head.contiguousLength) }
    /// Whether this session can append: its signer is known here, and it is no snapshot.
    public nonisolated var isWritable: Bool { frozen == nil && engine.published.isWritable }
    /// The number of peers that the log currently replicates with.
    public nonisolated var peerCount: Int { engine.published.peerCount }
    /// What the log exchanged with peers since it was opened.
    public nonisolated var statistics: Statistics {
        var statistics = engine.published.statistics
        statistics.droppedEventCount = UInt64(engine.events.droppedCount)
        return statistics
    }
    /// How many leading blocks some peer was seen to store, also in earlier runs.
    public nonisolated var remoteContiguousLength: UInt64 {
        min(head.length, engine.published.remoteContiguousLength)
    }
    /// Whether the session is a snapshot.
    public nonisolated var isSnapshot: Bool { frozen != nil }

    // MARK: Writing

    /// Appends one block and returns its index.
    ///
    /// When it returns, the block is stored (see ``Durability``) and announced to peers. Calls that overlap are
    /// written together.
    ///
    /// - Throws: ``DDatabaseError`` with code `notWritable`, `blockTooLarge` (above 15 MiB), `storage` or `closed`.
    @discardableResult
    public func append(_ block: [UInt8]) async throws(DDatabaseError) -> UInt64 {
        try await append([block]).lowerBound
    }

    /// Appends blocks with a single signature and a single write, and returns their indices.
    ///
    /// Either all blocks become part of the log or none. Waits first while the log is recovering (``isRecovering``).
    ///
    /// - Throws: ``DDatabaseError`` with code `notWritable`, `blockTooLarge` (above 15 MiB), `storage` or `closed`.
    @discardableResult
    public func append(_ blocks: [[UInt8]]) async throws(DDatabaseError) -> Range<UInt64> {
        try checkOpen()
        try checkWritable()
        if isRecovering { try await engine.waitForRecovery(for: hold.session) }
        return try await engine.append(blocks, cipher: try cipher())
    }

    /// Appends blocks only if the log has at most `maximumLength` blocks after that: a caller who read the log's length
    /// learns in this way that nobody appended meanwhile.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` if the log would become longer, and as
    ///   ``append(_:)-([[UInt8]])``.
    @discardableResult
    public func append(_ blocks: [[UInt8]], maximumLength: UInt64) async throws(DDatabaseError) -> Range<UInt64> {
        try checkOpen()
        try checkWritable()
        if isRecovering { try await engine.waitForRecovery(for: hold.session) }
        return try await engine.append(blocks, maximumLength: maximumLength, cipher: try cipher())
    }

    /// Forgets every block from `newLength` on, in this log and, once they learn of it, at its readers.
    ///
    /// - Parameters:
    ///   - newLength: The number of blocks that stay.
    ///   - fork: The number of the history that begins here; nil for the next one. A higher one overrules histories that
    ///     another copy of the log may have begun.
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` (beyond the log's length, or a fork that is not higher than
    ///   the present one), `notWritable`, `storage` or `closed`.
    public func truncate(to newLength: UInt64, fork: UInt64? = nil) async throws(DDatabaseError) {
        try checkOpen()
        try checkWritable()
        try await engine.truncate(to: newLength, fork: fork)
    }

    /// Deletes the stored bytes of `range`; the blocks stay part of the log and can be downloaded again.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func clear(_ range: Range<UInt64>) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.clear(range)
    }

    // MARK: Reading

    /// The bytes of the block at `index`.
    ///
    /// A block that is not stored is asked of peers until the deadline of `options`; an index beyond the log's end
    /// waits likewise for the log to grow.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` or `blockNotAvailable` (local only), `noPeers`,
    ///   `blockNotAvailable` or `deadlineExceeded` (at the deadline), `cancelled`, `closed` or `storage`.
    public func block(
        at index: UInt64, _ options: ReadOptions = ReadOptions()
    ) async throws(DDatabaseError) -> [UInt8] {
        try checkOpen()
        if frozen != nil { return try decrypted(try await frozenBlock(at: index, options), at: index) }
        return try decrypted(try await engine.block(at: index, options, for: hold.session), at: index)
    }

    /// The bytes of the blocks in `range`, in order; each as ``block(at:_:)`` reads it, with one deadline for all.
    public func blocks(
        at range: Range<UInt64>, _ options: ReadOptions = ReadOptions()
    ) async throws(DDatabaseError) -> [[UInt8]] {
        try checkOpen()
        if try await !isUnchanged(range) {
            return try decrypted(try await frozenBlocks(at: range, options), from: range.lowerBound)
        }
        return try decrypted(
            try await engine.blocks(at: range, options, for: hold.session), from: range.lowerBound)
    }

    /// The blocks from `index` to the end of the log, downloading what is missing.
    ///
    /// - Parameters:
    ///   - index: The first block.
    ///   - live: Whether to go on with blocks that are appended later, until the task is cancelled.
    ///   - options: How long to wait for each missing block. A live sequence waits for the log to grow without limit.
    public nonisolated func blocks(
        from index: UInt64 = 0, live: Bool = false, _ options: ReadOptions = ReadOptions()
    ) -> Blocks {
        Blocks(database: self, start: index, isLive: live && frozen == nil, options: options)
    }

    /// The block at `index` if it is stored and can be had without waiting; otherwise nil.
    ///
    /// - Throws: ``DDatabaseError`` with code `undecipherable`, `closed` or `storage`.
    package func storedBlockImmediately(at index: UInt64) throws(DDatabaseError) -> [UInt8]? {
        try checkOpen()
        guard frozen == nil else { return nil }
        let result = engine.assumeIsolated { engine in
            Result { () throws(DDatabaseError) in try engine.storedBlockImmediately(index) }
        }
        guard let block = try result.get() else { return nil }
        return try decrypted(block, at: index)
    }

    /// The blocks at the first of `indices`, nil for those that are not stored here, with one visit to the medium for
    /// all; cheapest in ascending order. Peers are not asked.
    ///
    /// - Parameter byteLimit: Ends the blocks given once they have so many bytes; one is given in any case.
    /// - Throws: ``DDatabaseError`` with code `undecipherable`, `closed` or `storage`.
    package func storedBlocks(
        at indices: [UInt64], byteLimit: Int
    ) async throws(DDatabaseError) -> [[UInt8]?] {
        try checkOpen()
        var blocks: [[UInt8]?] = []
        if frozen == nil {
            blocks = try await engine.storedBlocks(at: indices, byteLimit: byteLimit)
        } else {
            var byteCount = 0
            for index in indices {
                guard blocks.isEmpty || byteCount < byteLimit else { break }
                let block = try await has(index) ? try await frozenBlock(at: index, .localOnly) : nil
                byteCount += block?.count ?? 0
                blocks.append(block)
            }
        }
        guard encryption != nil else { return blocks }
        for (position, index) in zip(blocks.indices, indices) {
            if let block = blocks[position] { blocks[position] = try decrypted(block, at: index) }
        }
        return blocks
    }

    /// Blocks for a sequence: what is stored in a row from `start` on, or the first one once it arrives.
    func readAhead(
        from start: UInt64, to end: UInt64, _ options: ReadOptions
    ) async throws(DDatabaseError) -> [[UInt8]] {
        try checkOpen()
        if try await !isUnchanged(start..<end) {
            return [try decrypted(try await frozenBlock(at: start, options), at: start)]
        }
        return try decrypted(
            try await engine.readAhead(from: start, to: end, options, for: hold.session), from: start)
    }

    /// Whether the block at `index` is stored locally.
    public func has(_ index: UInt64) async throws(DDatabaseError) -> Bool {
        guard index < .max else { return false }
        return try await has(index..<index + 1)
    }

    /// Whether every block of `range` is stored locally.
    public func has(_ range: Range<UInt64>) async throws(DDatabaseError) -> Bool {
        try checkOpen()
        if try await isUnchanged(range), try await engine.has(range) { return true }
        return try await view?.hasBlocks(range, before: length) ?? false
    }

    /// The block that contains the byte at `byteOffset`, counted from the start of the log without what encryption
    /// adds.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` beyond the log's byte length, and as ``block(at:_:)``.
    public func seek(
        toByte byteOffset: UInt64, _ options: ReadOptions = ReadOptions()
    ) async throws(DDatabaseError) -> BytePosition {
        try checkOpen()
        let padding = encryption == nil ? 0 : BlockEncryption.paddingByteCount
        return try await engine.seek(toByte: byteOffset, padding: padding, options, for: hold.session)
    }

    /// Downloads every block of `range` that is missing, and returns once all are stored.
    ///
    /// Without a peer that has the blocks it waits for one. Cancel the task to stop.
    ///
    /// - Throws: ``DDatabaseError`` with code `cancelled`, `closed` or `storage`.
    public func download(
        _ range: Range<UInt64>, order: DownloadOrder = .linear
    ) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.download(range, order, for: hold.session)
    }

    /// Downloads every block from `range`'s start on, also those appended later, until the task is cancelled.
    ///
    /// - Throws: ``DDatabaseError`` with code `cancelled`, `closed` or `storage`.
    public func download(
        _ range: PartialRangeFrom<UInt64>, order: DownloadOrder = .linear
    ) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.download(range.lowerBound..<UInt64.max, order, for: hold.session)
    }

    /// Asks peers whether the log has grown, and returns whether it is longer or has another fork than before.
    ///
    /// - Parameter wait: The longest time to wait for peers that have not answered. Without peers it returns at once.
    /// - Throws: ``DDatabaseError`` with code `cancelled`, `closed` or `storage`.
    @discardableResult
    public func update(upTo wait: Duration = .seconds(10)) async throws(DDatabaseError) -> Bool {
        try checkOpen()
        if frozen != nil { return false }
        return try await engine.update(upTo: wait, for: hold.session)
    }

    /// Waits until the log is longer than `length` or has another fork than now; returns at once if it already is.
    ///
    /// - Throws: ``DDatabaseError`` with code `cancelled` or `closed`.
    public func waitForGrowth(beyond length: UInt64) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.waitForGrowth(
            beyond: length, fork: engine.published.head.fork, for: hold.session)
    }

    // MARK: User data

    /// The bytes kept under `name` beside the log, or nil. They are local: peers never see them.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func userData(_ name: String) async throws(DDatabaseError) -> [UInt8]? {
        try checkOpen()
        return try await engine.userData(name)
    }

    /// Keeps `value` under `name` beside the log; nil removes it. Truncation does not touch it.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func setUserData(_ name: String, _ value: [UInt8]?) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.setUserData(name, value)
    }
}
