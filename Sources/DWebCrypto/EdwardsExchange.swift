import CSodium
package import DWebBase

/// Why two keys have no shared secret.
package enum EdwardsExchangeError: Error, Equatable, Sendable {
    /// The peer's key is no point, not canonical, of small order or outside the prime-order group.
    case invalidPublicKey
}

/// Diffie-Hellman between Ed25519 key pairs on the Edwards curve itself; spec 00 section 6.2.
package enum EdwardsExchange {
    /// The secret that `keyPair` and the owner of `publicKey` share: a compressed point. Costs about 72 microseconds.
    package static func sharedSecret(
        _ keyPair: KeyPair, _ publicKey: PublicKey
    ) throws(EdwardsExchangeError) -> Bytes32 {
        _ = Sodium.ready
        var scalar = [UInt8](repeating: 0, count: 64)
        keyPair.seed.withUnsafeBytes { _ = crypto_hash_sha512(&scalar, $0.unsignedBytes, UInt64($0.count)) }
        defer { sodium_memzero(&scalar, scalar.count) }
        scalar[0] &= 248
        scalar[31] &= 127
        scalar[31] |= 64
        var status: Int32 = 0
        let secret = Bytes32(unsafeInitializing: { output in
            publicKey.bytes32.withUnsafeBytes {
                status = crypto_scalarmult_ed25519_noclamp(output.unsignedBytes, scalar, $0.unsignedBytes)
            }
        })
        guard status == 0 else { throw .invalidPublicKey }
        return secret
    }
}
