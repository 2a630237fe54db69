/// Judges from answers and timeouts whether the network works; spec 20 section 4.
package struct NetworkHealth: Sendable {
    private static let window = 4
    private static let idleThreshold = 4
    private static let degradedShare = 0.5

    private struct Tick: Sendable {
        var responseCount: Int
        var timeoutCount: Int
        var isDegraded: Bool?
    }

    /// Whether answers arrive at all.
    package private(set) var isOnline = true
    /// Whether most requests have gone unanswered for some time.
    package private(set) var isDegraded = false
    private var ticks: [Tick] = []

    /// A network that is believed to work.
    package init() {}

    /// Begins anew, believing that the network works; true if that is a change.
    package mutating func reset() -> Bool {
        let isChange = !isOnline || isDegraded
        self = NetworkHealth()
        return isChange
    }

    /// Takes the node's running totals at the end of a tick; true if the judgement changed.
    package mutating func update(responseCount: Int, timeoutCount: Int) -> Bool {
        if ticks.count == NetworkHealth.window { ticks.removeFirst() }
        let previous = ticks.last
        ticks.append(Tick(responseCount: responseCount, timeoutCount: timeoutCount))
        guard let previous, ticks.count == NetworkHealth.window else { return false }
        let responses = responseCount - previous.responseCount
        let timeouts = timeoutCount - previous.timeoutCount
        guard responses + timeouts >= NetworkHealth.idleThreshold else { return false }
        let share = Double(timeouts) / Double(responses + timeouts)
        ticks[ticks.count - 1].isDegraded = share > NetworkHealth.degradedShare
        let before = (isOnline, isDegraded)
        isOnline = responses > 0
        if isOnline, ticks.allSatisfy({ $0.isDegraded == true }) { isDegraded = true }
        if !isOnline || ticks.allSatisfy({ $0.isDegraded == false }) { isDegraded = false }
        return before != (isOnline, isDegraded)
    }
}
