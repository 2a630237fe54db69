import CSodium

/// libsodium's BLAKE2b: the second opinion against which ``Blake2bHasher`` is checked.
package enum SodiumBlake2b {
    /// The hash of `input` with `byteCount` (16 to 64) bytes, keyed if `key` is not empty (at most 64 bytes).
    package static func hash(_ input: [UInt8], byteCount: Int, key: [UInt8] = []) -> [UInt8] {
        _ = Sodium.ready
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let status = crypto_generichash(
                buffer.baseAddress!, byteCount, input, UInt64(input.count), key.isEmpty ? nil : key, key.count)
            precondition(status == 0, "BLAKE2b takes a digest of 16 to 64 bytes and a key of at most 64")
            count = byteCount
        }
    }
}
