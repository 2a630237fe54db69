import CSodium
public import DWebBase

/// An Ed25519 key pair: a peer's identity or a log's signer; spec 00 section 3.1.
public struct KeyPair: Sendable, Equatable {
    /// The seed from which everything else follows. It is the secret: never log or send it.
    public let seed: Bytes32
    /// The public half.
    public let publicKey: PublicKey
    /// libsodium's form of the secret key: seed, then public key.
    package let secretKey: [UInt8]

    /// The pair that belongs to `seed`. Costs one scalar multiplication, about 15 microseconds.
    public init(seed: Bytes32) {
        _ = Sodium.ready
        var secret = [UInt8](repeating: 0, count: Int(crypto_sign_ed25519_SECRETKEYBYTES))
        let publicBytes = Bytes32(unsafeInitializing: { output in
            seed.withUnsafeBytes { seedBytes in
                _ = crypto_sign_ed25519_seed_keypair(
                    output.unsignedBytes, &secret,
                    seedBytes.unsignedBytes)
            }
        })
        self.seed = seed
        publicKey = PublicKey(publicBytes)
        secretKey = secret
    }

    /// The deterministic, detached signature of `message`: 64 bytes.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Ed25519.signatureByteCount) { buffer, count in
            _ = crypto_sign_ed25519_detached(buffer.baseAddress!, nil, message, UInt64(message.count), secretKey)
            count = Ed25519.signatureByteCount
        }
    }
}

extension KeyPair: CustomStringConvertible {
    /// Names the public key only.
    public var description: String { "KeyPair(\(publicKey))" }
}

/// Ed25519 verification with the network's strict rules; spec 00 section 3.1.
public enum Ed25519 {
    /// The size of a signature.
    public static let signatureByteCount = 64

    /// Whether `signature` (64 bytes) is `key`'s signature of `message`. Any other size is no signature.
    ///
    /// Non-canonical and small-order values are refused, so that every peer comes to the same answer.
    public static func verify(_ signature: [UInt8], of message: [UInt8], by key: PublicKey) -> Bool {
        guard signature.count == signatureByteCount else { return false }
        _ = Sodium.ready
        return key.bytes32.withUnsafeBytes {
            crypto_sign_ed25519_verify_detached(
                signature, message, UInt64(message.count), $0.unsignedBytes) == 0
        }
    }
}
