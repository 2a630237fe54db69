/// Short byte strings by number, of which the most recently used are kept, in bounded memory.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten. Each is one run of
/// bytes with a table of numbers, so that a string costs its bytes and about 20 more, and no object of its own.
struct ByteTable {
    private var young = Generation()
    private var old = Generation()
    private let generationByteCount: Int

    init(generationByteCount: Int) { self.generationByteCount = generationByteCount }

    /// Gives `body` the bytes of `number`, or returns nil if they are not here.
    mutating func withBytes<Result>(_ number: UInt64, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        if let range = young.range(of: number) {
            return young.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
        guard let range = old.range(of: number) else { return nil }
        let bytes = Array(old.bytes[range])
        return bytes.withUnsafeBytes { bytes in
            insert(bytes, for: number)
            return body(bytes)
        }
    }

    func contains(_ number: UInt64) -> Bool { young.range(of: number) != nil || old.range(of: number) != nil }

    /// Adds bytes, unless the number has some already. Numbers start at 1.
    mutating func insert(_ bytes: UnsafeRawBufferPointer, for number: UInt64) {
        precondition(number > 0, "zero stands for a free place")
        young.insert(bytes, for: number)
        guard young.byteCount > generationByteCount else { return }
        old = young
        young = Generation()
    }

    mutating func removeAll() {
        young = Generation()
        old = Generation()
    }

    private struct Generation {
        private(set) var bytes: [UInt8] = []
        private var numbers: [UInt64] = []
        private var starts: [UInt32] = []
        private var count = 0

        /// What the generation takes.
        var byteCount: Int { bytes.count + 12 * numbers.count }

        // Numbers are chosen by the author of a tree: the process's own seed keeps him from aiming at one place.
        private static let multiplier = UInt64(truncatingIfNeeded: 1.hashValue) | 1

        private func place(of number: UInt64) -> Int {
            let hash = (number &* Generation.multiplier) >> 20
            return Int(truncatingIfNeeded: hash) & (numbers.count - 1)
        }

        func range(of number: UInt64) -> Range<Int>? {
            guard !numbers.isEmpty else { return nil }
            var index = place(of: number)
            while numbers[index] != number {
                if numbers[index] == 0 { return nil }
                index = (index + 1) & (numbers.count - 1)
            }
            return record(at: Int(starts[index]))
        }

        /// A record is its length, base 128, and its bytes.
        private func record(at start: Int) -> Range<Int> {
            var position = start
            var length = 0
            var shift = 0
            while true {
                let byte = bytes[position]
                position += 1
                length |= Int(byte & 0x7f) << shift
                if byte < 0x80 { return position..<position + length }
                shift += 7
            }
        }

        mutating func insert(_ content: UnsafeRawBufferPointer, for number: UInt64) {
            if 8 * (count + 1) > 7 * numbers.count { grow() }
            var index = place(of: number)
            while numbers[index] != 0 {
                if numbers[index] == number { return }
                index = (index + 1) & (numbers.count - 1)
            }
            numbers[index] = number
            starts[index] = UInt32(bytes.count)
            count += 1
            var length = content.count
            while length >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: length) | 0x80)
                length >>= 7
            }
            bytes.append(UInt8(length))
            bytes.append(contentsOf: content)
        }

        private mutating func grow() {
            let (oldNumbers, oldStarts) = (numbers, starts)
            let capacity = max(64, 2 * numbers.count)
            numbers = [UInt64](repeating: 0, count: capacity)
            starts = [UInt32](repeating: 0, count: capacity)
            for (number, start) in zip(oldNumbers, oldStarts) where number != 0 {
                var index = place(of: number)
                while numbers[index] != 0 { index = (index + 1) & (capacity - 1) }
                numbers[index] = number
                starts[index] = start
            }
        }
    }
}
