import DWebBase

/// Decides which seeds there is room for.
///
/// Seeds are ranked by priority, then by their last activity. Going down that order, each one that fits into what is
/// left gets its place; one that does not fit gets nothing, and those after it are still looked at. Since only seeds
/// that have a place become active, the order changes by itself only for the better of those that are kept.
struct QuotaPlan {
    /// What a seed needs.
    struct Demand: Sendable {
        let key: PublicKey
        let priority: UInt8
        let lastActiveMilliseconds: UInt64
        /// The bytes of all its blocks, as far as they are known.
        let byteCount: UInt64
        /// Whether it is written here, and never given up.
        let isOwn: Bool

        init(
            key: PublicKey, priority: UInt8, lastActiveMilliseconds: UInt64, byteCount: UInt64, isOwn: Bool = false
        ) {
            self.key = key
            self.priority = priority
            self.lastActiveMilliseconds = lastActiveMilliseconds
            self.byteCount = byteCount
            self.isOwn = isOwn
        }
    }

    /// The seeds that have a place.
    private(set) var admitted: Set<PublicKey> = []
    /// The bytes of those.
    private(set) var byteCount: UInt64 = 0

    /// Makes a plan; a limit of 0 admits everything.
    init(_ demands: [Demand], byteLimit: UInt64) {
        let ranked = demands.sorted { left, right in
            if left.isOwn != right.isOwn { return left.isOwn }
            if left.priority != right.priority { return left.priority > right.priority }
            if left.lastActiveMilliseconds != right.lastActiveMilliseconds {
                return left.lastActiveMilliseconds > right.lastActiveMilliseconds
            }
            return left.key < right.key
        }
        for demand in ranked {
            let (total, overflow) = byteCount.addingReportingOverflow(demand.byteCount)
            if byteLimit > 0, !demand.isOwn {
                guard !overflow, total <= byteLimit else { continue }
            }
            byteCount = overflow ? .max : total
            admitted.insert(demand.key)
        }
    }
}
