import DWebBase
import DWebLogCore
import DWebPorts

extension LogEngine {
    /// The bytes of a block; see ``DDatabase/block(at:_:)``.
    func block(at index: UInt64, _ options: ReadOptions, for session: SessionID) async throws(DDatabaseError) -> [UInt8]
    {
        try checkAlive()
        if let block = try await storedBlock(index) { return block }
        switch isReadOnly ? .localOnly : options.wait {
        case .localOnly:
            guard index < tree.length else {
                throw DDatabaseError(.outOfBounds, "The log has \(tree.length) blocks, there is no block \(index) yet")
            }
            throw DDatabaseError(.blockNotAvailable, "Block \(index) is not stored here")
        case .wait(let duration):
            return try await remoteBlock(index, deadline: loop.now + duration, for: session)
        }
    }

    /// The bytes of several blocks, in order; missing ones are asked for all at once.
    func blocks(
        at range: Range<UInt64>, _ options: ReadOptions, for session: SessionID
    ) async throws(DDatabaseError) -> [[UInt8]] {
        try checkAlive()
        guard range.count <= LogEngine.blocksPerRead else {
            throw DDatabaseError(.outOfBounds, "At most \(LogEngine.blocksPerRead) blocks can be read at once")
        }
        if try has(range), let blocks = try await storedBlocks(range) { return blocks }
        let deadline: MonotonicTime? =
            switch isReadOnly ? .localOnly : options.wait {
            case .localOnly: nil
            case .wait(let duration): loop.now + duration
            }
        if let deadline { try await download(range, deadline: deadline, for: session) }
        var blocks: [[UInt8]] = []
        blocks.reserveCapacity(range.count)
        for index in range {
            let remaining = deadline.map { ReadOptions.wait(upTo: max(.zero, $0 - loop.now)) } ?? .localOnly
            blocks.append(try await block(at: index, remaining, for: session))
        }
        return blocks
    }

    /// How often a download that was complete may turn out to be incomplete.
    private static let downloadAttemptLimit = 16

    /// The most blocks that one call returns.
    static let blocksPerRead = 65_536

    /// The next blocks for a sequence: what is stored in a row from `start` on, or the first one once it arrives.
    func readAhead(
        from start: UInt64, to end: UInt64, _ options: ReadOptions, for session: SessionID
    ) async throws(DDatabaseError) -> [[UInt8]] {
        try checkAlive()
        let storedEnd = min(tree.length, present.firstAbsent(in: start..<end) ?? end)
        if storedEnd > start, let blocks = try await storedBlocks(start..<storedEnd) { return blocks }
        return [try await block(at: start, options, for: session)]
    }

    /// Whether every block of `range` is stored.
    func has(_ range: Range<UInt64>) throws(DDatabaseError) -> Bool {
        try checkAlive()
        return range.upperBound <= tree.length && present.firstAbsent(in: range) == nil
    }

    /// A stored block; nil if it is not stored.
    private func storedBlock(_ index: UInt64) async throws(DDatabaseError) -> [UInt8]? {
        guard present.contains(index) else { return nil }
        if let bytes = try blockReadAhead(index) { return bytes }
        if let bytes = try await read(keys.block(index)) { return bytes }
        // The read may have waited, and the block may have been cleared meanwhile.
        guard present.contains(index) else { return nil }
        throw DDatabaseError(.storage, "Block \(index) of the log \(key) is marked as stored but missing")
    }

