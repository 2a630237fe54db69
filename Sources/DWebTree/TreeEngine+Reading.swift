import DWebBase
import DWebDatabase
import DWebPorts

extension TreeEngine {
    /// Repeats a step of an algorithm until every block that it needs is in memory.
    func repeating<Result>(
        _ view: TreeView, _ deadline: ReadDeadline, ahead: (UInt64) -> [UInt64] = { _ in [] },
        asking question: TreeHint? = nil, for use: BlockUse = .anything, _ step: () throws(TreeStop) -> Result
    ) async throws(DTreeError) -> Result {
        var question = question
        for _ in 0..<TreeLimits.loadsPerStep {
            try check(view)
            let missing: UInt64
            do throws(TreeStop) {
                return try step()
            } catch {
                switch error {
                case .missing(let block): missing = block
                case .fault(let fault, let block): throw DTreeError(fault, block: block)
                }
            }
            let others = ahead(missing)
            if others.isEmpty, try loadImmediately(missing, for: use) { continue }
            let asked = lastQuestion
            try await load(missing, ahead: others, deadline, asking: question, for: use)
            // One question for each lookup.
            if lastQuestion != asked { question = nil }
        }
        throw DTreeError(.damaged, "Reading version \(view.version) needs more blocks than any honest tree")
    }

    /// Waits for the first blocks of a log of which nothing is known yet, within the deadline.
    func prepare(_ view: TreeView?, _ options: ReadOptions) async throws(DTreeError) -> TreeView {
        if let view {
            try await checkHeader()
            return view
        }
        if database.length == 0, !database.isWritable, case .wait(let duration) = options.wait {
            try await waitForContent(upTo: duration)
        }
        try await checkHeader()
        return currentView
    }

    private func waitForContent(upTo duration: Duration) async throws(DTreeError) {
        let deadline = loop.now + duration
        while database.length == 0, loop.now < deadline {
            do throws(DDatabaseError) {
                if database.peerCount > 0 {
                    try await database.update(upTo: deadline - loop.now)
                    // Peers were asked: an empty log is empty.
                    return
                }
                _ = try await database.block(at: 0, .wait(upTo: deadline - loop.now))
            } catch {
                if error.code == .blockNotAvailable || error.code == .deadlineExceeded { return }
                throw DTreeError(error)
            }
        }
    }

    // MARK: Lookups

    /// The entry of `key`; nil if the version has none.
    func find(_ key: [UInt8], _ view: TreeView?, _ options: ReadOptions) async throws(DTreeError) -> DTree.Entry? {
        let deadline = ReadDeadline(options, now: loop.now)
        let view = try await prepare(view, options)
        let question = TreeHint(get: TreeHint.Get(version: view.version, key: key))
        let lookup = TreeLookup(key, version: view.version)
        let block = try await repeating(view, deadline, asking: question, for: .keysAndNodes) {
            [cache] () throws(TreeStop) in try lookup.find(in: cache)
        }
        guard let block else { return nil }
        cache.insert(block)
        return try await entry(TreeContent(block), deadline)
    }

    /// A key and value as callers see them. A large value is read again, since memory does not keep it.
    private func entry(_ content: TreeContent, _ deadline: ReadDeadline) async throws(DTreeError) -> DTree.Entry {
        switch content.value {
        case .absent: return DTree.Entry(sequence: content.sequence, key: content.key, value: nil)
        case .present(let value): return DTree.Entry(sequence: content.sequence, key: content.key, value: value)
        case .elided: return try await readEntry(content.sequence, deadline)
        }
    }

    private func readEntry(_ sequence: UInt64, _ deadline: ReadDeadline) async throws(DTreeError) -> DTree.Entry {
        let bytes: [UInt8]
        do throws(DDatabaseError) {
            bytes = try await database.block(at: sequence, deadline.options(now: loop.now))
        } catch {
            throw DTreeError(error)
        }
        do throws(TreeFault) {
            let block = try TreeBlock(sequence: sequence, decoding: bytes)
            // A block that was just read has all of its value.
            let value: [UInt8]? = if case .present(let value) = block.value { value } else { nil }
            return DTree.Entry(sequence: sequence, key: block.key, value: value)
        } catch {
            throw DTreeError(error, block: sequence)
        }
    }

    // MARK: Scans

    /// What one step of a scan gave.
    private enum ScanStep {
        case entry(TreeContent)
        case missing(UInt64)
        case end
    }

