/// Which blocks of a log are present: one bit each, in pages that exist only where a bit is set; spec 40 section 8.
///
/// Setting, clearing and testing cost a few nanoseconds in a dense log and a binary search over pages in a sparse one.
/// Ranges and searches skip whole pages and words.
package struct Bitfield: Sendable {
    /// The bits of a page, which is what storage reads and writes at once.
    package static let bitsPerPage = UInt64(BitfieldPage.bitCount)
    /// The bytes of a stored page.
    package static let bytesPerPage = BitfieldPage.byteCount
    /// The bits of a segment: the unit in which peers tell each other what they have.
    package static let bitsPerSegment: UInt64 = 1 << 21

    /// The number of set bits.
    package private(set) var setCount: UInt64 = 0
    /// The number of pages that take memory of their own, because they are neither empty nor full.
    package private(set) var mixedPageCount = 0
    // Parallel and ascending by index; no page is empty.
    private var pageIndices: [UInt64] = []
    private var pages: [BitfieldPage] = []
    private var dirtyPages: Set<UInt64> = []
    private var lastDirtyPage: UInt64?

    /// A field without a set bit.
    package init() {}

    /// The number of pages with a set bit.
    package var pageCount: Int { pages.count }

    // MARK: Bits

    /// Whether the bit is set.
    package subscript(index: UInt64) -> Bool {
        guard let slot = slot(of: index / Bitfield.bitsPerPage) else { return false }
        return pages[slot][Bitfield.bit(index)]
    }

    /// Changes one bit; returns whether it was different.
    @discardableResult
    package mutating func set(_ index: UInt64, to value: Bool) -> Bool {
        let page = index / Bitfield.bitsPerPage
        if let slot = slot(of: page) {
            guard pages[slot][Bitfield.bit(index)] != value else { return false }
            mutatePage(slot) { _ = $0.set(Bitfield.bit(index), to: value) }
        } else {
            guard value else { return false }
            var fresh = BitfieldPage.empty
            _ = fresh.set(Bitfield.bit(index), to: true)
            insert(fresh, at: page)
        }
        markDirty(page)
        return true
    }

    /// Changes a range of bits; returns how many were different.
    @discardableResult
    package mutating func setRange(_ range: Range<UInt64>, to value: Bool) -> UInt64 {
        guard !range.isEmpty else { return 0 }
        let before = setCount
        let firstPage = range.lowerBound / Bitfield.bitsPerPage
        let lastPage = (range.upperBound - 1) / Bitfield.bitsPerPage
        let firstBit = Bitfield.bit(range.lowerBound)
        let endBit = Bitfield.bit(range.upperBound - 1) + 1
        if firstPage == lastPage {
            fill(firstPage, firstBit..<endBit, with: value)
        } else {
            // Whole pages in the middle are exchanged in one go, however many there are.
            let startsWhole = firstBit == 0
            let endsWhole = endBit == BitfieldPage.bitCount
            if !startsWhole { fill(firstPage, firstBit..<BitfieldPage.bitCount, with: value) }
            replacePages((startsWhole ? firstPage : firstPage + 1)..<(endsWhole ? lastPage + 1 : lastPage), with: value)
            if !endsWhole { fill(lastPage, 0..<endBit, with: value) }
        }
        return value ? setCount - before : before - setCount
    }

    /// The first set bit in a range; nil if there is none.
    package func firstSet(in range: Range<UInt64>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var slot = lowerBound(of: range.lowerBound / Bitfield.bitsPerPage)
        while slot < pages.count {
            let start = pageIndices[slot] * Bitfield.bitsPerPage
            guard start < range.upperBound else { return nil }
            let from = start < range.lowerBound ? Int(range.lowerBound - start) : 0
            if let bit = pages[slot].firstIndex(of: true, from: from) {
                let index = start + UInt64(bit)
                return index < range.upperBound ? index : nil
            }
            slot += 1
        }
        return nil
    }

    /// The first set bit from `start` on; nil if there is none.
    package func firstSet(from start: UInt64) -> UInt64? { firstSet(in: start..<UInt64.max) }

    /// The first bit from `start` on that is not set; there always is one.
    package func firstUnset(from start: UInt64) -> UInt64 {
        var page = start / Bitfield.bitsPerPage
        guard var slot = slot(of: page) else { return start }
        var from = Bitfield.bit(start)
        repeat {
            if let bit = pages[slot].firstIndex(of: false, from: from) {
                return page * Bitfield.bitsPerPage + UInt64(bit)
            }
            page += 1
            slot += 1
            from = 0
        } while slot < pages.count && pageIndices[slot] == page
        return page * Bitfield.bitsPerPage
    }

    /// The first bit in a range that is not set; nil if all are.
    package func firstUnset(in range: Range<UInt64>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        let index = firstUnset(from: range.lowerBound)
        return index < range.upperBound ? index : nil
    }

    /// The last set bit before `end`; nil if there is none.
    package func lastSet(before end: UInt64) -> UInt64? {
        guard end > 0 else { return nil }
        let lastPage = (end - 1) / Bitfield.bitsPerPage
        var slot = lowerBound(of: lastPage)
        if slot == pages.count || pageIndices[slot] > lastPage { slot -= 1 }
        while slot >= 0 {
            let start = pageIndices[slot] * Bitfield.bitsPerPage
            let limit = pageIndices[slot] == lastPage ? Bitfield.bit(end - 1) + 1 : BitfieldPage.bitCount
            if let bit = pages[slot].lastIndex(of: true, before: limit) { return start + UInt64(bit) }
            slot -= 1
        }
        return nil
    }

    /// The number of set bits in a range.
    package func count(in range: Range<UInt64>) -> UInt64 {
        guard !range.isEmpty else { return 0 }
        var count: UInt64 = 0
        var slot = lowerBound(of: range.lowerBound / Bitfield.bitsPerPage)
        while slot < pages.count {
            let start = pageIndices[slot] * Bitfield.bitsPerPage
            guard start < range.upperBound else { break }
            let from = start < range.lowerBound ? Int(range.lowerBound - start) : 0
            let to = Int(min(range.upperBound - start, Bitfield.bitsPerPage))
            count += UInt64(pages[slot].count(in: from..<to))
            slot += 1
        }
        return count
    }

    /// Whether every bit in a range is set.
    package func containsAll(in range: Range<UInt64>) -> Bool { firstUnset(in: range) == nil }

    // MARK: Words and messages

    /// 32-bit words of bits from `start` on, which must be a multiple of 32.
    package func words(from start: UInt64, count: Int) -> [UInt32] {
        precondition(start % 32 == 0, "words begin at a multiple of 32 bits")
        var words: [UInt32] = []
        words.reserveCapacity(count)
        var index = start
        while words.count < count {
            let page = index / Bitfield.bitsPerPage
            let room = Int((Bitfield.bitsPerPage - index % Bitfield.bitsPerPage) / 32)
            let take = min(room, count - words.count)
            if let slot = slot(of: page) {
                var bit = Bitfield.bit(index)
                for _ in 0..<take {
                    words.append(UInt32(truncatingIfNeeded: pages[slot].word(at: bit >> 6) >> UInt64(bit & 32)))
                    bit += 32
                }
            } else {
                words.append(contentsOf: repeatElement(0, count: take))
            }
            index &+= UInt64(take) * 32
        }
        return words
    }

    /// Overwrites bits from `start` on, which must be a multiple of 32, with 32-bit words.
    package mutating func overwrite(from start: UInt64, with words: [UInt32]) {
        precondition(start % 32 == 0, "words begin at a multiple of 32 bits")
        var index = start
        var rest = words[...]
        while !rest.isEmpty {
            let page = index / Bitfield.bitsPerPage
            let room = Int((Bitfield.bitsPerPage - index % Bitfield.bitsPerPage) / 32)
            let part = rest.prefix(room)
            if let slot = slot(of: page) {
                mutatePage(slot) { $0.overwrite(from: Bitfield.bit(index), with: part) }
                markDirty(page)
            } else if part.contains(where: { $0 != 0 }) {
                var fresh = BitfieldPage.empty
                fresh.overwrite(from: Bitfield.bit(index), with: part)
                insert(fresh, at: page)
                markDirty(page)
            }
            rest = rest.dropFirst(room)
            index &+= UInt64(part.count) * 32
        }
    }

    /// The messages that tell a peer which blocks of a window are present: cut at segments, with nothing about segments
    /// that have no block at all; spec 30 section E.3.
    package func messages(covering window: Range<UInt64>) -> [BitfieldMessage] {
        var messages: [BitfieldMessage] = []
        var start = window.lowerBound & ~31
        while start < window.upperBound {
            let segmentEnd = (start / Bitfield.bitsPerSegment + 1) * Bitfield.bitsPerSegment
            let end = min(segmentEnd, window.upperBound)
            let segment = (segmentEnd - Bitfield.bitsPerSegment)..<segmentEnd
            if firstSet(in: segment) != nil {
                let words = words(from: start, count: Int((end - start + 31) / 32))
                messages.append(BitfieldMessage(start: start, words: words))
            }
            start = segmentEnd
        }
        return messages
    }

    // MARK: Storage

    /// The stored bytes of a page; zeros for one without a set bit.
    package func pageBytes(at page: UInt64) -> [UInt8] {
        slot(of: page).map { pages[$0].bytes } ?? [UInt8](repeating: 0, count: Bitfield.bytesPerPage)
    }

    /// Takes over a page from storage; it counts as unchanged. Bytes beyond a page are ignored, missing ones are zero.
    package mutating func loadPage(_ bytes: [UInt8], at page: UInt64) {
        let loaded = BitfieldPage(bytes: bytes)
        if let slot = slot(of: page) {
            mutatePage(slot) { $0 = loaded }
        } else if !loaded.isEmpty {
            insert(loaded, at: page)
        }
    }

    /// The pages that have changed since the last call, ascending: those to be written.
    package mutating func takeDirtyPages() -> [UInt64] {
        defer {
            dirtyPages.removeAll(keepingCapacity: true)
            lastDirtyPage = nil
        }
        return dirtyPages.sorted()
    }

    // MARK: Pages

    private static func bit(_ index: UInt64) -> Int { Int(truncatingIfNeeded: index % bitsPerPage) }

    private func slot(of page: UInt64) -> Int? {
        let slot = lowerBound(of: page)
        return slot < pageIndices.count && pageIndices[slot] == page ? slot : nil
    }

    /// The position of the first page at or behind `page`.
    private func lowerBound(of page: UInt64) -> Int {
        // In a log without gaps a page is where its index says.
        if page < UInt64(pageIndices.count), pageIndices[Int(page)] == page { return Int(page) }
        var low = 0
        var high = pageIndices.count
        while low < high {
            let middle = (low + high) / 2
            if pageIndices[middle] < page { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func insert(_ page: BitfieldPage, at index: UInt64) {
        let slot = lowerBound(of: index)
        pageIndices.insert(index, at: slot)
        pages.insert(page, at: slot)
        account(for: page, sign: 1)
    }

    private mutating func mutatePage(_ slot: Int, _ body: (inout BitfieldPage) -> Void) {
        let before = pages[slot].setCount
        if pages[slot].isMixed { mixedPageCount -= 1 }
        body(&pages[slot])
        if pages[slot].isMixed { mixedPageCount += 1 }
        setCount = setCount &+ UInt64(pages[slot].setCount) &- UInt64(before)
        if pages[slot].isEmpty {
            pages.remove(at: slot)
            pageIndices.remove(at: slot)
        }
    }

    private mutating func fill(_ page: UInt64, _ bits: Range<Int>, with value: Bool) {
        if let slot = slot(of: page) {
            var changed = 0
            mutatePage(slot) { changed = $0.fill(bits, with: value) }
            if changed > 0 { markDirty(page) }
        } else if value {
            var fresh = BitfieldPage.empty
            _ = fresh.fill(bits, with: true)
            insert(fresh, at: page)
            markDirty(page)
        }
    }

    private mutating func replacePages(_ range: Range<UInt64>, with value: Bool) {
        guard !range.isEmpty else { return }
        let slots = lowerBound(of: range.lowerBound)..<lowerBound(of: range.upperBound)
        if value {
            var slot = slots.lowerBound
            for page in range {
                if slot < slots.upperBound, pageIndices[slot] == page {
                    if pages[slot] != .full { markDirty(page) }
                    slot += 1
                } else {
                    markDirty(page)
                }
            }
        } else {
            for slot in slots { markDirty(pageIndices[slot]) }
        }
        for slot in slots { account(for: pages[slot], sign: -1) }
        if value {
            pageIndices.replaceSubrange(slots, with: range)
            pages.replaceSubrange(slots, with: repeatElement(.full, count: range.count))
            setCount += UInt64(range.count) * Bitfield.bitsPerPage
        } else {
            pageIndices.removeSubrange(slots)
            pages.removeSubrange(slots)
        }
    }

    private mutating func account(for page: BitfieldPage, sign: Int) {
        if page.isMixed { mixedPageCount += sign }
        setCount = sign > 0 ? setCount + UInt64(page.setCount) : setCount - UInt64(page.setCount)
    }

    private mutating func markDirty(_ page: UInt64) {
        guard lastDirtyPage != page else { return }
        lastDirtyPage = page
        dirtyPages.insert(page)
    }
}

extension Bitfield: Equatable {
    /// Whether the same bits are set.
    package static func == (left: Bitfield, right: Bitfield) -> Bool {
        left.pageIndices == right.pageIndices && left.pages == right.pages
    }
}
