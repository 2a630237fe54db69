// The form in which pages are stored: 4,096 bytes, the lowest index in the lowest bit of the first byte; spec 40
// section 8.

extension AvailabilityMap {
    /// The bytes of a stored page.
    package static let pageByteCount = Int(pageBitCount / 8)

    /// The bytes of a page with the indices of `removing` absent, then those of `adding` present.
    package func pageBytes(
        _ page: UInt64, adding: Range<UInt64>? = nil, removing: Range<UInt64>? = nil
    ) -> [UInt8] {
        let wordCount = AvailabilityMap.pageBitCount / 64
        return [UInt8](unsafeUninitializedCapacity: AvailabilityMap.pageByteCount) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for position in 0..<wordCount {
                let wordIndex = page * wordCount + position
                var word = word(wordIndex)
                if let removing { word &= ~AvailabilityMap.overlap(of: removing, withWord: wordIndex) }
                if let adding { word |= AvailabilityMap.overlap(of: adding, withWord: wordIndex) }
                raw.storeBytes(of: word.littleEndian, toByteOffset: Int(position) * 8, as: UInt64.self)
            }
            count = AvailabilityMap.pageByteCount
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

    /// The bits of a word that belong to `range`; none if the word lies outside.
    private static func overlap(of range: Range<UInt64>, withWord wordIndex: UInt64) -> UInt64 {
        guard !range.isEmpty, wordIndex >= range.lowerBound >> 6, wordIndex <= (range.upperBound - 1) >> 6 else {
            return 0
        }
        return mask(of: range, inWord: wordIndex)
    }
}