    private func step(_ cursor: inout TreeCursor, _ source: ScanSource) throws(DTreeError) -> ScanStep {
        do throws(TreeStop) {
            return if let content = try cursor.next(source) { .entry(content) } else { .end }
        } catch {
            switch error {
            case .missing(let block): return .missing(block)
            case .fault(let fault, let block): throw DTreeError(fault, block: block)
            }
        }
    }

    /// The next entries of a scan: none only at the end; fewer than asked where waiting would be needed.
    ///
    /// - Parameters:
    ///   - ahead: What was read ahead for this scan.
    ///   - horizon: How many stored blocks may be read at once, in the hope that the scan goes on so far.
    func scan(
        _ cursor: TreeCursor, _ view: TreeView, _ ahead: ScanAhead, limit: Int, horizon: Int, _ options: ReadOptions
    ) async throws(DTreeError) -> (cursor: TreeCursor, entries: [DTree.Entry]) {
        var cursor = cursor
        let source = ScanSource(cache: cache, ahead: ahead)
        let deadline = ReadDeadline(options, now: loop.now)
        var entries: [DTree.Entry] = []
        entries.reserveCapacity(limit)
        var byteCount = 0
        var loadCount = 0
        try check(view)
        while entries.count < limit, byteCount < TreeLimits.scanByteCount {
            switch try step(&cursor, source) {
            case .end:
                ahead.keep([])
                return (cursor, entries)
            case .entry(let content):
                loadCount = 0
                let entry = try await entry(content, deadline)
                byteCount += entry.byteCount
                entries.append(entry)
            case .missing(let block):
                loadCount += 1
                guard loadCount < TreeLimits.loadsPerStep else {
                    throw DTreeError(.damaged, "Reading version \(view.version) needs more blocks than an honest tree")
                }
                if try await has(block) {
                    try await loadAhead(of: cursor, block, source, horizon: horizon, deadline)
                } else if entries.isEmpty {
                    let missing = cursor.missingAhead(source, limit: min(TreeLimits.aheadCount, 2 * limit))
                    // A short scan needs no help beyond what it asks for itself.
                    let question = limit >= TreeLimits.hintScanEntryCount ? cursor.question() : nil
                    let others = missing.keys + missing.nodes.map(\.block)
                    try await load(block, ahead: others, deadline, asking: question)
                } else {
                    return (cursor, entries)
                }
                try check(view)
            }
        }
        return (cursor, entries)
    }

    /// Brings the stored block `block` into memory, with those that the scan needs next.
    ///
    /// Keys lie together in the tree and anywhere in the log: in the order of the log many are read much faster than one
    /// after the other. The more are read at once, the less often the same part of the medium is read.
    private func loadAhead(
        of cursor: TreeCursor, _ block: UInt64, _ source: ScanSource, horizon: Int, _ deadline: ReadDeadline
    ) async throws(DTreeError) {
        let byteCount = averageAheadByteCount + ByteMap.recordByteCount
        let count = min(horizon, max(1, TreeLimits.scanHorizonByteCount / byteCount))
        // The leaves that are found missing now name the keys of the next time: all of them must fit.
        let missing = cursor.missingAhead(
            source, limit: count, nodeLimit: max(TreeLimits.keyCount, count / TreeLimits.keyCount), steps: 4 * count)
        source.ahead.keep(missing.held)
        try await load(block, ahead: missing.keys, nodes: missing.nodes, deadline, for: .scan(source.ahead))
    }

    /// Whether a block is stored here.
    private func has(_ block: UInt64) async throws(DTreeError) -> Bool {
        do throws(DDatabaseError) { return try await database.has(block) } catch { throw DTreeError(error) }
    }

    // MARK: Differences

    /// The next keys in which two versions differ: none only at the end.
    func compare(
        _ difference: TreeDifference, _ view: TreeView, limit: Int, _ options: ReadOptions
    ) async throws(DTreeError) -> (difference: TreeDifference, steps: [DTree.Difference]) {
        var difference = difference
        let deadline = ReadDeadline(options, now: loop.now)
        var steps: [DTree.Difference] = []
        var byteCount = 0
        while steps.count < limit, byteCount < TreeLimits.scanByteCount {
            // The walk is copied out and in: a step that stops in the middle leaves it where it was.
            let walk = Walk(difference)
            let step = try await repeating(view, deadline, ahead: { _ in walk.value.wanted }) {
                [cache] () throws(TreeStop) in try walk.value.next(cache)
            }
            difference = walk.value
            guard let step else { break }
            var result = DTree.Difference(left: nil, right: nil)
            if let left = step.left { result.left = try await entry(TreeContent(left), deadline) }
            if let right = step.right { result.right = try await entry(TreeContent(right), deadline) }
            for entry in [result.left, result.right] { byteCount += entry?.byteCount ?? 0 }
            steps.append(result)
        }
        return (difference, steps)
    }

