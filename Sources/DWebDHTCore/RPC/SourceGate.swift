package import DWebBase

/// Limits what one host of the public internet can make a node do; spec 20 section 16.
///
/// Addresses of senders can be forged, so the limits also bound what the node can be made to send to a third party.
/// Hosts of private networks are not counted: many nodes of a laboratory share one.
package struct SourceGate: Sendable {
    private struct Counts: Sendable {
        var requestCount = 0
        var amplifiedByteCount = 0
    }

    private static let window = Duration.seconds(1)

    private var counts: [SocketAddress: Counts] = [:]
    private var windowEnd = MonotonicTime.zero

    /// A gate that has seen nothing.
    package init() {}

    /// Whether one more request of `source` may be read; counts it if so.
    package mutating func admits(_ source: SocketAddress, now: MonotonicTime) -> Bool {
        guard AddressClass(source) == .publicUse else { return true }
        prepare(now: now)
        let host = source.with(port: 0)
        let count = counts[host, default: Counts()].requestCount
        guard count < RPCLimits.requestsPerHost else { return false }
        counts[host, default: Counts()].requestCount = count + 1
        return true
    }

    /// Whether an answer that is longer than its request by `byteCount` may go to `destination`; counts it if so.
    package mutating func admitsAmplification(
        _ byteCount: Int, to destination: SocketAddress, now: MonotonicTime
    ) -> Bool {
        guard byteCount > 0, AddressClass(destination) == .publicUse else { return true }
        prepare(now: now)
        let host = destination.with(port: 0)
        let sum = counts[host, default: Counts()].amplifiedByteCount + byteCount
        guard sum <= RPCLimits.amplifiedBytesPerHost else { return false }
        counts[host, default: Counts()].amplifiedByteCount = sum
        return true
    }

    private mutating func prepare(now: MonotonicTime) {
        // A full table is emptied early: filling it takes more packets than it gives away.
        guard now >= windowEnd || counts.count >= RPCLimits.countedHosts else { return }
        windowEnd = now + SourceGate.window
        counts.removeAll(keepingCapacity: counts.count > 64 && counts.count < RPCLimits.countedHosts)
    }
}