    /// A stored block that was read ahead, or is read now together with those after it; nil if a single read is better.
    private func blockReadAhead(_ index: UInt64) throws(DDatabaseError) -> [UInt8]? {
        if let bytes = reading.block(index, cutCount: nodes.cutCount) { return bytes }
        let count = reading.blockCount(from: index, cutCount: nodes.cutCount)
        guard count > 1, tree.byteLength / ReadingWindow.blockByteCount <= tree.length else { return nil }
        let most = min(tree.length, index + UInt64(count))
        let range = index..<(present.firstAbsent(in: index..<most) ?? most)
        let span = keys.blocks(range)
        let entries: [KeyValueEntry]?
        do throws(PortError) {
            entries = try storage.entriesImmediately(
                from: span.start, to: span.end, limit: range.count, byteLimit: ReadingWindow.byteCount)
        } catch {
            throw DDatabaseError(storage: error)
        }
        // Keys are in order and none comes twice: with the first and the last in their places, all are.
        guard let entries, entries.count > 1, entries[0].key == span.start,
            entries[entries.count - 1].key == keys.block(index + UInt64(entries.count) - 1)
        else { return nil }
        reading.fill(entries.map(\.value), from: index, cutCount: nodes.cutCount)
        return entries[0].value
    }

    /// A stored block that can be had without waiting, otherwise nil.
    func storedBlockImmediately(_ index: UInt64) throws(DDatabaseError) -> [UInt8]? {
        try checkAlive()
        guard present.contains(index), case .value(let bytes) = try immediately(keys.block(index)) else { return nil }
        return bytes
    }

    /// Stored blocks in a row; nil if one is not stored (any more).
    private func storedBlocks(_ range: Range<UInt64>) async throws(DDatabaseError) -> [[UInt8]]? {
        var blocks: [[UInt8]] = []
        blocks.reserveCapacity(range.count)
        for index in range {
            switch try immediately(keys.block(index)) {
            case .value(let bytes): blocks.append(bytes)
            case .absent: return nil
            case .wouldWait: return try await scannedBlocks(range)
            }
        }
        return blocks
    }

    /// Blocks here and there, nil for those that are not stored: the first of `indices`, as
    /// ``KeyValueStore/read(_:byteLimit:)`` gives them. All that memory does not have is read in one visit to the
    /// medium, cheapest in ascending order.
    func storedBlocks(at indices: [UInt64], byteLimit: Int) async throws(DDatabaseError) -> [[UInt8]?] {
        try checkAlive()
        let fork = tree.fork
        var blocks: [[UInt8]?] = []
        blocks.reserveCapacity(indices.count)
        var waiting: [Int] = []
        var byteCount = 0
        for (position, index) in indices.enumerated() {
            guard position == 0 || byteCount < byteLimit else { break }
            blocks.append(nil)
            guard present.contains(index) else { continue }
            // Many reads are work that another thread can do.
            guard indices.count <= LogEngine.immediateReadCount else {
                waiting.append(position)
                continue
            }
            switch try immediately(keys.block(index)) {
            case .value(let bytes):
                blocks[position] = bytes
                byteCount += bytes.count
            case .absent: continue
            case .wouldWait: waiting.append(position)
            }
        }
        guard !waiting.isEmpty else { return blocks }
        do throws(PortError) {
            let values = try await storage.read(
                waiting.map { keys.block(indices[$0]) }, byteLimit: max(1, byteLimit - byteCount))
            guard fork == tree.fork else { return [[UInt8]?](repeating: nil, count: blocks.count) }
            for (position, value) in zip(waiting, values) { blocks[position] = value }
            if values.count < waiting.count { blocks.removeSubrange(waiting[values.count]...) }
            return blocks
        } catch {
            throw DDatabaseError(storage: error)
        }
    }

    /// So many blocks are looked for in memory before the medium is asked.
    private static let immediateReadCount = 16

    /// Stored blocks in a row by one ordered scan, which is much cheaper than single reads of a cold medium.
    private func scannedBlocks(_ range: Range<UInt64>) async throws(DDatabaseError) -> [[UInt8]]? {
        let span = keys.blocks(range)
        let fork = tree.fork
        do throws(PortError) {
            let entries = try await storage.entries(
                from: span.start, to: span.end, limit: range.count, isReversed: false)
            return entries.count == range.count && fork == tree.fork ? entries.map(\.value) : nil
        } catch {
            throw DDatabaseError(storage: error)
        }
    }

