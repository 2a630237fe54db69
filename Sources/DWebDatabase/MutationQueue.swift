import DequeModule

/// Lets one mutation of an actor's state proceed at a time, in the order of arrival.
///
/// State changes across a suspension (the write to storage), so being on one actor is not enough.
package struct MutationQueue {
    private var isBusy = false
    private var waiting: Deque<CheckedContinuation<Void, Never>> = []

    /// A queue in which nobody has the turn.
    package init() {}

    /// Takes the turn if nobody has it.
    package mutating func tryEnter() -> Bool {
        guard !isBusy else { return false }
        isBusy = true
        return true
    }

    /// Queues behind everybody who waits; takes the turn if it was given back meanwhile.
    package mutating func enqueue(_ continuation: CheckedContinuation<Void, Never>) {
        if tryEnter() { continuation.resume() } else { waiting.append(continuation) }
    }

    /// Ends the turn and gives it to the next in line.
    package mutating func leave() {
        precondition(isBusy, "only the mutation that has the turn can end it")
        if let next = waiting.popFirst() { next.resume() } else { isBusy = false }
    }
}
