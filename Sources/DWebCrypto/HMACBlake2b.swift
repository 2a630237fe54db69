/// HMAC (RFC 2104) with BLAKE2b-512 and a block of 128 bytes, as Noise uses it; spec 00 section 6.3.
///
/// It is not BLAKE2b's own keyed mode.
package enum HMACBlake2b {
    /// The size of a code in bytes.
    package static let byteCount = 64
    private static let blockByteCount = 128

    /// The code of `data` under `key`.
    package static func authenticate(_ data: [UInt8], key: [UInt8]) -> [UInt8] {
        let short = key.count > blockByteCount ? Blake2b.hash(key, byteCount: byteCount) : key
        var pad = short + [UInt8](repeating: 0, count: blockByteCount - short.count)
        for index in pad.indices { pad[index] ^= 0x36 }
        var inner = Blake2bHasher(byteCount: byteCount)
        inner.update(pad)
        inner.update(data)
        for index in pad.indices { pad[index] ^= 0x36 ^ 0x5c }
        var outer = Blake2bHasher(byteCount: byteCount)
        outer.update(pad)
        outer.update(inner.finalize())
        return outer.finalize()
    }
}

/// Noise's key derivation over ``HMACBlake2b``; spec 00 section 6.3.
package enum HKDFBlake2b {
    /// The first two outputs, 64 bytes each.
    package static func derive(
        chainingKey: [UInt8], inputKeyMaterial: [UInt8]
    ) -> (output1: [UInt8], output2: [UInt8]) {
        let key = HMACBlake2b.authenticate(inputKeyMaterial, key: chainingKey)
        let output1 = HMACBlake2b.authenticate([1], key: key)
        let output2 = HMACBlake2b.authenticate(output1 + [2], key: key)
        return (output1, output2)
    }
}