    /// A value that can be had without waiting.
    func immediately(_ key: [UInt8]) throws(DDatabaseError) -> ImmediateRead {
        do throws(PortError) { return try storage.readImmediately(key) } catch { throw DDatabaseError(storage: error) }
    }

    /// A value of the storage, from memory if possible.
    func read(_ key: [UInt8]) async throws(DDatabaseError) -> [UInt8]? {
        switch try immediately(key) {
        case .value(let bytes): return bytes
        case .absent: return nil
        case .wouldWait:
            do throws(PortError) {
                return try await storage.read([key])[0]
            } catch {
                throw DDatabaseError(storage: error)
            }
        }
    }

    /// Calls `body` until no node that it needs is left to load from the medium.
    func repeatingLoads<Result>(
        _ body: () throws(ProofError) -> Result
    ) async throws(DDatabaseError) -> Result {
        while true {
            let missing: [UInt64]
            do throws(ProofError) {
                return try body()
            } catch {
                guard case .notLoaded(let indices) = error else {
                    if let failure = nodes.failure { throw DDatabaseError(storage: failure) }
                    throw DDatabaseError(.storage, "Tree nodes of the log \(key) are missing (\(error))")
                }
                missing = indices
            }
            do throws(PortError) { try await nodes.load(missing) } catch { throw DDatabaseError(storage: error) }
        }
    }

    // MARK: Waiting for peers

    /// A block that is not stored: asks peers and waits.
    private func remoteBlock(
        _ index: UInt64, deadline: MonotonicTime, for session: SessionID
    ) async throws(DDatabaseError) -> [UInt8] {
        while true {
            switch await wait(for: .block(index), deadline: deadline, session) {
            case .block(let bytes): return bytes
            case .fulfilled:
                if let block = try await storedBlock(index) { return block }
            case .failed(let error): throw error
            case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
            case .deadline(isAsked: true):
                throw DDatabaseError(
                    .deadlineExceeded, "A peer was asked for block \(index) but did not answer in time")
            case .deadline(isAsked: false), .unavailable: throw unavailable(index)
            }
        }
    }

    /// Why a block did not come in time.
    private func unavailable(_ index: UInt64) -> DDatabaseError {
        if published.peerCount == 0 {
            return DDatabaseError(.noPeers, "Block \(index) is not stored here, and there are no peers to ask")
        }
        if index >= tree.length {
            return DDatabaseError(
                .blockNotAvailable, "The log has \(tree.length) blocks, and no connected peer has block \(index)")
        }
        return DDatabaseError(.blockNotAvailable, "No connected peer gave block \(index) in time")
    }

    /// The block that contains a byte; see ``DDatabase/seek(toByte:_:)``.
    func seek(
        toByte byteOffset: UInt64, padding: UInt64 = 0, _ options: ReadOptions, for session: SessionID
    ) async throws(DDatabaseError) -> BytePosition {
        try checkAlive()
        try checkTree()
        let start = loop.now
        var hasUpdated = false
        while true {
            let result = try await repeatingLoads { [tree, nodes] () throws(ProofError) in
                try tree.seek(bytes: byteOffset, padding: padding, source: nodes)
            }
            switch result {
            case .found(let blockIndex, let offset):
                return BytePosition(blockIndex: blockIndex, byteOffset: offset)
            case .beyondEnd:
                // Peers may know a longer log.
                if case .wait(let duration) = options.wait, !hasUpdated, !isReadOnly {
                    hasUpdated = true
                    if try await update(upTo: max(.zero, start + duration - loop.now), for: session) { continue }
                }
                throw DDatabaseError(.outOfBounds, "The log has fewer than \(byteOffset) bytes")
            case .within(let window):
                guard case .wait(let duration) = options.wait, !isReadOnly else {
                    throw DDatabaseError(.blockNotAvailable, "The tree above byte \(byteOffset) is not stored here")
                }
                switch await wait(
                    for: .seek(byteOffset, padding: padding, window: window), deadline: start + duration, session)
                {
                case .fulfilled, .block, .unavailable: continue
                case .failed(let error): throw error
                case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
                case .deadline: throw unavailableSeek(byteOffset)
                }
            }
        }
    }

