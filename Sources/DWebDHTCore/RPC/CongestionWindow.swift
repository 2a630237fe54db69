package import DWebBase

/// Counts requests on their way in four slots of time, so that a burst waits for answers; spec 20 section 3.
package struct CongestionWindow: Sendable {
    /// Requests per slot; all four together hold twice as many.
    package let slotLimit: Int
    /// When the next slot begins.
    package private(set) var nextRotation: MonotonicTime
    private var slots: (Int, Int, Int, Int) = (0, 0, 0, 0)
    private var current = 0
    private var total = 0

    /// An empty window whose first slot begins at `now`.
    package init(slotLimit: Int, now: MonotonicTime) {
        self.slotLimit = slotLimit
        nextRotation = now + RPCConstants.congestionRotation
    }

    /// Whether requests must wait for a rotation.
    package var isFull: Bool { total >= 2 * slotLimit || self[current] >= slotLimit }

    /// Begins the slots whose time has come; true if there was one.
    package mutating func wake(now: MonotonicTime) -> Bool {
        guard now >= nextRotation else { return false }
        var remaining = 4
        while now >= nextRotation, remaining > 0 {
            current = (current + 1) & 3
            total -= self[current]
            self[current] = 0
            nextRotation = nextRotation + RPCConstants.congestionRotation
            remaining -= 1
        }
        if now >= nextRotation { nextRotation = now + RPCConstants.congestionRotation }
        return true
    }

    /// Notes a request sent or repeated.
    package mutating func noteSent() {
        total += 1
        self[current] += 1
    }

    /// Notes a request answered or given up.
    package mutating func noteFinished() {
        guard self[current] > 0 else { return }
        self[current] -= 1
        total -= 1
    }

    /// Forgets what was counted.
    package mutating func removeAll() {
        slots = (0, 0, 0, 0)
        total = 0
    }

    private subscript(index: Int) -> Int {
        get { index == 0 ? slots.0 : index == 1 ? slots.1 : index == 2 ? slots.2 : slots.3 }
        set {
            switch index {
            case 0: slots.0 = newValue
            case 1: slots.1 = newValue
            case 2: slots.2 = newValue
            default: slots.3 = newValue
            }
        }
    }
}
