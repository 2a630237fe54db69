package import DWebBase

/// Decides how many messages the node forwards for one host; spec 20 section 16 item 12.
package struct RelayGate: Sendable {
    private var counts: [SocketAddress: Int] = [:]
    private var windowEnd: MonotonicTime?

    /// A gate that has seen nothing.
    package init() {}

    /// Whether one more message of `source` may be forwarded now; counts it if so.
    package mutating func admits(_ source: SocketAddress, now: MonotonicTime) -> Bool {
        if now >= windowEnd ?? now {
            windowEnd = now + HyperLimits.relayWindow
            counts.removeAll(keepingCapacity: true)
        }
        let host = source.with(port: 0)
        guard let count = counts[host] else {
            guard counts.count < HyperLimits.relayHostCount else { return false }
            counts[host] = 1
            return true
        }
        guard count < HyperLimits.relaysPerHostCount else { return false }
        counts[host] = count + 1
        return true
    }
}
