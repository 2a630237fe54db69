import DequeModule

/// A number of permits that an actor gives out, in the order in which they are asked for.
struct Permits {
    private var freeCount: Int
    private var waiting: Deque<CheckedContinuation<Void, Never>> = []

    init(count: Int) { freeCount = count }

    /// Takes a permit if one is free.
    mutating func tryTake() -> Bool {
        guard freeCount > 0 else { return false }
        freeCount -= 1
        return true
    }

    /// Queues for a permit.
    mutating func enqueue(_ continuation: CheckedContinuation<Void, Never>) {
        if tryTake() { continuation.resume() } else { waiting.append(continuation) }
    }

    /// Gives a permit back.
    mutating func giveBack() {
        if let next = waiting.popFirst() { next.resume() } else { freeCount += 1 }
    }
}
