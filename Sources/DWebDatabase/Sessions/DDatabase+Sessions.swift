import DWebBase
import DWebLogCore
import DWebPorts

extension DDatabase {
    // MARK: Sessions

    /// Another session over the same log, with its own lifetime.
    ///
    /// - Parameter isWeak: Whether the session leaves it to others to keep the log open. Once the last other session and
    ///   the last peer are gone, the log is released as if this session were not there, and its calls fail with code
    ///   `closed`. For those who only look on, such as an index that lives as long as the log.
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func session(isWeak: Bool = false) throws(DDatabaseError) -> DDatabase {
        try checkOpen()
        return DDatabase(engine: engine, frozen: frozen, encryption: encryption, view: view, isWeak: isWeak)
    }

    /// A session that keeps the length and fork of this moment, and can read every block that is stored now, whatever
    /// happens to the log.
    ///
    /// A block that is not stored now comes from peers as long as it is part of the log. Where the writer truncated it
    /// meanwhile, reading it fails with code `snapshotNotAvailable`. An open snapshot holds back the space of what is
    /// deleted; suspending the store ends its view of deleted blocks.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed` or `storage`.
    public func snapshot() async throws(DDatabaseError) -> DDatabase {
        try checkOpen()
        if let frozen {
            return DDatabase(engine: engine, frozen: frozen, encryption: encryption, view: view)
        }
        let (head, view) = try await engine.snapshot()
        return DDatabase(engine: engine, frozen: head, encryption: encryption, view: view)
    }

    /// A snapshot of the log as it was when it had `length` blocks.
    ///
    /// - Throws: ``DDatabaseError`` with code `outOfBounds` (the log is shorter), `blockNotAvailable` (a sparse log lacks
    ///   the tree nodes of that length), `storage` or `closed`.
    public func checkout(at length: UInt64) async throws(DDatabaseError) -> DDatabase {
        try checkOpen()
        var (head, view) = (frozen, self.view)
        if head == nil { (head, view) = try await engine.snapshot() }
        guard var head, length <= head.length else {
            throw DDatabaseError(.outOfBounds, "The log has \(self.length) blocks, fewer than \(length)")
        }
        if length < head.length {
            if let known = try await view?.byteLength(at: length) {
                head.byteLength = known
            } else {
                try checkFrozen(0..<length)
                head.byteLength = try await engine.byteLength(at: length)
            }
        }
        head.length = length
        return DDatabase(engine: engine, frozen: head, encryption: encryption, view: view)
    }

    /// Ends the session; its calls that still wait fail with code `closed`. The last session of a log without peers
    /// releases the log. Callable more than once.
    public func close() {
        hold.release()
        view = nil
    }

    func checkOpen() throws(DDatabaseError) {
        guard !hold.isReleased else { throw DDatabaseError(.closed, "This session of the log was closed") }
    }

    func checkWritable() throws(DDatabaseError) {
        guard frozen == nil else { throw DDatabaseError(.notWritable, "A snapshot cannot be changed") }
    }

    // MARK: Reading as a snapshot

    /// Refuses blocks that are not the snapshot's, or not the log's any more.
    func checkFrozen(_ range: Range<UInt64>) throws(DDatabaseError) {
        guard let frozen else { return }
        try checkLength(range, frozen)
        let compatibleLength = engine.published.compatibleLength(withFork: frozen.fork, length: frozen.length)
        guard range.upperBound <= compatibleLength else {
            throw DDatabaseError(
                .snapshotNotAvailable, "Block \(range.upperBound - 1) was truncated after the snapshot was taken")
        }
    }

    private func checkLength(_ range: Range<UInt64>, _ frozen: Head) throws(DDatabaseError) {
        guard range.upperBound <= frozen.length else {
            throw DDatabaseError(.outOfBounds, "The snapshot has \(frozen.length) blocks")
        }
    }

    /// A block as it is stored, as a snapshot sees it: first what was stored when it was taken, then the log.
    func frozenBlock(at index: UInt64, _ options: ReadOptions) async throws(DDatabaseError) -> [UInt8] {
        if let frozen { try checkLength(index..<index &+ 1, frozen) }
        if let seen = try await view?.block(at: index) { return seen }
        try checkFrozen(index..<index &+ 1)
        let block = try await engine.block(at: index, options, for: hold.session)
        // What arrived after a truncation is another history's.
        try checkFrozen(index..<index &+ 1)
        return block
    }

    /// The stored blocks of a range as a snapshot sees them.
    func frozenBlocks(at range: Range<UInt64>, _ options: ReadOptions) async throws(DDatabaseError) -> [[UInt8]] {
        guard range.count <= LogEngine.blocksPerRead else {
            throw DDatabaseError(.outOfBounds, "At most \(LogEngine.blocksPerRead) blocks can be read at once")
        }
        if let frozen { try checkLength(range, frozen) }
        if try await view?.hasBlocks(range, before: length) ?? false {
            var blocks: [[UInt8]] = []
            blocks.reserveCapacity(range.count)
            for index in range { blocks.append(try await frozenBlock(at: index, .localOnly)) }
            return blocks
        }
        try checkFrozen(range)
        let blocks = try await engine.blocks(at: range, options, for: hold.session)
        // What arrived after a truncation is another history's.
        try checkFrozen(range)
        return blocks
    }

    /// Whether the range can be read from the log itself, which is faster than from a snapshot's view: it is all stored
    /// and as it was.
    func isUnchanged(_ range: Range<UInt64>) async throws(DDatabaseError) -> Bool {
        guard let frozen else { return true }
        let compatibleLength = engine.published.compatibleLength(withFork: frozen.fork, length: frozen.length)
        guard range.upperBound <= compatibleLength else { return false }
        return try await engine.has(range)
    }
}

extension LogEngine {
    /// The state of this moment and a view of what is stored, both of the same moment; no view in a suspended store.
    func snapshot() async throws(DDatabaseError) -> (DDatabase.Head, SnapshotView?) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        do throws(PortError) {
            return (published.head, SnapshotView(try storage.snapshot(), keys: keys))
        } catch {
            if error.code == .closed { return (published.head, nil) }
            throw DDatabaseError(storage: error)
        }
    }

    /// The bytes of the first `length` blocks.
    func byteLength(at length: UInt64) async throws(DDatabaseError) -> UInt64 {
        try checkAlive()
        try checkTree()
        guard length <= tree.length else {
            throw DDatabaseError(.outOfBounds, "The log has \(tree.length) blocks, fewer than \(length)")
        }
        let result = try await repeatingLoads { [tree, nodes] () throws(ProofError) -> UInt64? in
            do throws(ProofError) {
                return try tree.truncated(to: length, fork: tree.fork, source: nodes).byteLength
            } catch {
                if case .invalidOperation(.missingStoredNode) = error { return nil }
                throw error
            }
        }
        guard let result else {
            throw DDatabaseError(.blockNotAvailable, "The tree nodes of length \(length) are not stored here")
        }
        return result
    }
}
