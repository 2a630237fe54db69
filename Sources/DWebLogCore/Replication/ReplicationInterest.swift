import OrderedCollections

/// A stretch of the log that somebody wants whole.
struct RangeInterest {
    let ticket: ReplicationTicket
    let start: UInt64
    /// Nil for a range that includes what is appended later.
    let end: UInt64?
    /// Whether blocks are requested in ascending order, rather than each peer starting somewhere else.
    let isLinear: Bool
    /// All blocks of the range before this one are stored.
    var storedUntil: UInt64
}

/// A search for a byte position.
struct SeekInterest {
    let ticket: ReplicationTicket
    let bytes: UInt64
    let padding: UInt64
    /// The blocks in which the byte may be, all below one stored node.
    var window: Range<UInt64>
    /// Whether a request for it is unanswered or being verified.
    var isInFlight = false
    /// Whether the owner was asked to look again and has not said more yet.
    var isParked = false
}

/// Ranges in a list that can be walked from any position, with constant-time removal.
struct RangeInterests {
    private(set) var list: [RangeInterest] = []
    private var positions: [ReplicationTicket: Int] = [:]
    // The ranges whose next missing block is the one in the key; not kept while there are few ranges.
    private var waiting: [UInt64: [ReplicationTicket]] = [:]
    // So many are looked through sooner than a table is kept up to date.
    private static let fewCount = 8

    /// Whether the ranges are so few that the list is looked through instead of ``takeWaiting(for:)``.
    var areFew: Bool { list.count <= RangeInterests.fewCount }

    var isEmpty: Bool { list.isEmpty }

    mutating func insert(_ range: RangeInterest) {
        positions[range.ticket] = list.count
        let wereFew = areFew
        list.append(range)
        if areFew { return }
        for added in wereFew ? list[...] : list.suffix(1) {
            waiting[added.storedUntil, default: []].append(added.ticket)
        }
    }

    mutating func remove(_ ticket: ReplicationTicket) -> Bool {
        guard let position = positions.removeValue(forKey: ticket) else { return false }
        stopWaiting(ticket, for: list[position].storedUntil)
        let last = list.removeLast()
        if position < list.count {
            list[position] = last
            positions[last.ticket] = position
        }
        if areFew { waiting = [:] }
        return true
    }

    /// The ranges that wait for the block at `index`; call ``advance(_:to:)`` for each.
    mutating func takeWaiting(for index: UInt64) -> [ReplicationTicket]? {
        waiting.isEmpty ? nil : waiting.removeValue(forKey: index)
    }

    subscript(ticket: ReplicationTicket) -> RangeInterest? { positions[ticket].map { list[$0] } }

    /// Notes up to where a range is stored.
    mutating func advance(_ ticket: ReplicationTicket, to storedUntil: UInt64) {
        guard let position = positions[ticket] else { return }
        stopWaiting(ticket, for: list[position].storedUntil)
        list[position].storedUntil = storedUntil
        if !areFew { waiting[storedUntil, default: []].append(ticket) }
    }

    /// Notes that nothing from `index` on is known to be stored.
    mutating func rewind(to index: UInt64) {
        for position in list.indices where list[position].storedUntil > index {
            let range = list[position]
            stopWaiting(range.ticket, for: range.storedUntil)
            list[position].storedUntil = max(range.start, index)
            if !areFew { waiting[list[position].storedUntil, default: []].append(range.ticket) }
        }
    }

    private mutating func stopWaiting(_ ticket: ReplicationTicket, for index: UInt64) {
        if waiting.isEmpty { return }
        waiting[index]?.removeAll { $0 == ticket }
        if waiting[index]?.isEmpty == true { waiting[index] = nil }
    }
}
