import DWeb

/// A key in a file that only a passphrase opens: a line of magic, a salt, a nonce and a box.
enum SealedKey {
    private static let magic = Array("dweb sealed key 1\n".utf8)

    /// The file's bytes.
    static func seal(_ key: Bytes32, passphrase: String) throws -> [UInt8] {
        var random = SecureRandom(seed: SystemEntropy().seed())
        let salt = random.bytes(PassphraseKey.saltByteCount)
        let nonce = random.bytes(SecretBox.nonceByteCount)
        return magic + salt + nonce + SecretBox.seal(key.bytes, nonce: nonce, key: try derive(passphrase, salt))
    }

    /// The key in a file.
    ///
    /// - Throws: ``CommandFailure`` with status `invalidData` if the passphrase is wrong or the file is damaged.
    static func open(_ bytes: [UInt8], passphrase: String) throws -> Bytes32 {
        let head = magic.count + PassphraseKey.saltByteCount + SecretBox.nonceByteCount
        guard bytes.starts(with: magic), bytes.count > head else {
            throw CommandFailure(.invalidData, "The file is no sealed key.")
        }
        let salt = Array(bytes[magic.count..<magic.count + PassphraseKey.saltByteCount])
        let nonce = Array(bytes[magic.count + PassphraseKey.saltByteCount..<head])
        guard
            let opened = SecretBox.open(Array(bytes[head...]), nonce: nonce, key: try derive(passphrase, salt)),
            let key = Bytes32(opened)
        else { throw CommandFailure(.invalidData, "The passphrase is wrong, or the file is damaged.") }
        return key
    }

    /// Whether a file holds a sealed key.
    static func isSealed(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

    private static func derive(_ passphrase: String, _ salt: [UInt8]) throws -> Bytes32 {
        guard !passphrase.isEmpty else { throw CommandFailure(.usage, "The passphrase is empty.") }
        guard let key = PassphraseKey.derive(passphrase, salt: salt) else {
            throw CommandFailure(.failure, "There is not enough memory to open the passphrase's lock.")
        }
        return key
    }
}
