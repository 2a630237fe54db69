import DWebBase
import DWebCrypto

/// Peers that wait to be dialled: highest priority first, random within one; spec 30 section G.2.
struct PeerQueue: Sendable {
    private var buckets = [[PublicKey]](repeating: [], count: SwarmPeer.Priority.allCases.count)
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// All that wait, highest priority first.
    var keys: [PublicKey] { buckets.reversed().flatMap { $0 } }

    mutating func insert(_ key: PublicKey, priority: SwarmPeer.Priority) {
        buckets[priority.rawValue].append(key)
        count += 1
    }

    mutating func removeNext(random: inout SecureRandom) -> PublicKey? {
        for index in buckets.indices.reversed() where !buckets[index].isEmpty {
            let chosen = Int.random(in: buckets[index].indices, using: &random)
            // Order within a bucket carries no meaning, so the last one may fill the gap.
            buckets[index].swapAt(chosen, buckets[index].count - 1)
            count -= 1
            return buckets[index].removeLast()
        }
        return nil
    }

    mutating func removeAll() { self = PeerQueue() }
}
