public import DWebBase
public import DWebDatabase
public import DWebPorts

/// A sorted map of byte strings on a log, known to the living network as a Hyperbee 2.
///
/// Every change is one block of the log, and every length of the log at which a change or a batch ended is a version
/// that can be read for ever. A tree is a view: the newest version, a version checked out, or the part of either below
/// a prefix. Views of one tree share memory and the turn to write.
public actor DTree {
    /// How a tree is opened.
    public struct Options: Sendable {
        /// What the header carries if this tree has to write it; the header of an existing tree stays.
        public var metadata: TreeHeader.Metadata?
        /// Whether a put of the value that is already there writes nothing.
        public var skipsEqualValues = false
        /// Whether every change is refused.
        public var isReadOnly = false
        /// Whether peers are told what a lookup that waits is looking for, so that they can name the blocks it needs;
        /// see ``DTree/exchangeHints()``.
        public var asksForHints = true

        /// The defaults: no metadata, every put is written.
        public init() {}
    }

    /// A key with its value.
    public struct Entry: Sendable, Hashable {
        /// The block that holds the entry. It grows with every change of a key.
        public let sequence: UInt64
        /// The key, without the prefix of the view it was read through.
        public package(set) var key: [UInt8]
        /// The value; nil for a key that was put without one, which differs from an empty value.
        public let value: [UInt8]?

        /// An entry.
        public init(sequence: UInt64, key: [UInt8], value: [UInt8]?) {
            self.sequence = sequence
            self.key = key
            self.value = value
        }
    }

    /// One step of the tree's history.
    public struct Change: Sendable, Hashable {
        /// Whether the key was deleted. A put without a value inside a batch looks the same and is reported so.
        public let isDeletion: Bool
        /// The key, the block and the value that was put.
        public package(set) var entry: Entry
    }

    /// A key in which two versions differ.
    public struct Difference: Sendable, Hashable {
        /// The entry in the version that was asked; nil if it has none.
        public package(set) var left: Entry?
        /// The entry in the version compared with; nil if it has none.
        public package(set) var right: Entry?
    }

    /// The log that holds the tree.
    public nonisolated var database: DDatabase { engine.database }
    /// What every key of this view has before it in the log; empty for the whole tree.
    public nonisolated let prefix: [UInt8]
    package nonisolated let engine: TreeEngine
    /// The version that the view keeps showing; nil for a view that follows the log.
    nonisolated let view: TreeView?
    nonisolated let separator: [UInt8]

    /// A tree on a log.
    ///
    /// Make one tree per log and derive views from it: trees made apart do not wait for each other's changes.
    ///
    /// - Parameters:
    ///   - database: The log. Nothing but the tree may append to it.
    ///   - runtime: The runtime of the log's store.
    ///   - options: Header and policies.
    public init(_ database: DDatabase, runtime: DWebRuntime, options: Options = Options()) {
        self.init(
            engine: TreeEngine(database: database, runtime: runtime, options: options), prefix: [], view: nil,
            separator: [0])
    }

    init(engine: TreeEngine, prefix: [UInt8], view: TreeView?, separator: [UInt8]) {
        self.engine = engine
        self.prefix = prefix
        self.view = view
        self.separator = separator
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { engine.unownedExecutor }

    // MARK: State

    /// The key of the log.
    public nonisolated var key: PublicKey { engine.database.key }

    /// The version of this view: at least 1, which is an empty tree; one more with every change.
    public nonisolated var version: UInt64 { (view ?? engine.currentView).version }

    /// Whether this view can be changed.
    public nonisolated var isWritable: Bool {
        view == nil && !engine.options.isReadOnly && engine.database.isWritable
    }

    /// Whether the view keeps showing one version.
    public nonisolated var isCheckout: Bool { view != nil }

    /// The header; nil if nothing was ever written.
    ///
    /// - Throws: ``DTreeError`` with code `notATree` or `unsupportedFormat`, and as ``get(_:_:)``.
    public func header(_ options: ReadOptions = ReadOptions()) async throws(DTreeError) -> TreeHeader? {
        try await engine.header(options)
    }

    /// Asks peers whether the tree has grown, and returns whether it has.
    ///
    /// - Throws: ``DTreeError`` with code `cancelled`, `closed` or `storage`.
    @discardableResult
    public func update(upTo wait: Duration = .seconds(10)) async throws(DTreeError) -> Bool {
        do throws(DDatabaseError) { return try await database.update(upTo: wait) } catch { throw DTreeError(error) }
    }

    // MARK: Views

    /// The keys that start with `name` and a separator, as a tree of their own: keys are written with the prefix and
    /// read without it.
    ///
    /// - Parameters:
    ///   - name: The name of the part.
    ///   - separator: What ends the name in the log; a zero byte unless told otherwise.
    public nonisolated func sub(_ name: [UInt8], separator: [UInt8]? = nil) -> DTree {
        DTree(
            engine: engine, prefix: prefix + name + (separator ?? self.separator), view: view, separator: self.separator
        )
    }

    /// The keys that start with `name` and a zero byte, as a tree of their own.
    public nonisolated func sub(_ name: String) -> DTree { sub(Array(name.utf8)) }

    /// A view that keeps showing the present version.
    public nonisolated func snapshot() -> DTree {
        DTree(engine: engine, prefix: prefix, view: view ?? engine.currentView, separator: separator)
    }

    /// A view that keeps showing the newest version; of a tree of which nothing is known yet, once something is.
    package func settledSnapshot(_ options: ReadOptions) async throws(DTreeError) -> DTree {
        DTree(engine: engine, prefix: prefix, view: try await engine.prepare(view, options), separator: separator)
    }

    /// A view that keeps showing `version`; 0 and 1 are the empty tree.
    ///
    /// Only lengths at which a change or a batch ended are versions; reading another one fails with `notAVersion` where
    /// that can be told. A version that does not exist yet makes reads wait for it.
    public nonisolated func checkout(_ version: UInt64) -> DTree {
        DTree(
            engine: engine, prefix: prefix, view: TreeView(version: max(1, version), fork: engine.database.fork),
            separator: separator)
    }

    // MARK: Reading

    /// The entry of `key`; nil if there is none.
    ///
    /// - Throws: ``DTreeError`` with code `noPeers`, `notAvailable` or `deadlineExceeded` where blocks are missing,
    ///   `damaged`, `notATree`, `unsupportedFormat`, `notAVersion`, `snapshotNotAvailable`, `cancelled`, `closed` or
    ///   `storage`.
    public func get(_ key: [UInt8], _ options: ReadOptions = ReadOptions()) async throws(DTreeError) -> Entry? {
        try await engine.find(prefix + key, view, options).map { local($0) }
    }

    /// The entry of a key that is text.
    public func get(_ key: String, _ options: ReadOptions = ReadOptions()) async throws(DTreeError) -> Entry? {
        try await get(Array(key.utf8), options)
    }

    /// The change that the block at `sequence` records, whether or not it is still current. Keys come with all
    /// prefixes.
    ///
    /// - Throws: ``DTreeError`` as ``get(_:_:)``; `invalidArgument` for block 0, which is the header.
    public func change(
        at sequence: UInt64, _ options: ReadOptions = ReadOptions()
    ) async throws(DTreeError) -> Change {
        guard sequence > 0 else { throw DTreeError(.invalidArgument, "Block 0 is the header") }
        return try await engine.change(
            at: sequence, view ?? engine.currentView, ReadDeadline(options, now: engine.loop.now))
    }

    /// The entries in `range`, in the order of keys.
    ///
    /// A pass sees one version from beginning to end, whatever happens meanwhile.
    ///
    /// - Parameters:
    ///   - range: The keys.
    ///   - isReversed: Whether to start with the largest key.
    ///   - limit: The most entries; nil for all.
    ///   - options: How long to wait for blocks that are missing, at every step.
    public nonisolated func entries(
        in range: KeyRange = .all, isReversed: Bool = false, limit: Int? = nil, _ options: ReadOptions = ReadOptions()
    ) -> Entries {
        Entries(tree: self, range: range.prefixed(prefix), isReversed: isReversed, limit: limit, options: options)
    }

    /// The first entry in `range`, or the last one if reversed; nil if there is none.
    public func first(
        in range: KeyRange = .all, isReversed: Bool = false, _ options: ReadOptions = ReadOptions()
    ) async throws(DTreeError) -> Entry? {
        var iterator = entries(in: range, isReversed: isReversed, limit: 1, options).makeAsyncIterator()
        return try await iterator.next(isolation: self)
    }

    /// The keys in which this version and another one differ, in order. Equal means the same change, not equal bytes.
    ///
    /// Parts that both versions share are not read.
    ///
    /// - Parameters:
    ///   - version: The version to compare with: ``Difference/right``.
    ///   - range: The keys to look at.
    ///   - limit: The most differences; nil for all.
    ///   - options: How long to wait for blocks that are missing, at every step.
    public nonisolated func differences(
        from version: UInt64, in range: KeyRange = .all, limit: Int? = nil, _ options: ReadOptions = ReadOptions()
    ) -> Differences {
        Differences(tree: self, from: max(1, version), range: range.prefixed(prefix), limit: limit, options: options)
    }

    /// The changes of the whole tree in the order they were made, whatever the prefix of this view. Keys come with all
    /// prefixes.
    ///
    /// - Parameters:
    ///   - range: The blocks; see ``HistoryRange``.
    ///   - isReversed: Whether to start with the newest.
    ///   - limit: The most changes; nil for all.
    ///   - isLive: Whether to go on with changes made later, until the task is cancelled. Not together with
    ///     `isReversed`.
    ///   - options: How long to wait for blocks that are missing, at every step.
    public nonisolated func history(
        _ range: HistoryRange = HistoryRange(), isReversed: Bool = false, limit: Int? = nil, isLive: Bool = false,
        _ options: ReadOptions = ReadOptions()
    ) -> History {
        History(tree: self, range: range, isReversed: isReversed, limit: limit, isLive: isLive, options: options)
    }

    /// Pairs of versions, one each time that something in `range` has changed, until the task is cancelled.
    ///
    /// Changes that come in one burst give one pair. A truncation gives a pair in any case.
    public nonisolated func changes(
        in range: KeyRange = .all, _ options: ReadOptions = ReadOptions()
    ) -> Changes {
        Changes(tree: self, range: range, options: options)
    }

    // MARK: Writing

    /// Puts a value, and returns the block that holds it, or nil if nothing was written.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - value: The value; nil is stored as no value, which differs from an empty one.
    ///   - condition: Whether an existing entry may be replaced. It is not asked where the key does not exist. The
    ///     turn to write is held meanwhile, so it must not change this tree.
    /// - Throws: ``DTreeError`` with code `notWritable`, `keyTooLarge`, `valueTooLarge`, `storage` or `closed`.
    @discardableResult
    public func put(
        _ key: [UInt8], _ value: [UInt8]?, ifReplacing condition: ReplacementCondition? = nil
    ) async throws(DTreeError) -> UInt64? {
        try checkLive()
        return try await engine.change(prefix + key, .put(value), if: condition)
    }

    /// Puts text under a key that is text.
    @discardableResult
    public func put(_ key: String, _ value: String) async throws(DTreeError) -> UInt64? {
        try await put(Array(key.utf8), Array(value.utf8))
    }

    /// Deletes a key, and returns the block that says so, or nil if there was no such key or the condition refused.
    ///
    /// - Throws: ``DTreeError`` as ``put(_:_:ifReplacing:)``.
    @discardableResult
    public func delete(
        _ key: [UInt8], ifReplacing condition: ReplacementCondition? = nil
    ) async throws(DTreeError) -> UInt64? {
        try checkLive()
        return try await engine.change(prefix + key, .delete, if: condition)
    }

    /// Deletes a key that is text.
    @discardableResult
    public func delete(_ key: String) async throws(DTreeError) -> UInt64? { try await delete(Array(key.utf8)) }

    /// Changes that become visible together. Nothing else can change the tree from the batch's first change until it is
    /// flushed or closed.
    public nonisolated func batch() -> TreeBatch { TreeBatch(tree: self) }

    /// Closes the session of the log that the tree was made with. Applies to every view.
    public func close() async { await database.close() }

    private func checkLive() throws(DTreeError) {
        guard view == nil else { throw DTreeError(.notWritable, "A version that was checked out cannot be changed") }
    }

    /// An entry without this view's prefix.
    nonisolated func local(_ entry: Entry) -> Entry {
        guard !prefix.isEmpty, entry.key.starts(with: prefix) else { return entry }
        var result = entry
        result.key = Array(entry.key.dropFirst(prefix.count))
        return result
    }
}
