public import DWebBase

/// BLAKE2b (RFC 7693) as the family uses it; spec 00 section 3. ``Blake2bHasher`` takes its input piece by piece.
public enum Blake2b {
    /// The 32-byte hash of `parts` one after the other.
    public static func hash32(_ parts: [UInt8]..., key: [UInt8] = []) -> Bytes32 {
        hash32(concatenating: parts, key: key)
    }

    /// The 32-byte hash of `parts` one after the other, keyed if `key` is not empty (at most 64 bytes).
    public static func hash32(concatenating parts: [[UInt8]], key: [UInt8] = []) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: key)
        for part in parts { hasher.update(part) }
        return hasher.finalize32()
    }

    /// The hash of `input` with `byteCount` (1 to 64) bytes, keyed if `key` is not empty (at most 64 bytes).
    public static func hash(_ input: [UInt8], byteCount: Int, key: [UInt8] = []) -> [UInt8] {
        var hasher = Blake2bHasher(byteCount: byteCount, key: key)
        hasher.update(input)
        return hasher.finalize()
    }

    /// Writes the hash of `input` into all of `output`, whose size is the digest's.
    package static func hash(
        _ input: UnsafeRawBufferPointer, key: [UInt8] = [], into output: UnsafeMutableRawBufferPointer
    ) {
        var hasher = Blake2bHasher(byteCount: output.count, key: key)
        hasher.update(input)
        hasher.finalize(into: output)
    }
}
