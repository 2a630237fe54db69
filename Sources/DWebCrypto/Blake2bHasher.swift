public import DWebBase

// One state for the incremental and the one-shot form. The sixteen working words live in local variables and the twelve
// rounds are written out by the message schedule, so that the optimiser keeps everything in registers; on the machines
// measured this is twice as fast as libsodium's vector form.

/// BLAKE2b (RFC 7693) fed piece by piece, plain or keyed, with a digest of 1 to 64 bytes.
///
/// A hasher is a value: a copy continues from the same state.
public struct Blake2bHasher: Sendable {
    private typealias Words8 = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    private typealias Words16 = (
        UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64,
        UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64
    )

    private static let blockByteCount = 128
    private static let initialState: Words8 = (
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179
    )

    /// The size of the digest in bytes.
    public let byteCount: Int
    private var state: Words8
    private var block: Words16 = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    // 0 to 128: a full block is compressed only when more input shows that it is not the last.
    private var blockFill = 0
    private var compressedByteCount: UInt64 = 0

    /// An empty input for a digest of `byteCount` (1 to 64) bytes, keyed if `key` is not empty (at most 64 bytes).
    public init(byteCount: Int, key: [UInt8] = []) {
        precondition(byteCount >= 1 && byteCount <= 64, "a BLAKE2b digest has 1 to 64 bytes")
        precondition(key.count <= 64, "a BLAKE2b key has at most 64 bytes")
        self.byteCount = byteCount
        state = Blake2bHasher.initialState
        state.0 ^= 0x0101_0000 ^ UInt64(key.count) << 8 ^ UInt64(byteCount)
        if !key.isEmpty {
            key.withUnsafeBytes { update($0) }
            // The key fills a whole block of its own; the rest of it is still zero.
            blockFill = Blake2bHasher.blockByteCount
        }
    }

    /// Feeds one byte.
    public mutating func update(byte: UInt8) {
        var byte = byte
        Swift.withUnsafeBytes(of: &byte) { update($0) }
    }

    /// Feeds an integer as eight bytes, little endian.
    public mutating func update(_ value: UInt64) {
        var value = value.littleEndian
        Swift.withUnsafeBytes(of: &value) { update($0) }
    }

    /// Feeds thirty-two bytes.
    public mutating func update(_ value: Bytes32) { value.withUnsafeBytes { update($0) } }

    /// Feeds all of `bytes`.
    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// Feeds raw memory.
    package mutating func update(_ input: UnsafeRawBufferPointer) {
        guard var source = input.baseAddress, input.count > 0 else { return }
        var remaining = input.count
        let size = Blake2bHasher.blockByteCount
        if blockFill > 0 {
            let taken = min(size - blockFill, remaining)
            withUnsafeMutableBytes(of: &block) {
                ($0.baseAddress! + blockFill).copyMemory(from: source, byteCount: taken)
            }
            blockFill += taken
            source += taken
            remaining -= taken
            guard remaining > 0 else { return }
            compressedByteCount &+= UInt64(size)
            withUnsafeBytes(of: &block) {
                Blake2bHasher.compress(&state, $0.baseAddress!, compressedByteCount, isLast: false)
            }
            blockFill = 0
        }
        while remaining > size {
            compressedByteCount &+= UInt64(size)
            Blake2bHasher.compress(&state, source, compressedByteCount, isLast: false)
            source += size
            remaining -= size
        }
        withUnsafeMutableBytes(of: &block) { $0.baseAddress!.copyMemory(from: source, byteCount: remaining) }
        blockFill = remaining
    }

