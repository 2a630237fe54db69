import CSodium
public import DWebBase

/// Keys that follow from a passphrase, slowly, so that guessing is expensive: Argon2id through libsodium.
public enum PassphraseKey {
    /// The size of a salt.
    public static let saltByteCount = 16

    /// The key of a passphrase and a salt of 16 bytes, at libsodium's interactive cost (64 MiB, two passes).
    ///
    /// Takes a fraction of a second. Nil if the memory for it cannot be had.
    public static func derive(_ passphrase: String, salt: [UInt8]) -> Bytes32? {
        precondition(salt.count == saltByteCount, "a salt has 16 bytes")
        _ = Sodium.ready
        let characters = passphrase.utf8.map { CChar(bitPattern: $0) }
        var key = [UInt8](repeating: 0, count: Bytes32.byteCount)
        let status = crypto_pwhash(
            &key, UInt64(key.count), characters, UInt64(characters.count), salt, PassphraseKey.passCount,
            PassphraseKey.memoryByteCount, crypto_pwhash_alg_argon2id13())
        return status == 0 ? Bytes32(key) : nil
    }

    // crypto_pwhash_OPSLIMIT_INTERACTIVE and crypto_pwhash_MEMLIMIT_INTERACTIVE of libsodium 1.0.18.
    private static let passCount: UInt64 = 2
    private static let memoryByteCount = 67_108_864
}
