import DWebBase

/// Limits how many handshakes a server reads from one host per second: each costs four key agreements before anything
/// is known about the client; spec 20 section 16 item 13.
struct HandshakeRate: Sendable {
    private var counts: [SocketAddress: Int] = [:]
    private var windowEnd = MonotonicTime.zero

    /// Whether one more handshake of `source` is read; counts it if so.
    mutating func admits(_ source: SocketAddress, isRelay: Bool, _ context: HyperContext) -> Bool {
        if context.now >= windowEnd || counts.count >= HyperLimits.relayHostCount {
            windowEnd = context.now + HyperLimits.relayWindow
            counts.removeAll(keepingCapacity: false)
        }
        // Many nodes of a laboratory share one private host.
        let isTrusted = isRelay || AddressClass(source) == .privateUse
        let limit = isTrusted ? HyperLimits.handshakeRatePerRelay : HyperLimits.handshakeRatePerHost
        let host = source.with(port: 0)
        let count = counts[host, default: 0]
        guard count < limit else { return false }
        counts[host] = count + 1
        return true
    }
}
