package import DWebBase

/// A bounded cache whose entries expire in two generations; spec 20 section 8.
///
/// New entries go to the fresh generation. When that is full, or two thirds of the maximum age have passed, it becomes
/// the old one and what was old is forgotten. So an entry lives between 2/3 and 4/3 of the maximum age, and nothing is
/// ever scanned.
package struct GenerationCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var fresh: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    /// The sizes of entries that were given one, for moving them between generations.
    private var freshByteCounts: [Key: Int] = [:]
    private var oldByteCounts: [Key: Int] = [:]
    private var nextFlip: MonotonicTime?
    private var freshByteCount = 0
    private let limit: Int
    private let byteLimit: Int
    private let generationAge: Duration?

    /// An empty cache.
    ///
    /// - Parameters:
    ///   - limit: The most entries per generation.
    ///   - byteLimit: The most bytes per generation, as counted by ``set(_:for:byteCount:now:)``.
    ///   - maximumAge: See the type; nil for entries that only leave when the cache is full.
    package init(limit: Int, byteLimit: Int = .max, maximumAge: Duration?) {
        precondition(limit > 0, "a cache holds at least one entry per generation")
        self.limit = limit
        self.byteLimit = byteLimit
        generationAge = maximumAge.map { .nanoseconds($0.wholeNanoseconds / 3 * 2) }
    }

    /// The number of entries, those about to expire included.
    package var count: Int { fresh.count + old.count }

    /// The value of `key`; it moves to the fresh generation if `isPromoting`.
    package mutating func value(_ key: Key, isPromoting: Bool = true, now: MonotonicTime) -> Value? {
        expire(now: now)
        if let value = fresh[key] { return value }
        guard let value = old[key] else { return nil }
        if isPromoting { set(value, for: key, byteCount: oldByteCounts[key] ?? 0, now: now) }
        return value
    }

    /// Stores `value`, which counts as `byteCount` bytes, in the fresh generation.
    package mutating func set(_ value: Value, for key: Key, byteCount: Int = 0, now: MonotonicTime) {
        expire(now: now)
        // What replaces an entry is counted beside it until the generation ends: a bound, not a balance.
        if fresh[key] == nil && fresh.count >= limit || freshByteCount + byteCount > byteLimit { flip(now: now) }
        fresh[key] = value
        freshByteCount += byteCount
        if byteCount > 0 { freshByteCounts[key] = byteCount }
        old[key] = nil
        oldByteCounts[key] = nil
    }

    /// Forgets `key`.
    package mutating func remove(_ key: Key) {
        fresh[key] = nil
        old[key] = nil
        freshByteCounts[key] = nil
        oldByteCounts[key] = nil
    }

    private mutating func flip(now: MonotonicTime) {
        old = fresh
        fresh = [:]
        oldByteCounts = freshByteCounts
        freshByteCounts = [:]
        freshByteCount = 0
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
        if isLate {
            old = [:]
            oldByteCounts = [:]
        }
    }
}
