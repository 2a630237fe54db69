/// A block as the cache holds it: what a scan asks for comes first and is found without decoding the rest.
///
/// The layout: one byte that tells what is known of the value, the counts of key and value, base 128, then key, value
/// and, unless only these are held, index.
struct PackedBlock {
    private enum ValueKind: UInt8 { case absent, present, elided }

    private let bytes: UnsafeRawBufferPointer
    private let kind: ValueKind
    private let keyStart: Int
    private let valueStart: Int
    private let indexStart: Int

    /// Reads what ``pack(_:_:)`` wrote.
    init(_ bytes: UnsafeRawBufferPointer) {
        guard let kind = ValueKind(rawValue: bytes[0]) else { preconditionFailure("the cache wrote the byte itself") }
        self.bytes = bytes
        self.kind = kind
        var position = 1
        let keyCount = PackedBlock.integer(bytes, at: &position)
        let valueCount = PackedBlock.integer(bytes, at: &position)
        keyStart = position
        valueStart = keyStart + keyCount
        indexStart = valueStart + valueCount
    }

    var key: [UInt8] { Array(bytes[keyStart..<valueStart]) }

    var value: TreeBlock.Value {
        switch kind {
        case .absent: .absent
        case .present: .present(Array(bytes[valueStart..<indexStart]))
        case .elided: .elided
        }
    }

    /// The block that was packed.
    func block(_ sequence: UInt64) -> TreeBlock {
        let value = valueStart - keyStart..<indexStart - keyStart
        return TreeBlock(
            sequence: sequence, bytes: Array(bytes[keyStart...]), index: value.upperBound..<bytes.count - keyStart,
            key: 0..<value.lowerBound,
            value: {
                switch kind {
                case .absent: .absent
                case .present: .present(value)
                case .elided: .elided
                }
            }())
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer, at position: inout Int) -> Int {
        var value = 0
        var shift = 0
        while true {
            let byte = bytes[position]
            position += 1
            value |= Int(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    /// Writes a block and hands the bytes to `body`.
    static func pack<Result>(_ block: TreeBlock, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        write(block, index: block.index, body)
    }

    /// Writes key and value of a block and hands the bytes to `body`.
    static func withContent<Result>(of block: TreeBlock, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        write(block, index: 0..<0, body)
    }

    private static func write<Result>(
        _ block: TreeBlock, index: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        let (kind, value): (ValueKind, Range<Int>) =
            switch block.valueState {
            case .absent: (.absent, 0..<0)
            case .present(let range): (.present, range)
            case .elided: (.elided, 0..<0)
            }
        // Two counts of at most ten bytes and the kind.
        let byteCount = 21 + block.keyRange.count + value.count + index.count
        return withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 1) { buffer in
            buffer[0] = kind.rawValue
            var position = 1
            func write(_ count: Int) {
                var rest = count
                while rest >= 0x80 {
                    buffer[position] = UInt8(truncatingIfNeeded: rest) | 0x80
                    rest >>= 7
                    position += 1
                }
                buffer[position] = UInt8(rest)
                position += 1
            }
            write(block.keyRange.count)
            write(value.count)
            block.bytes.withUnsafeBytes { bytes in
                for range in [block.keyRange, value, index] {
                    UnsafeMutableRawBufferPointer(rebasing: buffer[position...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
                    position += range.count
                }
            }
            return body(UnsafeRawBufferPointer(rebasing: buffer[..<position]))
        }
    }
}
