import DWebBase
import DWebLogCore
import DWebPorts

// A writer that lost its newest blocks would give their indices to other ones, and fork its log. So it first sees
// whether its readers have them, as it would see any other news.

extension DDatabase {
    /// Whether the store lost its newest writes, and blocks that were appended here may be known to peers only.
    ///
    /// Appending then waits until peers were connected for eight seconds, all of which have told what they have and
    /// none of which has more than is stored here: what they had was fetched meanwhile.
    public nonisolated var isRecovering: Bool { engine.published.isRecovering }

    /// Ends ``isRecovering`` without waiting for peers: for a caller who knows that no block was given to anybody.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func endRecovery() async throws(DDatabaseError) {
        try checkOpen()
        try await engine.endRecovery()
    }
}

/// How a writer makes sure that nobody has more of its log than it has; spec 40 section 12.
enum RecoveryRule {
    static let pollTime: Duration = .milliseconds(250)
    static let lonelyPollTime: Duration = .seconds(5)
    static let pollCount = 32
}

extension LogEngine {
    /// Waits, in a log whose newest blocks may be lost, until peers show that nothing newer exists.
    func waitForRecovery(for session: SessionID) async throws(DDatabaseError) {
        var goodCount = 0
        while hints.recoveringMilliseconds != 0 {
            try checkChangeable()
            let standing = standingOfPeers()
            goodCount = standing == .level ? goodCount + 1 : 0
            if goodCount >= RecoveryRule.pollCount { return try await endRecovery() }
            let time = standing == .alone ? RecoveryRule.lonelyPollTime : RecoveryRule.pollTime
            switch await wait(for: .recovery, deadline: loop.now + time, session) {
            case .failed(let error): throw error
            case .cancelled: throw DDatabaseError(.cancelled, "The task was cancelled")
            case .fulfilled, .block, .unavailable, .deadline: continue
            }
        }
    }

    private enum Standing {
        case alone, level, behind
    }

    /// What peers have, compared with what is stored here.
    private func standingOfPeers() -> Standing {
        if replication.opened.isEmpty { return .alone }
        let isLevel = replication.opened.allSatisfy { id in
            guard let state = replication.machine.peerState(id), state.isSynced else { return false }
            return state.head.fork < tree.fork || state.head.fork == tree.fork && state.head.length <= tree.length
        }
        return isLevel ? .level : .behind
    }

    /// Writes down that nothing newer of the log exists anywhere.
    fileprivate func endRecovery() async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        guard hints.recoveringMilliseconds != 0 else { return }
        var newHints = hints
        newHints.recoveringMilliseconds = 0
        var batch = WriteBatch()
        batch.put(keys.hints, newHints.encoded)
        try await apply(batch)
        // Others may have changed meanwhile.
        hints.recoveringMilliseconds = 0
        writtenHints = newHints
        published.setRecovering(false)
        waits.endAll(.fulfilled) { $0 == .recovery }
    }
}
