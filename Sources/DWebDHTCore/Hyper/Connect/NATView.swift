import DWebBase

/// What is known about the network in front of one socket; spec 20 section 12.1.
struct NATView: Sendable {
    private struct Sample: Sendable {
        var address: SocketAddress
        var hits: Int
    }

    private enum Visit { case asked, counted }

    /// Samples after which the analysis ends.
    private static let wantedSampleCount = 4

    private var hosts: [Sample] = []
    private var endpoints: [Sample] = []
    private var visits: [SocketAddress: Visit] = [:]
    private var pendingCount = 0
    private var isSecondPass = false
    private(set) var sampleCount = 0
    private(set) var firewall: Firewall
    /// The addresses to tell the peer; nil while nothing is known.
    private(set) var addresses: [SocketAddress]?
    /// Whether the analysis has come to an end.
    private(set) var isAnalyzed = false
    private var isFrozen = false

    init(isFirewalled: Bool) { firewall = isFirewalled ? .unknown : .open }

    /// The nodes to ping from the socket now. Call again through ``sampled(_:from:isFirewalled:)``'s caller when all
    /// have answered or not.
    mutating func nextNodes(among recent: [SocketAddress]) -> [SocketAddress] {
        guard !isAnalyzed, pendingCount == 0 else { return [] }
        var chosen: [SocketAddress] = []
        // The newest nodes may be peers that are being punched to; older ones are more neutral.
        for node in recent.dropFirst(recent.count >= 8 ? 5 : 0) {
            guard sampleCount + chosen.count < NATView.wantedSampleCount else { break }
            guard visits[node] == nil else { continue }
            visits[node] = .asked
            chosen.append(node)
        }
        pendingCount = chosen.count
        if chosen.isEmpty {
            if isSecondPass { isAnalyzed = true } else { isSecondPass = true }
        }
        return chosen
    }

    /// One of the pinged nodes has answered or not. Returns whether more nodes should be pinged.
    mutating func pingEnded() -> Bool {
        pendingCount = max(0, pendingCount - 1)
        guard pendingCount == 0, !isAnalyzed else { return false }
        if sampleCount >= NATView.wantedSampleCount || isSecondPass {
            isAnalyzed = true
            return false
        }
        isSecondPass = true
        return true
    }

    /// `node` sees us at `address`.
    mutating func add(_ address: SocketAddress, from node: SocketAddress, isFirewalled: Bool) {
        guard visits[node] != .counted, visits.count < HyperLimits.peerAddressCount * 4 else { return }
        visits[node] = .counted
        NATView.count(address.with(port: 0), in: &hosts)
        NATView.count(address, in: &endpoints)
        sampleCount += 1
        if sampleCount >= 3 || !isFirewalled, !isFrozen { update(isFirewalled: isFirewalled) }
        if firewall == .consistent || firewall == .open || sampleCount >= NATView.wantedSampleCount {
            isAnalyzed = true
        }
    }

    /// What was told to the peer must not change any more.
    mutating func freeze() { isFrozen = true }

    private mutating func update(isFirewalled: Bool) {
        firewall = isFirewalled ? (firewall == .open ? .unknown : firewall) : .open
        if isFirewalled, sampleCount >= 3, let best = endpoints.first {
            if best.hits >= 3 {
                firewall = .consistent
            } else if best.hits == 1 {
                firewall = .random
            } else if hosts.count == 1, sampleCount > 3 {
                firewall = .random
            } else if hosts.count > 1, endpoints.count > 1, endpoints[1].hits > 1 {
                firewall = .consistent
            } else if sampleCount > NATView.wantedSampleCount {
                firewall = .random
            }
        }
        switch firewall {
        case .unknown: addresses = nil
        case .open: break
        case .random: addresses = hosts.first.map { [$0.address] }
        case .consistent:
            var told: [SocketAddress] = []
            for sample in endpoints where sample.hits >= 2 || told.count < 2 { told.append(sample.address) }
            addresses = told
        }
    }

    private static func count(_ address: SocketAddress, in samples: inout [Sample]) {
        guard var index = samples.firstIndex(where: { $0.address == address }) else {
            samples.append(Sample(address: address, hits: 1))
            return
        }
        samples[index].hits += 1
        while index > 0, samples[index - 1].hits < samples[index].hits {
            samples.swapAt(index - 1, index)
            index -= 1
        }
    }
}
