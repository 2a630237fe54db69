/// Thirty-two bytes held inline: the size of every key, hash and target of this protocol family.
///
/// A value is four machine words, so that it hashes and compares without touching the heap. Bytes are ordered as
/// unsigned, first byte most significant.
public struct Bytes32: Hashable, Sendable, Comparable {
    /// The number of bytes in a value.
    public static let byteCount = 32
    /// Thirty-two zero bytes.
    public static let zero = Bytes32()

    // Big-endian words, so that comparing words compares bytes.
    private var word0: UInt64
    private var word1: UInt64
    private var word2: UInt64
    private var word3: UInt64

    private init() {
        word0 = 0
        word1 = 0
        word2 = 0
        word3 = 0
    }

    /// Takes exactly 32 bytes; nil for any other count.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Bytes32.byteCount else { return nil }
        let value: Bytes32?? = bytes.withContiguousStorageIfAvailable { Bytes32(unchecked: UnsafeRawBufferPointer($0)) }
        if let value, let value {
            self = value
        } else {
            self = Array(bytes).withUnsafeBytes { Bytes32(unchecked: $0) }
        }
    }

    /// Takes the first 32 bytes of `buffer`, which must hold at least that many.
    package init(unchecked buffer: UnsafeRawBufferPointer) {
        precondition(buffer.count >= Bytes32.byteCount, "Bytes32 needs 32 bytes")
        word0 = UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        word1 = UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// Thirty-two times the same byte.
    public init(repeating byte: UInt8) {
        let word = UInt64(byte) &* 0x0101_0101_0101_0101
        word0 = word
        word1 = word
        word2 = word
        word3 = word
    }

    /// Lets `body` write 32 bytes in place, for example as the output of a hash.
    package init<Failure: Error>(
        unsafeInitializing body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var raw: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        func fill(_ pointer: UnsafeMutablePointer<(UInt64, UInt64, UInt64, UInt64)>) throws(Failure) {
            try body(UnsafeMutableRawBufferPointer(start: pointer, count: Bytes32.byteCount))
        }
        try fill(&raw)
        word0 = UInt64(bigEndian: raw.0)
        word1 = UInt64(bigEndian: raw.1)
        word2 = UInt64(bigEndian: raw.2)
        word3 = UInt64(bigEndian: raw.3)
    }

    /// Calls `body` with the 32 bytes, without allocating.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var raw = (word0.bigEndian, word1.bigEndian, word2.bigEndian, word3.bigEndian)
        func read(_ pointer: UnsafePointer<(UInt64, UInt64, UInt64, UInt64)>) throws(Failure) -> Result {
            try body(UnsafeRawBufferPointer(start: pointer, count: Bytes32.byteCount))
        }
        return try read(&raw)
    }

    /// The 32 bytes as an array; allocates.
    public var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Bytes32.byteCount) { buffer, count in
            withUnsafeBytes {
                buffer.baseAddress.map(UnsafeMutableRawPointer.init)?.copyMemory(from: $0.baseAddress!, byteCount: 32)
            }
            count = Bytes32.byteCount
        }
    }

    /// The byte at `index`, 0 to 31.
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < Bytes32.byteCount, "Bytes32 index out of range")
        let word = index < 8 ? word0 : index < 16 ? word1 : index < 24 ? word2 : word3
        return UInt8(truncatingIfNeeded: word >> UInt64(56 - (index % 8) * 8))
    }

    /// The number of leading bits in which `self` and `other` agree, 0 to 256.
    public func commonPrefixBitCount(with other: Bytes32) -> Int {
        let differences = (word0 ^ other.word0, word1 ^ other.word1, word2 ^ other.word2, word3 ^ other.word3)
        if differences.0 != 0 { return differences.0.leadingZeroBitCount }
        if differences.1 != 0 { return 64 + differences.1.leadingZeroBitCount }
        if differences.2 != 0 { return 128 + differences.2.leadingZeroBitCount }
        return 192 + differences.3.leadingZeroBitCount
    }

    /// The bitwise exclusive or: the Kademlia distance when compared as a number.
    public static func ^ (left: Bytes32, right: Bytes32) -> Bytes32 {
        var result = Bytes32()
        result.word0 = left.word0 ^ right.word0
        result.word1 = left.word1 ^ right.word1
        result.word2 = left.word2 ^ right.word2
        result.word3 = left.word3 ^ right.word3
        return result
    }

    /// Compares as unsigned byte strings.
    public static func < (left: Bytes32, right: Bytes32) -> Bool {
        if left.word0 != right.word0 { return left.word0 < right.word0 }
        if left.word1 != right.word1 { return left.word1 < right.word1 }
        if left.word2 != right.word2 { return left.word2 < right.word2 }
        return left.word3 < right.word3
    }
}

extension Bytes32: CustomStringConvertible {
    /// The bytes in lower-case hexadecimal.
    public var description: String { Hex.encode(bytes) }
}
