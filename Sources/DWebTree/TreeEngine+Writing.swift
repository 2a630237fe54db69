import DWebBase
import DWebDatabase
import DWebPorts
import DequeModule

/// Whether a change may replace what is there: called with the present entry only if the key exists.
public typealias ReplacementCondition = @Sendable (_ present: DTree.Entry) async -> Bool

/// A single change that waits for its turn.
final class PendingChange {
    enum Kind {
        case put([UInt8]?)
        case delete
    }

    let key: [UInt8]
    let kind: Kind
    let condition: ReplacementCondition?
    /// The block of the change, nil inside where nothing had to be written.
    var result: Result<UInt64?, DTreeError>?

    init(key: [UInt8], kind: Kind, condition: ReplacementCondition?) {
        self.key = key
        self.kind = kind
        self.condition = condition
    }
}

extension TreeEngine {
    /// Makes one change and returns its block, or nil if nothing had to be written.
    ///
    /// Changes that wait for their turn at the same time are written with one append; the blocks are those of changes
    /// made one after the other.
    func change(
        _ key: [UInt8], _ kind: PendingChange.Kind, if condition: ReplacementCondition?
    ) async throws(DTreeError) -> UInt64? {
        try checkWritable(key)
        let change = PendingChange(key: key, kind: kind, condition: condition)
        pending.append(change)
        await enterMutation()
        if change.result == nil { await commitPending() }
        mutations.leave()
        guard let result = change.result else { preconditionFailure("a change in the queue is settled in its turn") }
        return try result.get()
    }

    func checkWritable(_ key: [UInt8]?) throws(DTreeError) {
        guard !options.isReadOnly else { throw DTreeError(.notWritable, "The tree was opened for reading only") }
        guard database.isWritable else {
            throw DTreeError(.notWritable, "The tree \(database.key) cannot be written here")
        }
        if let key, key.count > TreeLimits.keyByteCount {
            throw DTreeError(.keyTooLarge, "A key has at most \(TreeLimits.keyByteCount) bytes with its prefixes")
        }
    }

    func enterMutation() async {
        if mutations.tryEnter() { return }
        await withCheckedContinuation { mutations.enqueue($0) }
    }

    // MARK: Single changes

    private func commitPending() async {
        var group: [(change: PendingChange, block: UInt64?)] = []
        var blocks: [[UInt8]] = []
        var byteCount = 0
        do throws(DTreeError) {
            try await ensureHeader()
            synchronize()
            let draft = currentDraft()
            let start = draft.length
            while let change = pending.first, group.count < TreeLimits.groupCount,
                byteCount < TreeLimits.groupByteCount
            {
                // A condition looks at what is stored, so everything before it must be.
                let needsStored = change.condition != nil || options.skipsEqualValues
                if needsStored, !blocks.isEmpty { break }
                pending.removeFirst()
                do throws(DTreeError) {
                    if try await stage(change, in: draft) {
                        let sequence = draft.length - 1
                        let block = draft.takeSingle()
                        byteCount += block.count
                        blocks.append(block)
                        group.append((change, sequence))
                        keepStaged(block, sequence)
                    } else {
                        group.append((change, nil))
                    }
                } catch {
                    change.result = .failure(error)
                }
            }
            if !blocks.isEmpty { try await append(blocks, at: start) }
            draft.settle(in: cache)
            self.draft = draft
            for (change, block) in group { change.result = .success(block) }
        } catch {
            forget()
            for (change, _) in group { change.result = .failure(error) }
            if group.isEmpty {
                // The header could not be written: nobody who waits can do better.
                for change in pending { change.result = .failure(error) }
                pending.removeAll()
            }
        }
    }

    /// Stages one change; says no if nothing has to be written.
    private func stage(_ change: PendingChange, in draft: TreeDraft) async throws(DTreeError) -> Bool {
        guard try await isAllowed(change.key, change.kind, change.condition, in: draft) else { return false }
        let cache = cache
        let view = TreeView(version: database.length, fork: database.fork)
        let deadline = ReadDeadline(ReadOptions(), now: loop.now)
        switch change.kind {
        case .put(let value):
            try await repeating(view, deadline, for: .keysAndNodes) { () throws(TreeStop) in
                try draft.put(change.key, value, in: cache)
            }
            return true
        case .delete:
            let outcome = try await repeating(view, deadline, for: .keysAndNodes) { () throws(TreeStop) in
                try draft.delete(change.key, in: cache)
            }
            switch outcome {
            case .staged: return true
            case .unchanged: return false
            }
        }
    }

