public import DWebBase

/// The single thread of execution on which all actors of one runtime run, with its clock and timers.
///
/// Actors take it as their executor, so that calls between them are ordinary calls, not thread hops, and so that a
/// simulation can run the same actors on virtual time. Work on it must not block.
public protocol RuntimeLoop: SerialExecutor, TaskExecutor {
    /// The current moment. Sampled per turn of the loop; it never goes back.
    var now: MonotonicTime { get }

    /// Whether the caller runs on the loop.
    var isCurrent: Bool { get }

    /// Runs `body` on the loop once `deadline` has passed, unless the returned timer is cancelled first.
    ///
    /// Callable from any thread.
    func schedule(at deadline: MonotonicTime, _ body: @escaping @Sendable () -> Void) -> any LoopTimer

    /// Runs `body` on the loop as soon as possible, after what is already queued. Callable from any thread.
    func execute(_ body: @escaping @Sendable () -> Void)
}

/// A scheduled call that can be taken back.
public protocol LoopTimer: Sendable {
    /// Makes sure the call does not happen, unless it already did. Callable more than once.
    func cancel()
}