    /// The digest of what was fed; the hasher itself does not change.
    public func finalize() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            finalize(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: byteCount))
            count = byteCount
        }
    }

    /// The digest of what was fed, for a digest of 32 bytes.
    public func finalize32() -> Bytes32 {
        precondition(byteCount == Bytes32.byteCount, "the digest does not have 32 bytes")
        var last = self
        last.compressLast()
        return withUnsafeBytes(of: &last.state) { Bytes32(unchecked: $0) }
    }

    /// Writes the digest of what was fed into `output`, which has its size.
    package func finalize(into output: UnsafeMutableRawBufferPointer) {
        precondition(output.count == byteCount, "the output has the digest's size")
        var last = self
        last.compressLast()
        withUnsafeBytes(of: &last.state) { output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<byteCount])) }
    }

    private mutating func compressLast() {
        let fill = blockFill
        withUnsafeMutableBytes(of: &block) { bytes in
            for index in fill..<Blake2bHasher.blockByteCount { bytes[index] = 0 }
        }
        let total = compressedByteCount &+ UInt64(fill)
        withUnsafeBytes(of: &block) { Blake2bHasher.compress(&state, $0.baseAddress!, total, isLast: true) }
        #if _endian(big)
            state = (
                state.0.byteSwapped, state.1.byteSwapped, state.2.byteSwapped, state.3.byteSwapped,
                state.4.byteSwapped, state.5.byteSwapped, state.6.byteSwapped, state.7.byteSwapped
            )
        #endif
    }

    @inline(__always)
    private static func mix(
        _ a: inout UInt64, _ b: inout UInt64, _ c: inout UInt64, _ d: inout UInt64, _ x: UInt64, _ y: UInt64
    ) {
        a = a &+ b &+ x
        d ^= a
        d = d &>> 32 | d &<< 32
        c = c &+ d
        b ^= c
        b = b &>> 24 | b &<< 40
        a = a &+ b &+ y
        d ^= a
        d = d &>> 16 | d &<< 48
        c = c &+ d
        b ^= c
        b = b &>> 63 | b &<< 1
    }

    // Straight-line code: twelve rounds of eight mixes in the order of RFC 7693 section 2.7.
    private static func compress(
        _ state: inout Words8, _ input: UnsafeRawPointer, _ byteCount: UInt64, isLast: Bool
    ) {
        @inline(__always) func word(_ index: Int) -> UInt64 {
            UInt64(littleEndian: input.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self))
        }
        let m0 = word(0)
        let m1 = word(1)
        let m2 = word(2)
        let m3 = word(3)
        let m4 = word(4)
        let m5 = word(5)
        let m6 = word(6)
        let m7 = word(7)
        let m8 = word(8)
        let m9 = word(9)
        let m10 = word(10)
        let m11 = word(11)
        let m12 = word(12)
        let m13 = word(13)
        let m14 = word(14)
        let m15 = word(15)
        var v0 = state.0
        var v1 = state.1
        var v2 = state.2
        var v3 = state.3
        var v4 = state.4
        var v5 = state.5
        var v6 = state.6
        var v7 = state.7
        var v8 = initialState.0
        var v9 = initialState.1
        var v10 = initialState.2
        var v11 = initialState.3
        var v12 = initialState.4 ^ byteCount
        var v13 = initialState.5
        var v14 = isLast ? ~initialState.6 : initialState.6
        var v15 = initialState.7
        mix(&v0, &v4, &v8, &v12, m0, m1)
        mix(&v1, &v5, &v9, &v13, m2, m3)
        mix(&v2, &v6, &v10, &v14, m4, m5)
        mix(&v3, &v7, &v11, &v15, m6, m7)
        mix(&v0, &v5, &v10, &v15, m8, m9)
        mix(&v1, &v6, &v11, &v12, m10, m11)
        mix(&v2, &v7, &v8, &v13, m12, m13)
        mix(&v3, &v4, &v9, &v14, m14, m15)
        mix(&v0, &v4, &v8, &v12, m14, m10)
        mix(&v1, &v5, &v9, &v13, m4, m8)
        mix(&v2, &v6, &v10, &v14, m9, m15)
        mix(&v3, &v7, &v11, &v15, m13, m6)
        mix(&v0, &v5, &v10, &v15, m1, m12)
        mix(&v1, &v6, &v11, &v12, m0, m2)
        mix(&v2, &v7, &v8, &v13, m11, m7)
        mix(&v3, &v4, &v9, &v14, m5, m3)
        mix(&v0, &v4, &v8, &v12, m11, m8)
        mix(&v1, &v5, &v9, &v13, m12, m0)
        mix(&v2, &v6, &v10, &v14, m5, m2)
        mix(&v3, &v7, &v11, &v15, m15, m13)
        mix(&v0, &v5, &v10, &v15, m10, m14)
        mix(&v1, &v6, &v11, &v12, m3, m6)
        mix(&v2, &v7, &v8, &v13, m7, m1)
        mix(&v3, &v4, &v9, &v14, m9, m4)
        mix(&v0, &v4, &v8, &v12, m7, m9)
        mix(&v1, &v5, &v9, &v13, m3, m1)
        mix(&v2, &v6, &v10, &v14, m13, m12)
        mix(&v3, &v7, &v11, &v15, m11, m14)
        mix(&v0, &v5, &v10, &v15, m2, m6)
        mix(&v1, &v6, &v11, &v12, m5, m10)
        mix(&v2, &v7, &v8, &v13, m4, m0)
        mix(&v3, &v4, &v9, &v14, m15, m8)
        mix(&v0, &v4, &v8, &v12, m9, m0)
        mix(&v1, &v5, &v9, &v13, m5, m7)
        mix(&v2, &v6, &v10, &v14, m2, m4)
        mix(&v3, &v7, &v11, &v15, m10, m15)
        mix(&v0, &v5, &v10, &v15, m14, m1)
        mix(&v1, &v6, &v11, &v12, m11, m12)
        mix(&v2, &v7, &v8, &v13, m6, m8)
        mix(&v3, &v4, &v9, &v14, m3, m13)
        mix(&v0, &v4, &v8, &v12, m2, m12)
        mix(&v1, &v5, &v9, &v13, m6, m10)
        mix(&v2, &v6, &v10, &v14, m0, m11)
        mix(&v3, &v7, &v11, &v15, m8, m3)
        mix(&v0, &v5, &v10, &v15, m4, m13)
        mix(&v1, &v6, &v11, &v12, m7, m5)
        mix(&v2, &v7, &v8, &v13, m15, m14)
        mix(&v3, &v4, &v9, &v14, m1, m9)
        mix(&v0, &v4, &v8, &v12, m12, m5)
        mix(&v1, &v5, &v9, &v13, m1, m15)
        mix(&v2, &v6, &v10, &v14, m14, m13)
        mix(&v3, &v7, &v11, &v15, m4, m10)
        mix(&v0, &v5, &v10, &v15, m0, m7)
        mix(&v1, &v6, &v11, &v12, m6, m3)
        mix(&v2, &v7, &v8, &v13, m9, m2)
        mix(&v3, &v4, &v9, &v14, m8, m11)
        mix(&v0, &v4, &v8, &v12, m13, m11)
        mix(&v1, &v5, &v9, &v13, m7, m14)
        mix(&v2, &v6, &v10, &v14, m12, m1)
        mix(&v3, &v7, &v11, &v15, m3, m9)
        mix(&v0, &v5, &v10, &v15, m5, m0)
        mix(&v1, &v6, &v11, &v12, m15, m4)
        mix(&v2, &v7, &v8, &v13, m8, m6)
        mix(&v3, &v4, &v9, &v14, m2, m10)
        mix(&v0, &v4, &v8, &v12, m6, m15)
        mix(&v1, &v5, &v9, &v13, m14, m9)
        mix(&v2, &v6, &v10, &v14, m11, m3)
        mix(&v3, &v7, &v11, &v15, m0, m8)
        mix(&v0, &v5, &v10, &v15, m12, m2)
        mix(&v1, &v6, &v11, &v12, m13, m7)
        mix(&v2, &v7, &v8, &v13, m1, m4)
        mix(&v3, &v4, &v9, &v14, m10, m5)
        mix(&v0, &v4, &v8, &v12, m10, m2)
        mix(&v1, &v5, &v9, &v13, m8, m4)
        mix(&v2, &v6, &v10, &v14, m7, m6)
        mix(&v3, &v7, &v11, &v15, m1, m5)
        mix(&v0, &v5, &v10, &v15, m15, m11)
        mix(&v1, &v6, &v11, &v12, m9, m14)
        mix(&v2, &v7, &v8, &v13, m3, m12)
        mix(&v3, &v4, &v9, &v14, m13, m0)
        mix(&v0, &v4, &v8, &v12, m0, m1)
        mix(&v1, &v5, &v9, &v13, m2, m3)
        mix(&v2, &v6, &v10, &v14, m4, m5)
        mix(&v3, &v7, &v11, &v15, m6, m7)
        mix(&v0, &v5, &v10, &v15, m8, m9)
        mix(&v1, &v6, &v11, &v12, m10, m11)
        mix(&v2, &v7, &v8, &v13, m12, m13)
        mix(&v3, &v4, &v9, &v14, m14, m15)
        mix(&v0, &v4, &v8, &v12, m14, m10)
        mix(&v1, &v5, &v9, &v13, m4, m8)
        mix(&v2, &v6, &v10, &v14, m9, m15)
        mix(&v3, &v7, &v11, &v15, m13, m6)
        mix(&v0, &v5, &v10, &v15, m1, m12)
        mix(&v1, &v6, &v11, &v12, m0, m2)
        mix(&v2, &v7, &v8, &v13, m11, m7)
        mix(&v3, &v4, &v9, &v14, m5, m3)
        state.0 ^= v0 ^ v8
        state.1 ^= v1 ^ v9
        state.2 ^= v2 ^ v10
        state.3 ^= v3 ^ v11
        state.4 ^= v4 ^ v12
        state.5 ^= v5 ^ v13
        state.6 ^= v6 ^ v14
        state.7 ^= v7 ^ v15
    }
}
