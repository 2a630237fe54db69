package import DWebBase
import OrderedCollections

/// Announced peers by topic, in two generations; spec 20 section 8.
///
/// Announcing again within the fresh generation does not replace what is stored; in the old one it moves over.
package struct RecordCache: Sendable {
    private typealias Generation = [Bytes32: OrderedDictionary<PublicKey, [UInt8]>]

    private var fresh: Generation = [:]
    private var old: Generation = [:]
    private var freshCount = 0
    private var oldCount = 0
    private var nextFlip: MonotonicTime?
    private let limit: Int
    private let generationAge: Duration

    /// An empty cache of at most `limit` records per generation.
    package init(limit: Int = HyperLimits.recordCount, maximumAge: Duration = HyperTimes.recordAge) {
        precondition(limit > 0, "a cache holds at least one record per generation")
        self.limit = limit
        generationAge = .nanoseconds(maximumAge.wholeNanoseconds / 3 * 2)
    }

    /// The number of records, those about to expire included.
    package var count: Int { freshCount + oldCount }

    /// Stores the encoded record of `publicKey` under `topic`.
    package mutating func add(_ record: [UInt8], of publicKey: PublicKey, under topic: Bytes32, now: MonotonicTime) {
        expire(now: now)
        if fresh[topic]?[publicKey] != nil { return }
        if freshCount >= limit { flip(now: now) }
        removeOld(publicKey, under: topic)
        fresh[topic, default: [:]][publicKey] = record
        freshCount += 1
    }

    /// Forgets the record of `publicKey` under `topic`.
    package mutating func remove(_ publicKey: PublicKey, under topic: Bytes32) {
        removeOld(publicKey, under: topic)
        if fresh[topic]?.removeValue(forKey: publicKey) != nil {
            freshCount -= 1
            if fresh[topic]?.isEmpty == true { fresh[topic] = nil }
        }
    }

    /// Up to `limit` records under `topic`, fresh ones first, a random choice where there are more.
    package mutating func records(
        under topic: Bytes32, limit: Int, now: MonotonicTime, random: inout some RandomNumberGenerator
    ) -> [[UInt8]] {
        expire(now: now)
        var chosen: [[UInt8]] = []
        for generation in [fresh, old] {
            guard let records = generation[topic]?.values, chosen.count < limit else { continue }
            // Reservoir of a partial shuffle: only as many draws as records are taken.
            var indices = Array(records.indices)
            let wanted = min(limit - chosen.count, indices.count)
            if wanted < indices.count {
                for position in 0..<wanted {
                    indices.swapAt(position, Int.random(in: position..<indices.count, using: &random))
                }
            }
            for index in indices.prefix(wanted) { chosen.append(records[index]) }
        }
        return chosen
    }

    private mutating func removeOld(_ publicKey: PublicKey, under topic: Bytes32) {
        guard old[topic]?.removeValue(forKey: publicKey) != nil else { return }
        oldCount -= 1
        if old[topic]?.isEmpty == true { old[topic] = nil }
    }

    private mutating func flip(now: MonotonicTime) {
        old = fresh
        oldCount = freshCount
        fresh = [:]
        freshCount = 0
        nextFlip = now + generationAge
    }

    private mutating func expire(now: MonotonicTime) {
        guard let due = nextFlip else {
            nextFlip = now + generationAge
            return
        }
        guard now >= due else { return }
        let isLate = now >= due + generationAge
        flip(now: now)
        if isLate {
            old = [:]
            oldCount = 0
        }
    }
}
