import DWebLogCore
import DWebPorts

extension DDatabase {
    /// What a log does with blocks that a peer sends without being asked.
    public enum PushPolicy: Sendable, Hashable {
        /// They are ignored, and peers are told so.
        case refused
        /// They are verified and stored.
        case accepted
        /// The same, and nothing is requested but what callers read: for a reader that lives on what is sent to it.
        case only
    }

    // MARK: Pushing

    /// Chooses what this side does with blocks that were not asked for; a log refuses them until told otherwise. The
    /// choice holds for all sessions until the log is released.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func setPushPolicy(_ policy: PushPolicy) async throws(DDatabaseError) {
        try checkOpen()
        await engine.setPushPolicy(policy)
    }

    /// Sends a stored block to every peer that accepts pushes and lacks it, with the proof that it needs.
    ///
    /// A block that is not stored is sent to nobody.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func push(_ index: UInt64) async throws(DDatabaseError) {
        try checkOpen()
        await engine.push(index)
    }
}

extension LogEngine {
    fileprivate func setPushPolicy(_ policy: DDatabase.PushPolicy) {
        replication.machine.setPush(isAllowed: policy != .refused, isExclusive: policy == .only, now: loop.now)
        afterLocalChange()
    }

    fileprivate func push(_ index: UInt64) {
        replication.machine.push(index, now: loop.now)
        afterLocalChange()
    }
}
