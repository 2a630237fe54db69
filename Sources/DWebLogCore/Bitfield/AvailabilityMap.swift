/// A sparse set of block indices, cheap where long stretches are all present or all absent.
///
/// Indices are kept in pages of 32,768 bits. An absent page and a full page take no memory, so that a complete log
/// costs a few bytes per page. How many pages may be allocated is limited, since peers decide what is inserted.
package struct AvailabilityMap: Sendable {
    /// The number of indices in one page.
    package static let pageBitCount: UInt64 = 1 << 15
    /// Pages numbered below this are found through an array, those above through a dictionary.
    private static let directoryLimit: UInt64 = 1 << 16
    private static let wordsPerPage = 512
    private static let empty: Int32 = -1
    private static let full: Int32 = -2

    /// What a page holds.
    package enum PageState: Sendable, Equatable {
        /// None of its indices.
        case empty
        /// All of its indices.
        case full
        /// Some of its indices.
        case mixed
    }

    /// The most pages that are allocated; further insertions are dropped.
    package let pageLimit: Int

    private var directory: [Int32] = []
    private var distantPages: [UInt64: Int32] = [:]
    private var words: [UInt64] = []
    private var counts: [Int32] = []
    private var freeSlots: [Int32] = []
    private var fullPageCount = 0

    /// An empty set that allocates at most `pageLimit` pages of 4 KiB.
    package init(pageLimit: Int = .max) { self.pageLimit = pageLimit }

    /// The number of pages that take memory.
    package var allocatedPageCount: Int { counts.count - freeSlots.count }

    /// The number of pages that something is remembered about, whether they take memory of their own or not.
    package var trackedPageCount: Int { directory.count + distantPages.count }

    /// Whether no index is present.
    package var isEmpty: Bool { allocatedPageCount == 0 && fullPageCount == 0 }

    // MARK: Reading

    /// Whether `index` is present.
    package func contains(_ index: UInt64) -> Bool {
        word(index >> 6) & (1 << (index & 63)) != 0
    }

    /// The 64 indices that start at `64 * wordIndex`, lowest first.
    package func word(_ wordIndex: UInt64) -> UInt64 {
        let entry = entry(wordIndex >> 9)
        if entry == AvailabilityMap.empty { return 0 }
        if entry == AvailabilityMap.full { return .max }
        return words[Int(entry) * AvailabilityMap.wordsPerPage + Int(wordIndex & 511)]
    }

    /// Writes the words of a page, little endian, over `buffer`, which has the size of one.
    func copyPage(_ page: UInt64, into buffer: UnsafeMutableRawBufferPointer) {
        let entry = entry(page)
        guard entry >= 0 else {
            buffer.initializeMemory(as: UInt8.self, repeating: entry == AvailabilityMap.full ? .max : 0)
            return
        }
        let start = Int(entry) * AvailabilityMap.wordsPerPage
        for position in 0..<AvailabilityMap.wordsPerPage {
            buffer.storeBytes(of: words[start + position].littleEndian, toByteOffset: position * 8, as: UInt64.self)
        }
    }

    /// What the page with this number holds.
    package func state(ofPage page: UInt64) -> PageState {
        let entry = entry(page)
        return entry == AvailabilityMap.empty ? .empty : entry == AvailabilityMap.full ? .full : .mixed
    }

    /// The number of the first page at or after `page` that holds anything.
    package func firstOccupiedPage(from page: UInt64) -> UInt64? {
        if page < UInt64(directory.count) {
            for candidate in Int(page)..<directory.count where directory[candidate] != AvailabilityMap.empty {
                return UInt64(candidate)
            }
        }
        if distantPages.isEmpty { return nil }
        return distantPages.keys.lazy.filter { $0 >= page }.min()
    }

    /// The first present index in `range`.
    package func firstPresent(in range: Range<UInt64>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var wordIndex = range.lowerBound >> 6
        let lastWord = (range.upperBound - 1) >> 6
        var isFirst = true
        while wordIndex <= lastWord {
            if isFirst || wordIndex & 511 == 0 {
                guard let page = firstOccupiedPage(from: wordIndex >> 9) else { return nil }
                if page > wordIndex >> 9 {
                    wordIndex = page << 9
                    isFirst = false
                    continue
                }
            }
            let bits = word(wordIndex) & AvailabilityMap.mask(of: range, inWord: wordIndex)
            if bits != 0 { return wordIndex << 6 + UInt64(bits.trailingZeroBitCount) }
            isFirst = false
            wordIndex += 1
        }
        return nil
    }

    /// The first absent index in `range`.
    package func firstAbsent(in range: Range<UInt64>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var wordIndex = range.lowerBound >> 6
        let lastWord = (range.upperBound - 1) >> 6
        while wordIndex <= lastWord {
            if state(ofPage: wordIndex >> 9) == .full {
                wordIndex = (wordIndex >> 9 + 1) << 9
                continue
            }
            let bits = ~word(wordIndex) & AvailabilityMap.mask(of: range, inWord: wordIndex)
            if bits != 0 { return wordIndex << 6 + UInt64(bits.trailingZeroBitCount) }
            wordIndex += 1
        }
        return nil
    }

    /// The bits of a word that belong to `range`.
    package static func mask(of range: Range<UInt64>, inWord wordIndex: UInt64) -> UInt64 {
        var mask = UInt64.max
        if wordIndex == range.lowerBound >> 6 { mask &= .max << (range.lowerBound & 63) }
        if wordIndex == (range.upperBound - 1) >> 6 { mask &= .max >> (63 - (range.upperBound - 1) & 63) }
        return mask
    }

    // MARK: Changing

    /// Adds `index`; false if it was present, or if no further page may be allocated.
    @discardableResult
    package mutating func insert(_ index: UInt64) -> Bool {
        guard let offset = allocate(index >> AvailabilityMap.pageShift) else { return false }
        let position = offset + Int(index >> 6 & 511)
        let bit: UInt64 = 1 << (index & 63)
        guard words[position] & bit == 0 else { return false }
        words[position] |= bit
        note(page: index >> AvailabilityMap.pageShift, offset: offset, change: 1)
        return true
    }

    /// Removes `index`; false if it was absent.
    @discardableResult
    package mutating func remove(_ index: UInt64) -> Bool {
        let page = index >> AvailabilityMap.pageShift
        let entry = entry(page)
        if entry == AvailabilityMap.empty { return false }
        guard let offset = allocate(page) else {
            // A full page that cannot be split any more is forgotten rather than claimed.
            setEntry(page, AvailabilityMap.empty)
            return true
        }
        let position = offset + Int(index >> 6 & 511)
        let bit: UInt64 = 1 << (index & 63)
        guard words[position] & bit != 0 else { return false }
        words[position] &= ~bit
        note(page: page, offset: offset, change: -1)
        return true
    }

    /// Adds or removes every index of `range`, of which at most `pageCountLimit` pages are touched.
    package mutating func set(_ range: Range<UInt64>, present: Bool, pageCountLimit: UInt64 = .max) {
        guard !range.isEmpty else { return }
        var page = range.lowerBound >> AvailabilityMap.pageShift
        let lastPage = min(
            (range.upperBound - 1) >> AvailabilityMap.pageShift, page.addingClamped(pageCountLimit) - 1)
        while page <= lastPage {
            if !present {
                // Nothing is stored in between: jump.
                guard let occupied = firstOccupiedPage(from: page), occupied <= lastPage else { return }
                page = occupied
            }
            let start = max(range.lowerBound, page << AvailabilityMap.pageShift)
            let end = min(range.upperBound, (page + 1) << AvailabilityMap.pageShift)
            if end - start == AvailabilityMap.pageBitCount {
                setEntry(page, present ? AvailabilityMap.full : AvailabilityMap.empty)
            } else {
                setPart(start..<end, ofPage: page, present: present)
            }
            page += 1
        }
    }

    /// Overwrites the 32 indices that start at `32 * halfWordIndex`.
    package mutating func setHalfWord(_ halfWordIndex: UInt64, _ bits: UInt32) {
        let page = halfWordIndex >> 10
        let entry = entry(page)
        if entry == AvailabilityMap.empty && bits == 0 { return }
        if entry == AvailabilityMap.full && bits == .max { return }
        guard let offset = allocate(page) else {
            if entry == AvailabilityMap.full { setEntry(page, AvailabilityMap.empty) }
            return
        }
        let position = offset + Int(halfWordIndex >> 1 & 511)
        let shift = (halfWordIndex & 1) * 32
        let old = words[position]
        words[position] = old & ~(UInt64(UInt32.max) << shift) | UInt64(bits) << shift
        note(page: page, offset: offset, change: words[position].nonzeroBitCount - old.nonzeroBitCount)
    }

    /// Removes every index.
    package mutating func removeAll() { self = AvailabilityMap(pageLimit: pageLimit) }

    // MARK: Pages

    private static let pageShift: UInt64 = 15

    private func entry(_ page: UInt64) -> Int32 {
        if page < UInt64(directory.count) { return directory[Int(page)] }
        if distantPages.isEmpty { return AvailabilityMap.empty }
        return distantPages[page] ?? AvailabilityMap.empty
    }

    private mutating func setEntry(_ page: UInt64, _ value: Int32) {
        let old = entry(page)
        if old == value { return }
        if old == AvailabilityMap.full { fullPageCount -= 1 }
        if old >= 0 {
            if counts[Int(old)] > 0 {
                let start = Int(old) * AvailabilityMap.wordsPerPage
                for position in start..<start + AvailabilityMap.wordsPerPage { words[position] = 0 }
                counts[Int(old)] = 0
            }
            freeSlots.append(old)
        }
        if value == AvailabilityMap.full { fullPageCount += 1 }
        if page < AvailabilityMap.directoryLimit {
            while UInt64(directory.count) <= page { directory.append(AvailabilityMap.empty) }
            directory[Int(page)] = value
        } else if value == AvailabilityMap.empty {
            distantPages[page] = nil
        } else if value >= 0 || distantPages.count < pageLimit {
            distantPages[page] = value
        } else {
            fullPageCount -= 1
        }
    }

    /// The position in `words` of the page's first word, after allocating it if it was empty or full.
    private mutating func allocate(_ page: UInt64) -> Int? {
        let old = entry(page)
        if old >= 0 { return Int(old) * AvailabilityMap.wordsPerPage }
        let slot: Int32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            guard counts.count < min(pageLimit, Int(Int32.max)) else { return nil }
            slot = Int32(counts.count)
            counts.append(0)
            words.append(contentsOf: repeatElement(0, count: AvailabilityMap.wordsPerPage))
        }
        setEntry(page, slot)
        let start = Int(slot) * AvailabilityMap.wordsPerPage
        if old == AvailabilityMap.full {
            for position in start..<start + AvailabilityMap.wordsPerPage { words[position] = .max }
            counts[Int(slot)] = Int32(AvailabilityMap.pageBitCount)
        }
        return start
    }

    private mutating func note(page: UInt64, offset: Int, change: Int) {
        let slot = offset / AvailabilityMap.wordsPerPage
        counts[slot] += Int32(change)
        // One or the other: giving the slot back resets its count.
        if counts[slot] == Int32(AvailabilityMap.pageBitCount) {
            setEntry(page, AvailabilityMap.full)
        } else if counts[slot] == 0 {
            setEntry(page, AvailabilityMap.empty)
        }
    }

    private mutating func setPart(_ part: Range<UInt64>, ofPage page: UInt64, present: Bool) {
        let state = state(ofPage: page)
        if present ? state == .full : state == .empty { return }
        guard let offset = allocate(page) else {
            if !present { setEntry(page, AvailabilityMap.empty) }
            return
        }
        var change = 0
        for wordIndex in part.lowerBound >> 6...(part.upperBound - 1) >> 6 {
            let mask = AvailabilityMap.mask(of: part, inWord: wordIndex)
            let position = offset + Int(wordIndex & 511)
            let old = words[position]
            words[position] = present ? old | mask : old & ~mask
            change += words[position].nonzeroBitCount - old.nonzeroBitCount
        }
        note(page: page, offset: offset, change: change)
    }
}

extension UInt64 {
    /// The sum, or the largest value where it would not fit.
    package func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
