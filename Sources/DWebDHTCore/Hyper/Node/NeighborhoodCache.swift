import DWebBase

/// The nodes around the targets of the last searches, with the tokens that they gave, for a few seconds.
///
/// Whoever announces thousands of topics, in the order of their hashes, comes past the same nodes hundreds of times: one
/// search then serves all topics that lie between those nodes. Not the living network's, which searches for each.
struct NeighborhoodCache: Sendable {
    private struct Neighborhood: Sendable {
        let target: Bytes32
        /// Targets that share this many bits have the same neighbours, or nearly.
        let bitCount: Int
        let nodes: [RPCReply]
        let time: MonotonicTime
        var isBeingRenewed = false
    }

    /// Nodes that each of many topics is stored at, instead of 20. A lookup asks the 20 closest nodes that it finds
    /// (spec 20 section 6), and ends only when it has their answers: it meets all twelve until nine nodes joined among them.
    static let storingNodeCount = 12
    // Tokens are good for at least 7.5 s (spec 20 section 2.5), and a paced request waits for its turn.
    private static let lifetime = Duration.seconds(4)
    // From then on the next search is made, while the others still go without.
    private static let renewalAge = Duration.milliseconds(2_500)
    private static let limit = 8
    // With fewer known for certain, too many topics would be stored where nobody looks for them.
    private static let certainNodeCount = 6

    private var neighborhoods: [Neighborhood] = []

    /// The nodes to store at without a search of one's own, the closest first; nil if there must be one.
    mutating func nodes(near topic: Bytes32, now: MonotonicTime) -> [RPCReply]? {
        neighborhoods.removeAll { now - $0.time > NeighborhoodCache.lifetime }
        let match = neighborhoods.lastIndex { $0.target.commonPrefixBitCount(with: topic) >= $0.bitCount }
        guard let match else { return nil }
        if !neighborhoods[match].isBeingRenewed, now - neighborhoods[match].time > NeighborhoodCache.renewalAge {
            neighborhoods[match].isBeingRenewed = true
            return nil
        }
        let nodes = neighborhoods[match].nodes.sorted { ($0.from.id ?? .zero) ^ topic < ($1.from.id ?? .zero) ^ topic }
        return Array(nodes.prefix(NeighborhoodCache.storingNodeCount))
    }

    /// A search for `target` has ended with these nodes, the closest first.
    mutating func note(_ target: Bytes32, nodes: [RPCReply], now: MonotonicTime) {
        let nodes = nodes.filter { $0.token != nil && $0.from.id != nil }
        guard let farthest = nodes.last?.from.id else { return }
        var bitCount = 0
        if nodes.count >= RPCConstants.k {
            // All nodes that share one bit more than the farthest are among those found; of those that share fewer,
            // other targets have others.
            bitCount = farthest.commonPrefixBitCount(with: target) + 1
            let certain = nodes.count { $0.from.id!.commonPrefixBitCount(with: target) >= bitCount }
            guard certain >= NeighborhoodCache.certainNodeCount else { return }
        }
        neighborhoods.removeAll { $0.target.commonPrefixBitCount(with: target) >= min($0.bitCount, bitCount) }
        if neighborhoods.count == NeighborhoodCache.limit { neighborhoods.removeFirst() }
        neighborhoods.append(Neighborhood(target: target, bitCount: bitCount, nodes: nodes, time: now))
    }
}