    /// A walk that a closure can move on.
    private final class Walk {
        var value: TreeDifference
        init(_ value: TreeDifference) { self.value = value }
    }

    // MARK: History

    /// Changes in a row, in the order of `sequences`; at least one unless `sequences` is empty.
    func changes(
        at sequences: Range<UInt64>, isReversed: Bool, _ view: TreeView, _ options: ReadOptions
    ) async throws(DTreeError) -> [DTree.Change] {
        let deadline = ReadDeadline(options, now: loop.now)
        var changes: [DTree.Change] = []
        let order = isReversed ? Array(sequences.reversed()) : Array(sequences)
        var byteCount = 0
        for sequence in order {
            if !changes.isEmpty {
                guard byteCount < TreeLimits.scanByteCount else { break }
                if !cache.contains(sequence), try await !has(sequence) { break }
            }
            let change = try await change(at: sequence, ahead: order, view, deadline)
            byteCount += change.entry.byteCount
            changes.append(change)
        }
        return changes
    }

    /// The change that a block records.
    func change(
        at sequence: UInt64, ahead: [UInt64] = [], _ view: TreeView, _ deadline: ReadDeadline
    ) async throws(DTreeError) -> DTree.Change {
        let cache = cache
        let others = { (_: UInt64) in ahead.filter { !cache.contains($0) } }
        let (block, isDeletion) = try await repeating(view, deadline, ahead: others) {
            () throws(TreeStop) -> (TreeBlock, Bool) in
            let block = try cache.block(sequence)
            do throws(TreeFault) {
                return (block, try block.isDeletion())
            } catch {
                throw .fault(error, block: sequence)
            }
        }
        return DTree.Change(isDeletion: isDeletion, entry: try await entry(TreeContent(block), deadline))
    }

    /// The header; nil if nothing was ever written.
    func header(_ options: ReadOptions) async throws(DTreeError) -> TreeHeader? {
        _ = try await prepare(nil, options)
        guard database.length > 0 else { return nil }
        let bytes: [UInt8]
        do throws(DDatabaseError) { bytes = try await database.block(at: 0, options) } catch { throw DTreeError(error) }
        do throws(TreeFault) { return try TreeHeader(decoding: bytes) } catch { throw DTreeError(error, block: 0) }
    }

    /// Answers to a peer's question from what is in memory and stored here.
    func answers(to hint: TreeHint) async -> [TreeHint] {
        // A bounded number of rounds: every round brings one more block of the walk into memory.
        for _ in 0..<TreeLimits.hintAnswerBlockCount {
            let missing = Missing()
            let answers = TreeHint.answers(
                to: hint, length: max(1, database.length), in: NotingSource(cache: cache, missing: missing))
            guard let block = missing.block else { return answers }
            do throws(DTreeError) {
                guard try await has(block) else { return answers }
                try await load(block, ReadDeadline(.localOnly, now: loop.now))
            } catch {
                return answers
            }
        }
        return []
    }

    private final class Missing { var block: UInt64? }

    /// Notes the block at which a walk stopped.
    private struct NotingSource: TreeSource {
        let cache: TreeCache
        let missing: Missing

        func key(_ sequence: UInt64) throws(TreeStop) -> [UInt8] {
            try noting { () throws(TreeStop) in try cache.key(sequence) }
        }

        func node(_ pointer: TreePointer) throws(TreeStop) -> TreeNode {
            try noting { () throws(TreeStop) in try cache.node(pointer) }
        }

        func block(_ sequence: UInt64) throws(TreeStop) -> TreeBlock {
            try noting { () throws(TreeStop) in try cache.block(sequence) }
        }

        private func noting<Result>(_ body: () throws(TreeStop) -> Result) throws(TreeStop) -> Result {
            do throws(TreeStop) {
                return try body()
            } catch {
                if case .missing(let block) = error { missing.block = block }
                throw error
            }
        }
    }
}

extension DTree.Entry {
    /// The bytes of key and value.
    fileprivate var byteCount: Int { key.count + (value?.count ?? 0) }
}
