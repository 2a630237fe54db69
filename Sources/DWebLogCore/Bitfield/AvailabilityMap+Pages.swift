// The form in which pages are stored: 4,096 bytes, the lowest index in the lowest bit of the first byte; spec 40
// section 8.

extension AvailabilityMap {
    /// The bytes of a stored page.
    package static let pageByteCount = Int(pageBitCount / 8)

    /// The bytes of a page with the indices of `removing` absent, then those of `adding` present.
    package func pageBytes(
        _ page: UInt64, adding: Range<UInt64>? = nil, removing: Range<UInt64>? = nil
    ) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: AvailabilityMap.pageByteCount) { buffer, count in
            writePage(page, adding: adding, removing: removing, to: UnsafeMutableRawBufferPointer(buffer))
            count = AvailabilityMap.pageByteCount
        }
    }

    /// Writes what ``pageBytes(_:adding:removing:)`` gives to a buffer of ``pageByteCount`` bytes, aligned or not.
    package func writePage(
        _ page: UInt64, adding: Range<UInt64>? = nil, removing: Range<UInt64>? = nil,
        to buffer: UnsafeMutableRawBufferPointer
    ) {
        copyPage(page, into: buffer)
        if let removing { AvailabilityMap.change(buffer, page, removing) { $0 & ~$1 } }
        if let adding { AvailabilityMap.change(buffer, page, adding) { $0 | $1 } }
    }

    /// Changes the words of a page's bytes that `range` touches, by what they are and which bits of them it covers.
    private static func change(
        _ raw: UnsafeMutableRawBufferPointer, _ page: UInt64, _ range: Range<UInt64>,
        _ combine: (UInt64, UInt64) -> UInt64
    ) {
        let range = range.clamped(to: page * pageBitCount..<(page + 1) * pageBitCount)
        guard !range.isEmpty else { return }
        for wordIndex in range.lowerBound >> 6...(range.upperBound - 1) >> 6 {
            let offset = Int(wordIndex & (pageBitCount / 64 - 1)) * 8
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let changed = combine(word, mask(of: range, inWord: wordIndex))
            raw.storeBytes(of: changed.littleEndian, toByteOffset: offset, as: UInt64.self)
        }
    }

    /// Adds the indices of a stored page that are below `length`; a page of another size is ignored.
    package mutating func insertPage(_ page: UInt64, _ bytes: [UInt8], length: UInt64) {
        let (first, overflow) = page.multipliedReportingOverflow(by: AvailabilityMap.pageBitCount)
        guard bytes.count == AvailabilityMap.pageByteCount, !overflow, first < length else { return }
        bytes.withUnsafeBytes { raw in
            for half in 0..<AvailabilityMap.pageBitCount / 32 {
                let position = first / 32 + half
                let stored = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: Int(half) * 4, as: UInt32.self))
                let known = UInt32(truncatingIfNeeded: word(position / 2) >> (position % 2 * 32))
                if stored & ~known != 0 { setHalfWord(position, stored | known) }
            }
        }
        let end = first.addingClamped(AvailabilityMap.pageBitCount)
        if end > length { set(length..<end, present: false) }
    }
}
