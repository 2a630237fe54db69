import CSodium
package import DWebBase

/// ChaCha20-Poly1305 (IETF) with Noise's nonce layout; spec 00 section 6.3.
package enum ChaChaPoly {
    /// How many bytes longer a ciphertext is than its plaintext.
    package static let overheadByteCount = 16

    /// The ciphertext of `message`, followed by its tag.
    package static func seal(
        _ message: [UInt8], key: Bytes32, counter: UInt32, additionalData: [UInt8]
    ) -> [UInt8] {
        _ = Sodium.ready
        let nonce = nonce(counter)
        let byteCount = message.count + overheadByteCount
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            key.withUnsafeBytes {
                _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                    buffer.baseAddress!, nil, message, UInt64(message.count), additionalData,
                    UInt64(additionalData.count), nil, nonce, $0.unsignedBytes)
            }
            count = byteCount
        }
    }

    /// The plaintext of `ciphertext`; nil if it was not sealed like this.
    package static func open(
        _ ciphertext: [UInt8], key: Bytes32, counter: UInt32, additionalData: [UInt8]
    ) -> [UInt8]? {
        guard ciphertext.count >= overheadByteCount else { return nil }
        _ = Sodium.ready
        let nonce = nonce(counter)
        var status: Int32 = 0
        let message = [UInt8](unsafeUninitializedCapacity: ciphertext.count) { buffer, count in
            key.withUnsafeBytes {
                status = crypto_aead_chacha20poly1305_ietf_decrypt(
                    buffer.baseAddress!, nil, nil, ciphertext, UInt64(ciphertext.count), additionalData,
                    UInt64(additionalData.count), nonce, $0.unsignedBytes)
            }
            count = status == 0 ? ciphertext.count - overheadByteCount : 0
        }
        return status == 0 ? message : nil
    }

    private static func nonce(_ counter: UInt32) -> [UInt8] {
        var nonce = [UInt8](repeating: 0, count: 12)
        for index in 0..<4 { nonce[4 + index] = UInt8(truncatingIfNeeded: counter >> UInt32(8 * index)) }
        return nonce
    }
}
