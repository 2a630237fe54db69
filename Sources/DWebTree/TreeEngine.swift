import DWebBase
import DWebDatabase
import DWebPorts
import DequeModule

/// A version of a tree: what a read sees.
struct TreeView: Sendable, Equatable {
    /// The version: the length of the log at which it ended.
    let version: UInt64
    /// The history it belongs to.
    let fork: UInt64
}

/// What all views of one tree share: the log, decoded blocks, and the turn to write.
///
/// Map of the extensions: `Reading` (lookups, scans, history), `Writing` (changes and batches).
package actor TreeEngine {
    nonisolated let database: DDatabase
    nonisolated let loop: any RuntimeLoop
    nonisolated let options: DTree.Options
    let cache = TreeCache()
    /// The history that the cache and the draft belong to.
    private var cacheFork: UInt64
    private var isHeaderChecked = false

    var mutations = MutationQueue()
    var pending: Deque<PendingChange> = []
    /// The touched part of the newest version, kept between single changes.
    var draft: TreeDraft?
    /// The batch that has the turn.
    var activeBatch: UInt64?
    var batchDraft: TreeDraft?
    private var nextBatch: UInt64 = 1
    /// What blocks that were read together took on the average, lately.
    private var averageReadByteCount = 256
    /// What keys and values that a scan read ahead took on the average, lately.
    private(set) var averageAheadByteCount = 128
    /// When peers were asked for hints last.
    var lastQuestion: MonotonicTime?
    /// Blocks that are being fetched because peers named them.
    var hintedCount = 0

    init(database: DDatabase, runtime: DWebRuntime, options: DTree.Options) {
        self.database = database
        self.options = options
        loop = runtime.loop
        cacheFork = database.fork
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { database.unownedExecutor }

    /// The newest version.
    nonisolated var currentView: TreeView {
        let head = database.head
        return TreeView(version: max(1, head.length), fork: head.fork)
    }

    /// A name for the next batch.
    func makeBatchNumber() -> UInt64 {
        defer { nextBatch += 1 }
        return nextBatch
    }

    // MARK: State

    /// Forgets what belongs to a history that ended.
    func synchronize() {
        let fork = database.fork
        guard fork != cacheFork else { return }
        cacheFork = fork
        cache.removeAll()
        draft = nil
        isHeaderChecked = false
    }

    /// Refuses if blocks of the view were truncated.
    func check(_ view: TreeView) throws(DTreeError) {
        synchronize()
        guard view.fork != cacheFork else { return }
        let kept = database.engine.published.compatibleLength(withFork: view.fork, length: view.version)
        guard kept >= view.version || view.version < 2 else {
            throw DTreeError(
                .snapshotNotAvailable, "Version \(view.version) was truncated: \(kept) blocks of it are left")
        }
    }

    /// Makes sure once, as soon as the first block is here, that the log is a tree.
    func checkHeader() async throws(DTreeError) {
        guard !isHeaderChecked, database.length > 0 else { return }
        let bytes: [UInt8]
        do throws(DDatabaseError) {
            guard try await database.has(0) else { return }
            bytes = try await database.block(at: 0, .localOnly)
        } catch {
            throw DTreeError(error)
        }
        do throws(TreeFault) {
            _ = try TreeHeader(decoding: bytes)
        } catch {
            throw DTreeError(error, block: 0)
        }
        isHeaderChecked = true
    }

    // MARK: Loading

    /// Brings a block into memory if that takes no wait, and says whether it did.
    func loadImmediately(_ sequence: UInt64, for use: BlockUse) throws(DTreeError) -> Bool {
        let result = database.assumeIsolated { database in
            Result { () throws(DDatabaseError) in try database.storedBlockImmediately(at: sequence) }
        }
        let bytes: [UInt8]?
        do throws(DDatabaseError) { bytes = try result.get() } catch { throw DTreeError(error) }
        guard let bytes else { return false }
        try keep(bytes, sequence, of: cacheFork, needed: sequence, for: use)
        return true
    }

    /// Brings a block into memory, and others that are missing as well. Where a peer has to give it, peers are told of
    /// the question behind it first.
    ///
    /// - Parameters:
    ///   - ahead: Other blocks that are worth having.
    ///   - nodes: Nodes that are worth having, with their blocks.
    func load(
        _ sequence: UInt64, ahead: [UInt64] = [], nodes: [TreePointer] = [], _ deadline: ReadDeadline,
        asking question: TreeHint? = nil, for use: BlockUse = .anything
    ) async throws(DTreeError) {
        let fork = cacheFork
        if ahead.isEmpty, nodes.isEmpty, let bytes = try await stored(sequence) {
            try keep(bytes, sequence, of: fork, needed: sequence, for: use)
            return
        }
        let sequences = TreeEngine.ascending(ahead + nodes.map(\.block) + [sequence])
        var nodes = nodes.sorted { ($0.block, $0.offset) < ($1.block, $1.offset) }[...]
        var absent: [UInt64] = []
        var needed: [UInt8]?
        var rest = sequences[...]
        var budget = TreeLimits.aheadReadByteLimit
        while !rest.isEmpty, budget > 0, use.hasRoom {
            let count = min(TreeLimits.readCount, max(16, TreeLimits.readByteCount / averageReadByteCount))
            let blocks = try await stored(rest.prefix(count))
            budget -= noteRead(blocks)
            var (keptCount, keptByteCount) = (0, 0)
            for (block, bytes) in zip(rest, blocks) {
                let wanted = nodes.prefix { $0.block == block }
                nodes.removeFirst(wanted.count)
                guard let bytes else {
                    absent.append(block)
                    continue
                }
                if block == sequence { needed = bytes }
                keptByteCount += try keep(bytes, block, of: fork, needed: sequence, nodes: wanted, for: use)
                keptCount += 1
            }
            if keptByteCount > 0 {
                averageAheadByteCount = (averageAheadByteCount + keptByteCount / keptCount + 1) / 2
            }
            rest = rest.dropFirst(blocks.count)
        }
        if needed == nil, rest.contains(sequence) { needed = try await stored(sequence) }
        if let needed {
            // The last one that is added stays in any case.
            try keep(needed, sequence, of: fork, needed: sequence, for: use)
        } else {
            if let question, deadline.moment != nil { await ask(question) }
            try await fetch(sequence, others: absent.filter { $0 != sequence }, of: fork, deadline, for: use)
        }
    }

    private func stored(_ sequences: ArraySlice<UInt64>) async throws(DTreeError) -> [[UInt8]?] {
        do throws(DDatabaseError) {
            return try await database.storedBlocks(at: Array(sequences), byteLimit: TreeLimits.readByteLimit)
        } catch {
            throw DTreeError(error)
        }
    }

    /// Takes note of how large blocks are, and returns their bytes.
    private func noteRead(_ blocks: [[UInt8]?]) -> Int {
        var (count, byteCount) = (0, 0)
        for case .some(let bytes) in blocks { (count, byteCount) = (count + 1, byteCount + bytes.count) }
        guard count > 0 else { return 0 }
        averageReadByteCount = max(64, (averageReadByteCount + byteCount / count) / 2)
        return byteCount
    }

    /// Each of `sequences` once, in ascending order.
    private static func ascending(_ sequences: [UInt64]) -> [UInt64] {
        var result: [UInt64] = []
        result.reserveCapacity(sequences.count)
        for sequence in sequences.sorted() where sequence != result.last { result.append(sequence) }
        return result
    }

    /// A block if it is stored here.
    private func stored(_ sequence: UInt64) async throws(DTreeError) -> [UInt8]? {
        guard database.length > sequence else { return nil }
        do throws(DDatabaseError) {
            return try await database.block(at: sequence, .localOnly)
        } catch {
            if error.code == .blockNotAvailable || error.code == .outOfBounds { return nil }
            throw DTreeError(error)
        }
    }

    /// Asks peers for blocks, all at once.
    private func fetch(
        _ sequence: UInt64, others: [UInt64], of fork: UInt64, _ deadline: ReadDeadline, for use: BlockUse
    ) async throws(DTreeError) {
        let (database, loop) = (database, loop)
        typealias Answer = (block: UInt64, result: Result<[UInt8], DDatabaseError>)
        let answer = await withTaskGroup(of: Answer.self, returning: Result<[UInt8], DDatabaseError>?.self) { group in
            for block in others + [sequence] {
                group.addTask(executorPreference: loop) {
                    do throws(DDatabaseError) {
                        return (block, .success(try await database.block(at: block, deadline.options(now: loop.now))))
                    } catch {
                        return (block, .failure(error))
                    }
                }
            }
            var needed: Result<[UInt8], DDatabaseError>?
            for await answer in group {
                if answer.block == sequence {
                    needed = answer.result
                } else if case .success(let bytes) = answer.result {
                    // As they come, so that what memory does not keep of large blocks is gone at once.
                    _ = try? keep(bytes, answer.block, of: fork, needed: sequence, for: use)
                }
            }
            return needed
        }
        guard let answer else { preconditionFailure("every block that was asked for has an answer") }
        let needed: [UInt8]
        do throws(DDatabaseError) {
            needed = try answer.get()
        } catch {
            throw DTreeError(error)
        }
        // The last one that is added stays in any case.
        try keep(needed, sequence, of: fork, needed: sequence, for: use)
    }

    /// Adds a block that was read, unless its history ended meanwhile, and `nodes` of it. What is wrong with a block
    /// that is not needed yet is told once it is.
    ///
    /// - Returns: The bytes that key and value of a block that was read ahead take in memory.
    @discardableResult
    private func keep(
        _ bytes: [UInt8], _ sequence: UInt64, of fork: UInt64, needed: UInt64, nodes: ArraySlice<TreePointer> = [],
        for use: BlockUse
    ) throws(DTreeError) -> Int {
        guard database.fork == fork, cacheFork == fork else { return 0 }
        do throws(TreeFault) {
            let block = try TreeBlock(sequence: sequence, decoding: bytes)
            for pointer in nodes {
                if let node = try? block.node(at: pointer.offset) { cache.insert(node, at: pointer) }
            }
            switch use {
            case .anything: cache.insert(block)
            case .keysAndNodes: cache.insertBriefly(block)
            case .scan(let ahead):
                if sequence == needed { cache.insertBriefly(block) }
                return ahead.insert(block)
            }
        } catch {
            if sequence == needed { throw DTreeError(error, block: sequence) }
        }
        return 0
    }

    /// Groups indices into runs without gaps, ascending.
    static func runs(of sequences: [UInt64]) -> [Range<UInt64>] {
        if sequences.count == 1 { return [sequences[0]..<sequences[0] + 1] }
        var runs: [Range<UInt64>] = []
        for sequence in sequences.sorted() {
            if let last = runs.last, last.upperBound == sequence {
                runs[runs.count - 1] = last.lowerBound..<sequence + 1
            } else if runs.last?.contains(sequence) != true {
                runs.append(sequence..<sequence + 1)
            }
        }
        return runs
    }
}

/// What a block is brought into memory for, which decides where memory keeps it.
enum BlockUse {
    /// Its value may be asked for again.
    case anything
    /// Its key and nodes, which memory keeps apart, for a walk that has no use for its value.
    case keysAndNodes
    /// A scan, which comes to it once, with what it has read ahead.
    case scan(ScanAhead)
}

extension BlockUse {
    /// Whether memory has room for what is read ahead.
    fileprivate var hasRoom: Bool {
        if case .scan(let ahead) = self { !ahead.isFull } else { true }
    }
}

/// Until when a read may wait for peers; nil for a read that must not.
struct ReadDeadline: Sendable {
    let moment: MonotonicTime?

    init(_ options: ReadOptions, now: MonotonicTime) {
        switch options.wait {
        case .localOnly: moment = nil
        case .wait(let duration): moment = now + duration
        }
    }

    /// What remains of the time.
    func options(now: MonotonicTime) -> ReadOptions {
        guard let moment else { return .localOnly }
        return .wait(upTo: max(.zero, moment - now))
    }
}

extension TreeEngine {
    /// Whether a block is held in memory.
    package func isInMemory(_ sequence: UInt64) -> Bool { cache.containsKey(sequence) }
}
