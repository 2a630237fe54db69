/// Short byte strings by number, each added once.
///
/// One run of bytes with a table of places, so that a string costs its bytes and about ten more, and no object of its own.
struct ByteMap {
    /// What a string takes beside its bytes, about.
    static let recordByteCount = 12

    /// Records back to back: a number and the count of its bytes, both base 128, and the bytes.
    private var bytes: [UInt8] = []
    /// Zero where free; otherwise where a record starts, counted from 1, below a few bits of its number's hash.
    private var places: [UInt32] = []
    private var shift = UInt64(UInt64.bitWidth)
    private var count = 0

    private static let startBitCount: UInt32 = 23
    /// Records start below this.
    static let startLimit = 1 << Int(startBitCount) - 1
    // From here on there is room for all that is expected: growing step by step would copy, and leave half unused.
    // What is not written to takes no memory.
    private static let smallByteCount = 64 << 10

    /// What the map takes.
    var byteCount: Int { bytes.count + 4 * places.count }

    // Numbers are chosen by the author of a tree: the process's own seed keeps him from aiming at one place.
    private static let multiplier = UInt64(truncatingIfNeeded: 1.hashValue) | 1

    private static func tag(of hash: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hash >> 16) << startBitCount
    }

    /// Gives `body` the bytes of `number`, or returns nil if they are not here.
    func withBytes<Result>(_ number: UInt64, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        guard let range = range(of: number) else { return nil }
        return bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func contains(_ number: UInt64) -> Bool { range(of: number) != nil }

    private func range(of number: UInt64) -> Range<Int>? {
        guard !places.isEmpty else { return nil }
        let hash = number &* ByteMap.multiplier
        let tag = ByteMap.tag(of: hash)
        var index = Int(truncatingIfNeeded: hash >> shift)
        while places[index] != 0 {
            let place = places[index]
            if (place ^ tag) >> ByteMap.startBitCount == 0 {
                let record = record(at: Int(place & ((1 << ByteMap.startBitCount) - 1)) - 1)
                if record.number == number { return record.content }
            }
            index = (index + 1) & (places.count - 1)
        }
        return nil
    }

    private func record(at start: Int) -> (number: UInt64, content: Range<Int>) {
        var position = start
        let number = integer(at: &position)
        let count = Int(truncatingIfNeeded: integer(at: &position))
        return (number, position..<position + count)
    }

    @inline(__always)
    private func integer(at position: inout Int) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    private mutating func write(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Adds bytes, unless the number has some already. Numbers start at 1.
    ///
    /// - Parameter capacity: What all strings together are expected to take.
    mutating func insert(_ content: UnsafeRawBufferPointer, for number: UInt64, capacity: Int) {
        precondition(number > 0, "numbers start at 1")
        precondition(bytes.count < ByteMap.startLimit, "a place has room for the start of every string")
        if range(of: number) != nil { return }
        if 8 * (count + 1) > 7 * places.count { grow() }
        if bytes.capacity < capacity, bytes.count + content.count > ByteMap.smallByteCount {
            bytes.reserveCapacity(capacity)
        }
        place(number, at: bytes.count)
        count += 1
        write(number)
        write(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    private mutating func place(_ number: UInt64, at start: Int) {
        let hash = number &* ByteMap.multiplier
        var index = Int(truncatingIfNeeded: hash >> shift)
        while places[index] != 0 { index = (index + 1) & (places.count - 1) }
        places[index] = ByteMap.tag(of: hash) | UInt32(start + 1)
    }

    private mutating func grow() {
        let capacity = max(64, 2 * places.count)
        places = [UInt32](repeating: 0, count: capacity)
        shift = UInt64(UInt64.bitWidth - capacity.trailingZeroBitCount)
        var start = 0
        while start < bytes.count {
            let record = record(at: start)
            place(record.number, at: start)
            start = record.content.upperBound
        }
    }
}