    private func unavailableSeek(_ byteOffset: UInt64) -> DDatabaseError {
        published.peerCount == 0
            ? DDatabaseError(.noPeers, "Byte \(byteOffset) cannot be located: there are no peers to ask")
            : DDatabaseError(.blockNotAvailable, "No connected peer helped to locate byte \(byteOffset) in time")
    }

    /// Downloads what is missing of `range`; see ``DDatabase/download(_:)-(Range<UInt64>)``.
    func download(
        _ range: Range<UInt64>, _ order: DownloadOrder = .linear, deadline: MonotonicTime? = nil,
        for session: SessionID
    ) async throws(DDatabaseError) {
        try checkAlive()
        guard !range.isEmpty else { return }
        if isReadOnly, try !has(range) {
            throw DDatabaseError(.notWritable, "A store that was opened read-only downloads nothing")
        }
        var attemptCount = 0
        while true {
            if try has(range) { return }
            switch await wait(for: .range(range, order), deadline: deadline, session) {
            case .fulfilled, .block, .unavailable:
                // Blocks may be cleared or truncated at once, but not every time.
                attemptCount += 1
                guard attemptCount < LogEngine.downloadAttemptLimit else {
                    throw DDatabaseError(.blockNotAvailable, "Blocks of the range disappear as they arrive")
                }
            case .failed(let error): throw error
            case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
            case .deadline: return
            }
        }
    }

    /// Asks peers for a longer log; see ``DDatabase/update(upTo:)``.
    func update(upTo duration: Duration, for session: SessionID) async throws(DDatabaseError) -> Bool {
        try checkAlive()
        let (length, fork) = (tree.length, tree.fork)
        switch await wait(for: .update, deadline: loop.now + duration, session) {
        case .failed(let error): throw error
        case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
        case .fulfilled, .block, .unavailable, .deadline: return tree.length != length || tree.fork != fork
        }
    }

    /// Waits until the log is longer than `length` or has another fork.
    func waitForGrowth(
        beyond length: UInt64, fork: UInt64, for session: SessionID
    ) async throws(DDatabaseError) {
        try checkAlive()
        if tree.length > length || tree.fork != fork { return }
        switch await wait(for: .growth(length: length, fork: fork), deadline: nil, session) {
        case .failed(let error): throw error
        case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
        case .fulfilled, .block, .unavailable, .deadline: return
        }
    }

    /// Suspends until what `reason` says happens, and tells peers about the interest.
    func wait(for reason: WaitReason, deadline: MonotonicTime?, _ session: SessionID) async -> WaitOutcome {
        if let conflict { return .failed(conflict) }
        let identifier = waits.makeIdentifier()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let timer = deadline.map { deadline in
                    loop.schedule(at: deadline) { [weak self] in
                        self?.assumeIsolated { $0.passDeadline(identifier) }
                    }
                }
                waits.add(identifier, reason, of: session, continuation, timer: timer)
                startInterest(identifier, reason)
            }
        } onCancel: {
            loop.execute { [weak self] in self?.assumeIsolated { $0.endWait(identifier, .cancelled) } }
        }
    }

    /// Ends a wait whose time is over.
    private func passDeadline(_ identifier: UInt64) {
        let isAsked =
            if case .block(let index) = waits.reason(of: identifier) {
                replication.machine.isRequested(index)
            } else {
                false
            }
        endWait(identifier, .deadline(isAsked: isAsked))
    }

    /// Ends everything that the callers of one session wait for.
    func endWaits(of session: SessionID) {
        for identifier in waits.identifiers(of: session) {
            endWait(identifier, .failed(DDatabaseError(.closed, "This session of the log was closed")))
        }
    }

    /// Ends a wait that was not fulfilled and withdraws its interest.
    private func endWait(_ identifier: UInt64, _ outcome: WaitOutcome) {
        guard let reason = waits.end(identifier, outcome) else { return }
        endInterest(identifier, reason)
    }
}
