import CSodium
package import DWebBase

/// XSalsa20-Poly1305 boxes: the MAC, then the ciphertext; spec 00 section 7.2.
package enum SecretBox {
    /// How many bytes longer a box is than its plaintext.
    package static let overheadByteCount = 16
    /// The size of a nonce.
    package static let nonceByteCount = 24

    /// The box of `message`.
    package static func seal(_ message: [UInt8], nonce: [UInt8], key: Bytes32) -> [UInt8] {
        precondition(nonce.count == nonceByteCount, "a box's nonce has 24 bytes")
        _ = Sodium.ready
        let byteCount = message.count + overheadByteCount
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            key.withUnsafeBytes {
                _ = crypto_secretbox_easy(
                    buffer.baseAddress!, message, UInt64(message.count), nonce, $0.unsignedBytes)
            }
            count = byteCount
        }
    }

    /// The plaintext of the box that is all of `box`; nil if it was not sealed like this.
    package static func open(_ box: [UInt8], nonce: [UInt8], key: Bytes32) -> [UInt8]? {
        open(box, range: 0..<box.count, nonce: nonce, key: key)
    }

    /// The plaintext of the box in `range` of `bytes`; nil if it was not sealed like this.
    package static func open(_ bytes: [UInt8], range: Range<Int>, nonce: [UInt8], key: Bytes32) -> [UInt8]? {
        precondition(nonce.count == nonceByteCount, "a box's nonce has 24 bytes")
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a box lies inside its bytes")
        guard range.count >= overheadByteCount else { return nil }
        _ = Sodium.ready
        var status: Int32 = 0
        let message = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            key.withUnsafeBytes { keyBytes in
                bytes.withUnsafeBytes {
                    status = crypto_secretbox_open_easy(
                        buffer.baseAddress!, $0.unsignedBytes + range.lowerBound, UInt64(range.count), nonce,
                        keyBytes.unsignedBytes)
                }
            }
            count = status == 0 ? range.count - overheadByteCount : 0
        }
        return status == 0 ? message : nil
    }
}

/// The XSalsa20 key stream without authentication, for blocks whose integrity the Merkle tree guards.
package enum XSalsa20 {
    /// The size of a nonce.
    package static let nonceByteCount = 24

    /// Combines `bytes` from index `start` on with the key stream of `nonce` (24 bytes) and `key`, in place.
    package static func apply(to bytes: inout [UInt8], from start: Int = 0, nonce: [UInt8], key: Bytes32) {
        precondition(nonce.count == nonceByteCount, "an XSalsa20 nonce has 24 bytes")
        precondition(start >= 0 && start <= bytes.count, "the start lies inside the bytes")
        guard start < bytes.count else { return }
        _ = Sodium.ready
        bytes.withUnsafeMutableBytes { buffer in
            let target = buffer.unsignedBytes + start
            key.withUnsafeBytes {
                _ = crypto_stream_xor(target, target, UInt64(buffer.count - start), nonce, $0.unsignedBytes)
            }
        }
    }
}
