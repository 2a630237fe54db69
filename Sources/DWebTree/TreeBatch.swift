public import DWebDatabase
import DWebPorts

/// Changes of a tree that are appended at once or not at all; see ``DTree/batch()``.
///
/// Reads through the batch see its changes; everybody else sees them after ``flush()``. A batch that is let go without
/// either ``flush()`` or ``close()`` is discarded.
public actor TreeBatch {
    private nonisolated let tree: DTree
    private var turn: BatchTurn?
    private var isEnded = false
    private var mutations = MutationQueue()

    init(tree: DTree) { self.tree = tree }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { tree.unownedExecutor }

    /// Stages a put, and returns whether anything will be written; see ``DTree/put(_:_:ifReplacing:)``.
    ///
    /// - Throws: ``DTreeError`` with code `closed` after the end of the batch, and as ``DTree/put(_:_:ifReplacing:)``.
    @discardableResult
    public func put(
        _ key: [UInt8], _ value: [UInt8]?, ifReplacing condition: ReplacementCondition? = nil
    ) async throws(DTreeError) -> Bool {
        try await stage(key, .put(value), condition)
    }

    /// Stages a put of text.
    @discardableResult
    public func put(_ key: String, _ value: String) async throws(DTreeError) -> Bool {
        try await put(Array(key.utf8), Array(value.utf8))
    }

    /// Stages a deletion, and returns whether anything will be written.
    ///
    /// - Throws: ``DTreeError`` as ``put(_:_:ifReplacing:)``.
    @discardableResult
    public func delete(
        _ key: [UInt8], ifReplacing condition: ReplacementCondition? = nil
    ) async throws(DTreeError) -> Bool {
        try await stage(key, .delete, condition)
    }

    /// Stages the deletion of a key that is text.
    @discardableResult
    public func delete(_ key: String) async throws(DTreeError) -> Bool { try await delete(Array(key.utf8)) }

    /// Takes the turn to change the tree now, so that what is read through the batch stays true until it ends.
    ///
    /// - Throws: ``DTreeError`` with code `notWritable`, `closed` or `storage`.
    public func begin() async throws(DTreeError) {
        guard !isEnded else { throw TreeEngine.endedBatch }
        guard tree.view == nil else {
            throw DTreeError(.notWritable, "A version that was checked out cannot be changed")
        }
        await enterMutation()
        defer { mutations.leave() }
        _ = try await currentTurn()
    }

    /// The entry of `key` with the changes staged so far; nil if there is none.
    ///
    /// - Throws: ``DTreeError`` as ``DTree/get(_:_:)``.
    public func get(
        _ key: [UInt8], _ options: ReadOptions = ReadOptions()
    ) async throws(DTreeError) -> DTree.Entry? {
        guard !isEnded else { throw TreeEngine.endedBatch }
        guard let turn else { return try await tree.get(key, options) }
        return try await tree.engine.find(tree.prefix + key, batch: turn.number).map { tree.local($0) }
    }

    /// Appends what was staged, ends the batch, and returns the blocks written; none for an empty batch.
    ///
    /// - Throws: ``DTreeError`` with code `closed`, `storage`, `valueTooLarge` or `conflict`; nothing was written then.
    @discardableResult
    public func flush() async throws(DTreeError) -> Range<UInt64> {
        guard !isEnded else { throw TreeEngine.endedBatch }
        await enterMutation()
        defer { mutations.leave() }
        isEnded = true
        guard let turn else {
            let version = tree.version
            return version..<version
        }
        self.turn = nil
        return try await tree.engine.flush(batch: turn.number)
    }

    /// Forgets what was staged and ends the batch. Callable more than once.
    public func close() async {
        isEnded = true
        guard let turn else { return }
        self.turn = nil
        await tree.engine.abandon(batch: turn.number)
    }

    private func stage(
        _ key: [UInt8], _ kind: PendingChange.Kind, _ condition: ReplacementCondition?
    ) async throws(DTreeError) -> Bool {
        guard !isEnded else { throw TreeEngine.endedBatch }
        guard tree.view == nil else {
            throw DTreeError(.notWritable, "A version that was checked out cannot be changed")
        }
        await enterMutation()
        defer { mutations.leave() }
        let turn = try await currentTurn()
        return try await tree.engine.stage(tree.prefix + key, kind, if: condition, batch: turn.number)
    }

    private func currentTurn() async throws(DTreeError) -> BatchTurn {
        if let turn { return turn }
        guard !isEnded else { throw TreeEngine.endedBatch }
        let number = await tree.engine.makeBatchNumber()
        try await tree.engine.beginBatch(number)
        let turn = BatchTurn(engine: tree.engine, number: number)
        self.turn = turn
        return turn
    }

    private func enterMutation() async {
        if mutations.tryEnter() { return }
        await withCheckedContinuation { mutations.enqueue($0) }
    }
}

/// A batch's turn to write; given back at the latest when nobody holds it any more.
final class BatchTurn: Sendable {
    private let engine: TreeEngine
    let number: UInt64

    init(engine: TreeEngine, number: UInt64) {
        self.engine = engine
        self.number = number
    }

    deinit {
        let (engine, number) = (engine, number)
        engine.loop.execute { engine.assumeIsolated { $0.abandon(batch: number) } }
    }
}
