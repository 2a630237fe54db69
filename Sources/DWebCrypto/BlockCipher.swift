package import DWebBase

/// The default encryption of a log's blocks; spec 40 section 11.1.
///
/// A stored block is eight bytes longer than its plaintext. Nothing authenticates it but the Merkle tree, and two
/// plaintexts under one index and fork share a key stream.
package struct BlockCipher: Sendable, Equatable {
    /// How the keys follow from the user's key.
    package enum Mode: Sendable, Equatable {
        /// The log's key is the hash of its manifest.
        case normal
        /// The log's key is its signer's.
        case compat
        /// The user's key is the block key itself.
        case blockKey
    }

    /// How many bytes longer a stored block is than its plaintext.
    package static let paddingByteCount = 8

    /// The key of the blocks' key stream.
    package let blockKey: Bytes32
    /// The key that hides the fork in a block's padding.
    package let blindingKey: Bytes32

    /// The cipher of the log `coreKey` for the user's `encryptionKey`.
    package init(mode: Mode, coreKey: PublicKey, encryptionKey: Bytes32) {
        let block: Bytes32
        switch mode {
        case .normal:
            var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)
            hasher.update(Namespace.defaultEncryption)
            hasher.update(coreKey.bytes32)
            hasher.update(encryptionKey)
            block = hasher.finalize32()
        case .compat:
            var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: coreKey.bytes)
            hasher.update(encryptionKey)
            block = hasher.finalize32()
        case .blockKey:
            block = encryptionKey
        }
        self.init(blockKey: block, blindingKey: Blake2b.hash32(block.bytes))
    }

    /// A cipher by its two keys.
    package init(blockKey: Bytes32, blindingKey: Bytes32) {
        self.blockKey = blockKey
        self.blindingKey = blindingKey
    }

    /// The stored form of `plaintext` as block `index` under the signed head's `fork`.
    package func seal(_ plaintext: [UInt8], index: UInt64, fork: UInt64) -> [UInt8] {
        var stored: [UInt8] = []
        stored.reserveCapacity(BlockCipher.paddingByteCount + plaintext.count)
        BlockCipher.append(fork, to: &stored)
        XSalsa20.apply(to: &stored, nonce: BlockCipher.nonce(index, padding: []), key: blindingKey)
        let nonce = BlockCipher.nonce(index, padding: stored)
        stored.append(contentsOf: plaintext)
        XSalsa20.apply(to: &stored, from: BlockCipher.paddingByteCount, nonce: nonce, key: blockKey)
        return stored
    }

    /// The plaintext of block `index`; nil if the block is too short to be one.
    package func open(_ stored: [UInt8], index: UInt64) -> [UInt8]? {
        guard stored.count >= BlockCipher.paddingByteCount else { return nil }
        let nonce = BlockCipher.nonce(index, padding: Array(stored[..<BlockCipher.paddingByteCount]))
        var plaintext = Array(stored[BlockCipher.paddingByteCount...])
        XSalsa20.apply(to: &plaintext, nonce: nonce, key: blockKey)
        return plaintext
    }

    fileprivate static func nonce(_ index: UInt64, padding: [UInt8]) -> [UInt8] {
        var nonce: [UInt8] = []
        nonce.reserveCapacity(XSalsa20.nonceByteCount)
        append(index, to: &nonce)
        nonce.append(contentsOf: padding)
        nonce.append(contentsOf: repeatElement(0, count: XSalsa20.nonceByteCount - nonce.count))
        return nonce
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
}

/// The encryption of blocks under one of many keys, named in each block; spec 40 section 11.2.
package struct MultiKeyBlockCipher: Sendable, Equatable {
    /// How many bytes longer a stored block is than its plaintext.
    package static let paddingByteCount = 8

    /// What a stored block says about itself.
    package enum Scheme: Sendable, Equatable {
        /// The bytes after the padding are the plaintext.
        case plain
        /// The key with this number decrypts it.
        case key(UInt32)
    }

    /// The number that blocks sealed by this cipher carry.
    package let keyID: UInt32
    private let blockKey: Bytes32
    private let hashKey: Bytes32

    /// The cipher of the key numbered `keyID`.
    package init(keyID: UInt32, encryptionKey: Bytes32) {
        self.keyID = keyID
        blockKey = encryptionKey
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount)
        hasher.update(Namespace.multiKeyEncryption)
        hasher.update(encryptionKey)
        hashKey = hasher.finalize32()
    }

    /// What the padding of `stored` says; nil if it is too short or of a version that is not known.
    package static func scheme(of stored: [UInt8]) -> Scheme? {
        guard stored.count >= paddingByteCount else { return nil }
        switch stored[0] {
        case 0: return .plain
        case 1: return .key((4..<8).reduce(0) { $0 | UInt32(stored[$1]) << UInt32(8 * ($1 - 4)) })
        default: return nil
        }
    }

    /// The stored form of `plaintext` as block `index`.
    package func seal(_ plaintext: [UInt8], index: UInt64) -> [UInt8] {
        let hash = Blake2b.hash(plaintext, byteCount: 16, key: hashKey.bytes)
        var stored: [UInt8] = [1, hash[1], hash[2], hash[3]]
        stored.reserveCapacity(MultiKeyBlockCipher.paddingByteCount + plaintext.count)
        for index in 0..<4 { stored.append(UInt8(truncatingIfNeeded: keyID >> UInt32(8 * index))) }
        let nonce = BlockCipher.nonce(index, padding: stored)
        stored.append(contentsOf: plaintext)
        XSalsa20.apply(to: &stored, from: MultiKeyBlockCipher.paddingByteCount, nonce: nonce, key: blockKey)
        return stored
    }

    /// The plaintext of block `index`; nil if the block names another key or no known scheme.
    package func open(_ stored: [UInt8], index: UInt64) -> [UInt8]? {
        switch MultiKeyBlockCipher.scheme(of: stored) {
        case nil: return nil
        case .plain: return Array(stored[MultiKeyBlockCipher.paddingByteCount...])
        case .key(let id):
            guard id == keyID else { return nil }
            let padding = Array(stored[..<MultiKeyBlockCipher.paddingByteCount])
            var plaintext = Array(stored[MultiKeyBlockCipher.paddingByteCount...])
            XSalsa20.apply(to: &plaintext, nonce: BlockCipher.nonce(index, padding: padding), key: blockKey)
            return plaintext
        }
    }
}
