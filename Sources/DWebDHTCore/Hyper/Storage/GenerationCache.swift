package import DWebBase

/// A bounded cache whose entries expire in two generations; spec 20 section 8.
///
/// New entries go to the fresh generation. When that is full, or two thirds of the maximum age have passed, it becomes
/// the old one and what was old is forgotten. So an entry lives between 2/3 and 4/3 of the maximum age, and nothing is
/// ever scanned.
package struct GenerationCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var fresh: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private var nextFlip: MonotonicTime?
    private let limit: Int
    private let generationAge: Duration?

    /// An empty cache.
    ///
    /// - Parameters:
    ///   - limit: The most entries per generation.
    ///   - maximumAge: See the type; nil for entries that only leave when the cache is full.
    package init(limit: Int, maximumAge: Duration?) {
        precondition(limit > 0, "a cache holds at least one entry per generation")
        self.limit = limit
        generationAge = maximumAge.map { .nanoseconds($0.wholeNanoseconds / 3 * 2) }
    }

    /// The number of entries, those about to expire included.
    package var count: Int { fresh.count + old.count }

    /// The value of `key`; it moves to the fresh generation if `isPromoting`.
    package mutating func value(_ key: Key, isPromoting: Bool = true, now: MonotonicTime) -> Value? {
        expire(now: now)
        if let value = fresh[key] { return value }
        guard let value = old[key] else { return nil }
        if isPromoting { set(value, for: key, now: now) }
        return value
    }

    /// Stores `value`, in the fresh generation.
    package mutating func set(_ value: Value, for key: Key, now: MonotonicTime) {
        expire(now: now)
        if fresh[key] == nil, fresh.count >= limit { flip(now: now) }
        fresh[key] = value
        old[key] = nil
    }

    /// Forgets `key`.
    package mutating func remove(_ key: Key) {
        fresh[key] = nil
        old[key] = nil
    }

    private mutating func flip(now: MonotonicTime) {
        old = fresh
        fresh = [:]
        if let generationAge { nextFlip = now + generationAge }
    }

    private mutating func expire(now: MonotonicTime) {
        guard let generationAge else { return }
        guard let due = nextFlip else {
            nextFlip = now + generationAge
            return
        }
        guard now >= due else { return }
        // Nobody asked for a whole generation: both are too old.
        let isLate = now >= due + generationAge
        flip(now: now)
        if isLate { old = [:] }
    }
}
