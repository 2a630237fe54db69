/// 32768 bits: what one stored record holds; spec 40 section 8. Takes memory only while some bits are set and some
/// are not.
struct BitfieldPage: Sendable, Equatable {
    static let bitCount = 32768
    static let byteCount = bitCount / 8
    static let wordCount = bitCount / 64

    static let empty = BitfieldPage(setCount: 0, words: [])
    static let full = BitfieldPage(setCount: bitCount, words: [])

    /// The number of bits that are set.
    private(set) var setCount: Int
    // Empty where all bits are equal.
    private var words: [UInt64]

    private init(setCount: Int, words: [UInt64]) {
        self.setCount = setCount
        self.words = words
    }

    /// A page from stored bytes, of which absent ones are zero.
    init(bytes: [UInt8]) {
        var words = [UInt64](repeating: 0, count: BitfieldPage.wordCount)
        for (index, byte) in bytes.prefix(BitfieldPage.byteCount).enumerated() where byte != 0 {
            words[index >> 3] |= UInt64(byte) << UInt64((index & 7) * 8)
        }
        self.init(setCount: words.reduce(0) { $0 + $1.nonzeroBitCount }, words: words)
        shrink()
    }

    var isEmpty: Bool { setCount == 0 }
    var isMixed: Bool { !words.isEmpty }

    /// The stored form: bit `i` is in byte `i / 8` with mask `1 << (i % 8)`.
    var bytes: [UInt8] {
        guard isMixed else { return [UInt8](repeating: isEmpty ? 0 : 0xff, count: BitfieldPage.byteCount) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(BitfieldPage.byteCount)
        for word in words {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return bytes
    }

    func word(at index: Int) -> UInt64 { isMixed ? words[index] : isEmpty ? 0 : .max }

    subscript(bit: Int) -> Bool { word(at: bit >> 6) & (1 << UInt64(bit & 63)) != 0 }

    /// Changes one bit; returns whether it was different.
    mutating func set(_ bit: Int, to value: Bool) -> Bool {
        guard self[bit] != value else { return false }
        grow()
        words[bit >> 6] ^= 1 << UInt64(bit & 63)
        setCount += value ? 1 : -1
        shrink()
        return true
    }

    /// Changes a range of bits; returns how many were different.
    mutating func fill(_ bits: Range<Int>, with value: Bool) -> Int {
        guard !bits.isEmpty else { return 0 }
        let before = setCount
        if bits.count == BitfieldPage.bitCount {
            self = value ? .full : .empty
            return abs(setCount - before)
        }
        grow()
        for index in (bits.lowerBound >> 6)...((bits.upperBound - 1) >> 6) {
            replace(index, with: value ? .max : 0, mask: BitfieldPage.mask(of: bits, inWord: index))
        }
        shrink()
        return abs(setCount - before)
    }

    /// Overwrites the masked bits of a word; to be followed by ``shrink()``, after ``grow()``.
    private mutating func replace(_ index: Int, with value: UInt64, mask: UInt64) {
        let old = words[index]
        let new = (old & ~mask) | (value & mask)
        setCount += new.nonzeroBitCount - old.nonzeroBitCount
        words[index] = new
    }

    /// Overwrites 32-bit words from bit `start` on, which must be a multiple of 32 and leave room for them.
    mutating func overwrite(from start: Int, with values: ArraySlice<UInt32>) {
        guard !values.isEmpty else { return }
        grow()
        var bit = start
        for value in values {
            let shift = UInt64(bit & 63)
            replace(bit >> 6, with: UInt64(value) << shift, mask: 0xffff_ffff << shift)
            bit += 32
        }
        shrink()
    }

    /// The first bit from `start` on with this value.
    func firstIndex(of value: Bool, from start: Int) -> Int? {
        guard start < BitfieldPage.bitCount else { return nil }
        guard isMixed else { return isEmpty != value ? start : nil }
        var index = start >> 6
        var word = (value ? words[index] : ~words[index]) & (.max << UInt64(start & 63))
        while word == 0 {
            index += 1
            guard index < BitfieldPage.wordCount else { return nil }
            word = value ? words[index] : ~words[index]
        }
        return index * 64 + word.trailingZeroBitCount
    }

    /// The last bit before `end` with this value.
    func lastIndex(of value: Bool, before end: Int) -> Int? {
        guard end > 0 else { return nil }
        guard isMixed else { return isEmpty != value ? end - 1 : nil }
        var index = (end - 1) >> 6
        var word = (value ? words[index] : ~words[index]) & (.max >> UInt64(63 - ((end - 1) & 63)))
        while word == 0 {
            index -= 1
            guard index >= 0 else { return nil }
            word = value ? words[index] : ~words[index]
        }
        return index * 64 + 63 - word.leadingZeroBitCount
    }

    /// The number of set bits in a range.
    func count(in bits: Range<Int>) -> Int {
        guard !bits.isEmpty else { return 0 }
        guard isMixed else { return isEmpty ? 0 : bits.count }
        if bits.count == BitfieldPage.bitCount { return setCount }
        var count = 0
        for index in (bits.lowerBound >> 6)...((bits.upperBound - 1) >> 6) {
            count += (words[index] & BitfieldPage.mask(of: bits, inWord: index)).nonzeroBitCount
        }
        return count
    }

    private static func mask(of bits: Range<Int>, inWord index: Int) -> UInt64 {
        let first = max(bits.lowerBound - index * 64, 0)
        let last = min(bits.upperBound - index * 64, 64) - 1
        return (.max << UInt64(first)) & (.max >> UInt64(63 - last))
    }

    private mutating func grow() {
        if words.isEmpty { words = [UInt64](repeating: isEmpty ? 0 : .max, count: BitfieldPage.wordCount) }
    }

    private mutating func shrink() {
        if setCount == 0 || setCount == BitfieldPage.bitCount { words = [] }
    }
}
