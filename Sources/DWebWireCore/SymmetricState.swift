import DWebBase
import DWebCrypto

/// Noise's hash, chaining key and cipher during a handshake; spec 00 section 6.3.
struct SymmetricState: Sendable {
    private static let ciphertextLimit = 65535

    private(set) var hash: [UInt8]
    private(set) var chainingKey: [UInt8]
    private var cipherKey: Bytes32?
    private var counter: UInt32 = 0

    init(protocolName: String, prologue: [UInt8]) {
        let name = Array(protocolName.utf8)
        hash = name + [UInt8](repeating: 0, count: HMACBlake2b.byteCount - name.count)
        chainingKey = hash
        mixHash(prologue)
    }

    mutating func mixHash(_ data: [UInt8]) {
        var hasher = Blake2bHasher(byteCount: HMACBlake2b.byteCount)
        hasher.update(hash)
        hasher.update(data)
        hash = hasher.finalize()
    }

    mutating func mixKey(_ secret: Bytes32) {
        let derived = HKDFBlake2b.derive(chainingKey: chainingKey, inputKeyMaterial: secret.bytes)
        chainingKey = derived.output1
        cipherKey = SymmetricState.key(derived.output2)
        counter = 0
    }

    mutating func encryptAndHash(_ plaintext: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard let cipherKey else {
            mixHash(plaintext)
            return plaintext
        }
        guard plaintext.count + ChaChaPoly.overheadByteCount <= SymmetricState.ciphertextLimit else {
            throw .messageTooLong
        }
        let ciphertext = ChaChaPoly.seal(plaintext, key: cipherKey, counter: counter, additionalData: hash)
        counter += 1
        mixHash(ciphertext)
        return ciphertext
    }

    mutating func decryptAndHash(_ ciphertext: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard ciphertext.count <= SymmetricState.ciphertextLimit else { throw .messageTooLong }
        guard let cipherKey else {
            mixHash(ciphertext)
            return ciphertext
        }
        guard ciphertext.count >= ChaChaPoly.overheadByteCount else { throw .truncatedMessage }
        guard let plaintext = ChaChaPoly.open(ciphertext, key: cipherKey, counter: counter, additionalData: hash) else {
            throw .authenticationFailed
        }
        counter += 1
        mixHash(ciphertext)
        return plaintext
    }

    /// How many bytes longer what ``encryptAndHash(_:)`` writes now is than what it is given.
    var overheadByteCount: Int { cipherKey == nil ? 0 : ChaChaPoly.overheadByteCount }

    /// The transport keys: the first for what the initiator sends. The handshake's own secrets are forgotten.
    mutating func split() -> (initiatorKey: Bytes32, responderKey: Bytes32) {
        let derived = HKDFBlake2b.derive(chainingKey: chainingKey, inputKeyMaterial: [])
        for index in chainingKey.indices { chainingKey[index] = 0 }
        cipherKey = nil
        return (SymmetricState.key(derived.output1), SymmetricState.key(derived.output2))
    }

    private static func key(_ output: [UInt8]) -> Bytes32 {
        output.withUnsafeBytes { Bytes32(unchecked: UnsafeRawBufferPointer(rebasing: $0[..<Bytes32.byteCount])) }
    }
}