    /// Asks the condition of a change, and whether the value differs where that matters; spec 50 sections 4.5 and 4.6.
    private func isAllowed(
        _ key: [UInt8], _ kind: PendingChange.Kind, _ condition: ReplacementCondition?, in draft: TreeDraft
    ) async throws(DTreeError) -> Bool {
        var comparesValue = false
        var newValue: [UInt8]?
        if case .put(let value) = kind {
            comparesValue = options.skipsEqualValues
            newValue = value
        }
        guard condition != nil || comparesValue, let present = try await find(key, in: draft) else { return true }
        if let condition, await !condition(present) { return false }
        return !(comparesValue && present.value == newValue)
    }

    /// The key's entry as a draft sees it.
    func find(_ key: [UInt8], in draft: TreeDraft) async throws(DTreeError) -> DTree.Entry? {
        let cache = cache
        let view = TreeView(version: database.length, fork: database.fork)
        let deadline = ReadDeadline(ReadOptions(), now: loop.now)
        let found = try await repeating(view, deadline, for: .keysAndNodes) { () throws(TreeStop) in
            try draft.find(key, in: cache)
        }
        guard let found else { return nil }
        switch found.value {
        case .staged(let value): return DTree.Entry(sequence: found.sequence, key: key, value: value)
        case .stored: return try await change(at: found.sequence, view, deadline).entry
        }
    }

    /// The draft of the newest version.
    private func currentDraft() -> TreeDraft {
        if let draft, draft.length == database.length { return draft }
        return TreeDraft(length: database.length)
    }

    /// Keeps a block that is about to be appended, so that changes on top of it find it.
    private func keepStaged(_ bytes: [UInt8], _ sequence: UInt64) {
        do throws(TreeFault) {
            cache.insert(try TreeBlock(sequence: sequence, decoding: bytes))
        } catch {
            preconditionFailure("a block that was just encoded can be decoded: \(error)")
        }
    }

    /// Forgets everything that a failed append may have left in memory.
    private func forget() {
        cache.removeAll()
        draft = nil
    }

    /// Appends the header if the log is empty; spec 50 section 2.1.1.
    private func ensureHeader() async throws(DTreeError) {
        if database.length == 0 {
            try await append([TreeHeader(metadata: options.metadata).encoded], at: 0)
        } else {
            try await checkHeader()
        }
    }

    private func append(_ blocks: [[UInt8]], at start: UInt64) async throws(DTreeError) {
        let range: Range<UInt64>
        do throws(DDatabaseError) { range = try await database.append(blocks) } catch { throw DTreeError(error) }
        guard range.lowerBound == start else {
            throw DTreeError(.conflict, "The log was appended to or truncated by something else than its tree")
        }
    }

    // MARK: Batches

    /// Takes the turn for a batch and prepares a draft.
    func beginBatch(_ number: UInt64) async throws(DTreeError) {
        try checkWritable(nil)
        await enterMutation()
        do throws(DTreeError) {
            try await ensureHeader()
        } catch {
            mutations.leave()
            throw error
        }
        synchronize()
        activeBatch = number
        batchDraft = currentDraft()
        // A batch that is given up leaves a draft that nobody can go on with.
        draft = nil
    }

    /// Stages a change of a batch; says no if nothing has to be written.
    func stage(
        _ key: [UInt8], _ kind: PendingChange.Kind, if condition: ReplacementCondition?, batch number: UInt64
    ) async throws(DTreeError) -> Bool {
        try checkWritable(key)
        guard activeBatch == number, let draft = batchDraft else { throw TreeEngine.endedBatch }
        let change = PendingChange(key: key, kind: kind, condition: condition)
        return try await stage(change, in: draft)
    }

    /// The key's entry as a batch sees it.
    func find(_ key: [UInt8], batch number: UInt64) async throws(DTreeError) -> DTree.Entry? {
        guard activeBatch == number, let draft = batchDraft else { throw TreeEngine.endedBatch }
        return try await find(key, in: draft)
    }

    /// Appends what a batch staged, at once, and ends its turn.
    func flush(batch number: UInt64) async throws(DTreeError) -> Range<UInt64> {
        guard activeBatch == number, let draft = batchDraft else { throw TreeEngine.endedBatch }
        defer { abandon(batch: number) }
        let start = draft.baseLength
        let blocks = draft.takeBatch()
        guard !blocks.isEmpty else { return start..<start }
        do throws(DTreeError) {
            try await append(blocks, at: start)
        } catch {
            forget()
            throw error
        }
        draft.settle(in: cache)
        self.draft = draft
        return start..<start + UInt64(blocks.count)
    }

    /// Ends the turn of a batch, whatever it staged.
    func abandon(batch number: UInt64) {
        guard activeBatch == number else { return }
        activeBatch = nil
        batchDraft = nil
        mutations.leave()
    }

    /// The number of changes that a batch staged.
    func stagedCount(batch number: UInt64) -> Int { activeBatch == number ? batchDraft?.stagedCount ?? 0 : 0 }

    static let endedBatch = DTreeError(.closed, "The batch was ended")
}
