import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

/// Blocks that a caller wants appended, and what became of them.
final class PendingAppend {
    /// The blocks; encrypted, where they are to be, only when their indices are known.
    private(set) var blocks: [[UInt8]]
    /// The bytes of the blocks as stored.
    let byteCount: Int
    private let cipher: BlockCipher?
    var result: Result<Range<UInt64>, DDatabaseError>?

    init(blocks: [[UInt8]], cipher: BlockCipher?) {
        self.blocks = blocks
        self.cipher = cipher
        let padding = cipher == nil ? 0 : BlockCipher.paddingByteCount
        byteCount = blocks.reduce(0) { $0 + $1.count + padding }
    }

    /// Gives the blocks the form in which they are stored as the log's blocks from `start` on.
    func seal(from start: UInt64, fork: UInt64) {
        guard let cipher else { return }
        for offset in blocks.indices {
            blocks[offset] = cipher.seal(blocks[offset], index: start + UInt64(offset), fork: fork)
        }
    }
}

extension LogEngine {
    /// How much of what waits to be appended goes into one write.
    private static let groupBlockLimit = 8_192
    private static let groupByteLimit = 8 << 20

    /// Appends blocks; see ``DDatabase/append(_:)-([[UInt8]])``.
    ///
    /// Callers that wait for their turn at the same time are served by one signature and one write.
    func append(_ blocks: [[UInt8]], cipher: BlockCipher? = nil) async throws(DDatabaseError) -> Range<UInt64> {
        try checkChangeable()
        guard isAppendable() else { throw notWritable() }
        try check(blocks, isEncrypted: cipher != nil, after: tree)
        if blocks.isEmpty { return tree.length..<tree.length }
        let append = PendingAppend(blocks: blocks, cipher: cipher)
        pendingAppends.append(append)
        await enterMutation()
        if append.result == nil { await commitAppends() }
        mutations.leave()
        guard let result = append.result else { preconditionFailure("an append in the queue is settled in its turn") }
        return try result.get()
    }

    /// Writes what waits to be appended, from the oldest on, as one batch.
    private func commitAppends() async {
        var group: [PendingAppend] = []
        var blockCount = 0
        var byteCount = 0
        for append in pendingAppends {
            if !group.isEmpty,
                blockCount + append.blocks.count > LogEngine.groupBlockLimit
                    || byteCount + append.byteCount > LogEngine.groupByteLimit
            {
                break
            }
            group.append(append)
            blockCount += append.blocks.count
            byteCount += append.byteCount
        }
        pendingAppends.removeFirst(group.count)
        do throws(DDatabaseError) {
            var start = try await commit(group, blockCount: blockCount)
            for append in group {
                let end = start + UInt64(append.blocks.count)
                append.result = .success(start..<end)
                start = end
            }
        } catch {
            for append in group { append.result = .failure(error) }
        }
    }

    /// Writes a group and returns the index of its first block.
    private func commit(_ group: [PendingAppend], blockCount: Int) async throws(DDatabaseError) -> UInt64 {
        try checkChangeable()
        let start = tree.length
        let range = start..<start + UInt64(blockCount)
        let (byteLength, overflow) = group.reduce((tree.byteLength, false)) {
            let (sum, isOver) = $0.0.addingReportingOverflow(UInt64($1.byteCount))
            return (sum, $0.1 || isOver)
        }
        guard !overflow, byteLength <= LogLimits.treeByteLength, range.upperBound <= LogLimits.length else {
            throw DDatabaseError(.outOfBounds, "The log has reached the largest size that logs may have")
        }
        var newTree = tree
        var created: [TreeNode] = []
        created.reserveCapacity(2 * blockCount + 1)
        for append in group {
            append.seal(from: newTree.length, fork: newTree.fork)
            newTree.append(blocks: append.blocks, collecting: &created)
        }
        try checkPrologue(newTree, created)
        let newSignature = try await sign(newTree)
        // Storage takes ascending keys several times faster than the order in which nodes come into being.
        created.sort { $0.index < $1.index }
        let isContiguous = hints.contiguousLength == start

        // Spec 40 section 14: nodes, head, pages, hints, blocks.
        var batch = WriteBatch()
        let pages = LogEngine.pages(of: range)
        batch.reserve(
            nodeCount: created.count, pageCount: pages.count, blockCount: blockCount,
            byteCount: group.reduce(0) { $0 + $1.byteCount })
        batch.put(created, keys)
        let write = putHead(newTree, newSignature, into: &batch)
        for page in pages { batch.put(page: page, of: present, adding: range, keys) }
        var newHints = hints
        if isContiguous {
            newHints.contiguousLength = range.upperBound
            batch.put(keys.hints, newHints.encoded)
        }
        var index = start
        for append in group {
            for block in append.blocks {
                batch.put(block: block, at: index, keys)
                index += 1
            }
        }
        try await apply(batch)

        tree = newTree
        adopt(write)
        hints = newHints
        if isContiguous { writtenHints = newHints }
        present.set(range, present: true)
        nodes.store(created)
        publishHead()
        replicationDidAppend(range)
        endGrowthWaits()
        return start
    }

    /// Applies a batch; a refusal makes the log refuse all further changes.
    func apply(_ batch: WriteBatch) async throws(DDatabaseError) {
        if isReadOnly { throw DDatabaseError(.notWritable, "The store was opened read-only") }
        do throws(PortError) {
            try await storage.apply(batch, durability: durability)
        } catch {
            throw poison(error)
        }
    }
}

extension WaitList {
    /// Whether a wait for growth is over at this length and fork.
    static func isGrown(_ reason: WaitReason, length: UInt64, fork: UInt64) -> Bool {
        switch reason {
        case .growth(let known, let knownFork): length > known || fork != knownFork
        case .block, .range, .update, .seek, .recovery: false
        }
    }
}
