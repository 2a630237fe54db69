/// Which blocks a peer says it has: a length from the start, and single bits behind it; spec 30 section E.3.
///
/// What a peer announces takes bounded memory: bits at or behind `lengthLimit` and bits that would need more pages than
/// ``LogLimits`` allows are not learnt, so that at worst a block is not asked for at this peer.
package struct RemoteBitfield: Sendable, Equatable {
    /// The peer has every block below this index.
    package private(set) var contiguousLength: UInt64 = 0
    private var bits = Bitfield()

    /// A peer that has announced nothing.
    package init() {}

    /// Whether the peer has the block.
    package subscript(index: UInt64) -> Bool { index < contiguousLength || bits[index] }

    /// The number of pages that single bits take.
    package var pageCount: Int { bits.pageCount }

    /// Takes over a range announcement.
    ///
    /// - Parameters:
    ///   - message: What the peer sent.
    ///   - lengthLimit: The peer's length as far as it is believable, normally the announced one plus
    ///     ``LogLimits/availabilityMargin``.
    package mutating func handle(_ message: RangeMessage, lengthLimit: UInt64) {
        let (sum, overflow) = message.start.addingReportingOverflow(message.length)
        let announcedEnd = overflow ? UInt64.max : sum
        guard announcedEnd > message.start else { return }
        if message.drop {
            lowerContiguousLength(to: message.start, keepingFrom: announcedEnd)
            bits.setRange(message.start..<announcedEnd, to: false)
            return
        }
        let end = min(announcedEnd, lengthLimit)
        guard message.start < end else { return }
        if message.start == 0 {
            contiguousLength = max(contiguousLength, end)
        } else {
            insert(message.start..<end)
        }
    }

    /// Takes over a bitfield message, which is authoritative for what it covers. Ignored if it does not start at a
    /// multiple of 32.
    ///
    /// - Parameter lengthLimit: As for ranges.
    package mutating func handle(_ message: BitfieldMessage, lengthLimit: UInt64) {
        guard message.start % 32 == 0, message.start < lengthLimit else { return }
        let room = (lengthLimit - message.start + 31) / 32
        let words = UInt64(message.words.count) > room ? Array(message.words.prefix(Int(room))) : message.words
        let end = message.start + UInt64(words.count) * 32
        lowerContiguousLength(to: message.start, keepingFrom: end)
        let pages = Int((end - message.start) / Bitfield.bitsPerPage) + 2
        guard bits.pageCount + pages <= LogLimits.remotePageCount,
            bits.mixedPageCount + pages <= LogLimits.remoteMixedPageCount
        else {
            bits.setRange(message.start..<end, to: false)
            return
        }
        bits.overwrite(from: message.start, with: words)
    }

    /// Forgets everything from `length` on; for a truncated log.
    package mutating func truncate(to length: UInt64) {
        contiguousLength = min(contiguousLength, length)
        bits.setRange(length..<UInt64.max, to: false)
    }

    /// The first block in a range that the peer has.
    package func firstSet(in range: Range<UInt64>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        return range.lowerBound < contiguousLength ? range.lowerBound : bits.firstSet(in: range)
    }

    /// The first block from `start` on that the peer does not have, as far as it is known.
    package func firstUnset(from start: UInt64) -> UInt64 { bits.firstUnset(from: max(start, contiguousLength)) }

    /// The number of blocks in a range that the peer has.
    package func count(in range: Range<UInt64>) -> UInt64 {
        let middle = min(max(contiguousLength, range.lowerBound), range.upperBound)
        return (middle - range.lowerBound) + bits.count(in: middle..<range.upperBound)
    }

    /// 32 blocks' bits from `start` on, which must be a multiple of 32.
    package func words(from start: UInt64, count: Int) -> [UInt32] {
        var words = bits.words(from: start, count: count)
        guard start < contiguousLength else { return words }
        let covered = contiguousLength - start
        for index in words.indices {
            let first = UInt64(index) * 32
            guard first < covered else { break }
            words[index] |= covered - first >= 32 ? .max : (1 << UInt32(covered - first)) - 1
        }
        return words
    }

    /// The contiguous length shrinks to `length`; blocks from `end` on that it covered stay known one by one.
    private mutating func lowerContiguousLength(to length: UInt64, keepingFrom end: UInt64) {
        guard length < contiguousLength else { return }
        let covered = contiguousLength
        contiguousLength = length
        if end < covered { insert(end..<covered) }
    }

    private mutating func insert(_ range: Range<UInt64>) {
        // At most one page at each end is neither empty nor full.
        guard bits.mixedPageCount + 2 <= LogLimits.remoteMixedPageCount else { return }
        let room = LogLimits.remotePageCount - bits.pageCount - 1
        guard room > 0 else { return }
        let end = min(range.upperBound, range.lowerBound &+ UInt64(room - 1) * Bitfield.bitsPerPage)
        guard range.lowerBound < end else { return }
        bits.setRange(range.lowerBound..<end, to: true)
    }
}
