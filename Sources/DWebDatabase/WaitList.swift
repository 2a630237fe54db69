import DWebBase
import DWebPorts
import OrderedCollections

/// What a waiting caller waits for.
enum WaitReason: Equatable {
    /// A block that is not stored.
    case block(UInt64)
    /// Every block of a range.
    case range(Range<UInt64>, DownloadOrder)
    /// A log longer than this, or another fork than that.
    case growth(length: UInt64, fork: UInt64)
    /// The answer of peers to whether they have something newer.
    case update
    /// The next look at what peers have, or that no more looks are needed.
    case recovery
    /// More tree nodes or blocks, for a byte seek.
    case seek(UInt64, padding: UInt64, window: Range<UInt64>)
}

/// One of the sessions that share an open log.
struct SessionID: Hashable, Sendable {
    /// Counts up from zero per open log.
    let number: UInt64
}

/// How a wait ended.
enum WaitOutcome: Sendable {
    /// What was waited for is there now.
    case fulfilled
    /// The block arrived, with these bytes.
    case block([UInt8])
    /// Peers answered that there is nothing.
    case unavailable
    /// The deadline passed, while a peer that was asked had not answered yet (true) or with nobody asked (false).
    case deadline(isAsked: Bool)
    /// The waiting task was cancelled.
    case cancelled
    /// The log was closed, or refuses to go on for this reason.
    case failed(DDatabaseError)
}

/// The callers of one log that wait for something, in the order they came.
struct WaitList {
    private struct Wait {
        let reason: WaitReason
        let session: SessionID
        let continuation: CheckedContinuation<WaitOutcome, Never>
        let timer: (any LoopTimer)?
    }

    private var waits: OrderedDictionary<UInt64, Wait> = [:]
    private var blockWaits: [UInt64: [UInt64]] = [:]
    private var nextIdentifier: UInt64 = 1

    /// Whether nobody waits.
    var isEmpty: Bool { waits.isEmpty }

    /// A name for the next wait.
    mutating func makeIdentifier() -> UInt64 {
        defer { nextIdentifier += 1 }
        return nextIdentifier
    }

    /// Adds a wait under a name from ``makeIdentifier()``.
    mutating func add(
        _ identifier: UInt64, _ reason: WaitReason, of session: SessionID,
        _ continuation: CheckedContinuation<WaitOutcome, Never>, timer: (any LoopTimer)?
    ) {
        waits[identifier] = Wait(reason: reason, session: session, continuation: continuation, timer: timer)
        if case .block(let index) = reason { blockWaits[index, default: []].append(identifier) }
    }

    /// Ends one wait, if it has not ended yet, and returns its reason.
    @discardableResult
    mutating func end(_ identifier: UInt64, _ outcome: WaitOutcome) -> WaitReason? {
        guard let wait = waits.removeValue(forKey: identifier) else { return nil }
        if case .block(let index) = wait.reason {
            blockWaits[index]?.removeAll { $0 == identifier }
            if blockWaits[index]?.isEmpty == true { blockWaits[index] = nil }
        }
        wait.timer?.cancel()
        wait.continuation.resume(returning: outcome)
        return wait.reason
    }

    /// Whether anybody waits for block `index`.
    func isWaiting(forBlock index: UInt64) -> Bool { blockWaits[index] != nil }

    /// What the wait with this name is for; nil once it has ended.
    func reason(of identifier: UInt64) -> WaitReason? { waits[identifier]?.reason }

    /// The names of a session's waits, in the order they came.
    func identifiers(of session: SessionID) -> [UInt64] {
        waits.elements.compactMap { $0.value.session == session ? $0.key : nil }
    }

    /// Hands a block that arrived to everybody who waits for it.
    mutating func deliver(block index: UInt64, _ bytes: [UInt8]) {
        guard let identifiers = blockWaits[index] else { return }
        for identifier in identifiers { end(identifier, .block(bytes)) }
    }

    /// Ends every wait for block `index`.
    mutating func endBlock(_ index: UInt64, _ outcome: WaitOutcome) {
        guard let identifiers = blockWaits[index] else { return }
        for identifier in identifiers { end(identifier, outcome) }
    }

    /// Ends the waits, other than those for single blocks, whose reason `isOver` accepts.
    mutating func endAll(_ outcome: WaitOutcome, where isOver: (WaitReason) -> Bool) {
        // Almost always there is nothing but waits for blocks, which are counted apart.
        guard waits.count > blockWaits.count else { return }
        for (identifier, wait) in waits {
            if case .block = wait.reason { continue }
            if isOver(wait.reason) { end(identifier, outcome) }
        }
    }

    /// Ends every wait.
    mutating func endEverything(_ outcome: WaitOutcome) {
        for identifier in Array(waits.keys) { end(identifier, outcome) }
    }
}
