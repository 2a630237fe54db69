import CSodium
public import DWebBase

/// BLAKE2b (RFC 7693) as the family uses it; spec 00 section 3.
public enum Blake2b {
    /// The 32-byte hash of `parts` one after the other.
    public static func hash32(_ parts: [UInt8]..., key: [UInt8] = []) -> Bytes32 {
        hash32(concatenating: parts, key: key)
    }

    /// The 32-byte hash of `parts` one after the other, keyed if `key` is not empty (at most 64 bytes).
    public static func hash32(concatenating parts: [[UInt8]], key: [UInt8] = []) -> Bytes32 {
        let input = parts.count == 1 ? parts[0] : parts.flatMap { $0 }
        return Bytes32(unsafeInitializing: { output in
            input.withUnsafeBytes { hash($0, key: key, into: output) }
        })
    }

    /// The hash of `input` with `byteCount` (16 to 64) bytes, keyed if `key` is not empty (at most 64 bytes).
    public static func hash(_ input: [UInt8], byteCount: Int, key: [UInt8] = []) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            input.withUnsafeBytes {
                hash($0, key: key, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: byteCount))
            }
            count = byteCount
        }
    }

    /// Writes the hash of `input` into all of `output`, whose size is the digest's.
    package static func hash(
        _ input: UnsafeRawBufferPointer, key: [UInt8] = [], into output: UnsafeMutableRawBufferPointer
    ) {
        _ = Sodium.ready
        let status = crypto_generichash(
            output.unsignedBytes, output.count,
            input.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(input.count),
            key.isEmpty ? nil : key, key.count)
        precondition(status == 0, "BLAKE2b takes a digest of 1 to 64 bytes and a key of at most 64")
    }
}
