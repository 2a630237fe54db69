import DWebBase

extension KeyPair {
    /// Takes libsodium's 64-byte secret key; nil for another size, or if its public half does not follow from its seed.
    package init?(secretKey: [UInt8]) {
        guard secretKey.count == 64 else { return nil }
        guard let seed = Bytes32(secretKey[..<32]) else { return nil }
        self.init(seed: seed)
        guard self.secretKey == secretKey else { return nil }
    }
}
