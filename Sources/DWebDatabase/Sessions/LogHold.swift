import Synchronization

/// A session's claim on its log; released once, at the latest with its last reference.
final class LogHold: Sendable {
    private let engine: LogEngine
    /// The session, as the log names it.
    let session: SessionID
    private let isWeak: Bool
    private let released = Mutex(false)

    /// Claims a log; a weak claim does not keep it open.
    init(_ engine: LogEngine, isWeak: Bool = false) {
        self.engine = engine
        self.isWeak = isWeak
        session = engine.retainSession(isWeak: isWeak)
    }

    deinit { release() }

    /// Whether the claim was given up.
    var isReleased: Bool { released.withLock { $0 } || engine.isClosed }

    /// Gives up the claim. Callable more than once.
    func release() {
        let isFirst = released.withLock { released in
            defer { released = true }
            return !released
        }
        if isFirst { engine.releaseSession(session, isWeak: isWeak) }
    }
}
