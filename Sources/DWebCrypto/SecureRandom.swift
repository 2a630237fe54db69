import CSodium
public import DWebBase

/// A cryptographic random generator that is a pure function of its 32-byte seed: ChaCha20 through libsodium.
///
/// Cores draw keys, nonces and identifiers from it. Seeded from the system's entropy it is as strong as that; seeded
/// from a simulation's seed it makes the whole run reproducible.
public struct SecureRandom: RandomNumberGenerator, Sendable {
    private var key: Bytes32
    private var pool: [UInt8] = []
    private var used = 0
    // Refilled in blocks: one libsodium call per 512 bytes instead of one per number.
    private static let poolByteCount = 512

    /// A generator whose output follows from `seed` alone.
    public init(seed: Bytes32) { key = seed }

    /// Eight random bytes as a number.
    public mutating func next() -> UInt64 {
        if pool.count - used < 8 { refill() }
        defer { used += 8 }
        var value: UInt64 = 0
        for index in 0..<8 {
            value |= UInt64(pool[used + index]) << UInt64(8 * index)
            pool[used + index] = 0
        }
        return value
    }

    /// `count` random bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            var word = next()
            for _ in 0..<8 {
                result.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        result.removeLast(result.count - count)
        return result
    }

    /// Thirty-two random bytes: a seed, key or secret.
    public mutating func bytes32() -> Bytes32 { Bytes32(bytes(32)) ?? .zero }

    /// A fresh random key pair.
    public mutating func keyPair() -> KeyPair { KeyPair(seed: bytes32()) }

    /// An independent generator, seeded from this one.
    public mutating func fork() -> SecureRandom { SecureRandom(seed: bytes32()) }

    private mutating func refill() {
        _ = Sodium.ready
        var output = [UInt8](repeating: 0, count: SecureRandom.poolByteCount + 32)
        key.withUnsafeBytes {
            randombytes_buf_deterministic(&output, output.count, $0.unsignedBytes)
        }
        // Fast key erasure: the next key comes out of the stream, so that earlier output cannot be recomputed.
        key = Bytes32(output[..<32]) ?? .zero
        pool = Array(output[32...])
        used = 0
    }
}
