public import DWebBase

/// Domain-separation constants: `B2(32, B2(32, name) || id)`; spec 00 section 3.3.
public enum Namespace {
    /// The namespace numbered `id` under `name`.
    public static func derive(_ name: String, _ id: UInt8) -> Bytes32 {
        Blake2b.hash32(Blake2b.hash32(Array(name.utf8)).bytes, [id])
    }

    /// Prefix of what a log's signer signs.
    public static let tree = derive("hypercore", 0)
    /// Capability of the side that opened the connection.
    public static let replicateInitiator = derive("hypercore", 1)
    /// Capability of the side that accepted the connection.
    public static let replicateResponder = derive("hypercore", 2)
    /// Prefix of the bytes whose hash is a log's key.
    public static let manifest = derive("hypercore", 3)
    /// The namespace of a signer when none is given.
    public static let defaultSigner = derive("hypercore", 4)
    /// Prefix of the default block-encryption key.
    public static let defaultEncryption = derive("hypercore", 5)
    /// Stream id of the initiator of a secret stream.
    public static let streamInitiator = derive("hyperswarm/secret-stream", 0)
    /// Stream id of the responder of a secret stream.
    public static let streamResponder = derive("hyperswarm/secret-stream", 1)
    /// Key of a secret stream's unordered messages.
    public static let streamSend = derive("hyperswarm/secret-stream", 2)
    /// Derivation of a store's key pairs.
    public static let store = derive("corestore", 0)
    /// Derivation of the multi-key encryption's hash key.
    public static let multiKeyEncryption = derive("hypercore-encryption", 0)
    /// Prologue of the DHT's Noise handshake.
    public static let peerHandshake = derive("hyperswarm/dht", 0)
    /// Derivation of the hole-punch secret.
    public static let peerHolepunch = derive("hyperswarm/dht", 1)
    /// Signatures of announcements.
    public static let announce = derive("hyperswarm/dht", 4)
    /// Signatures of withdrawals.
    public static let unannounce = derive("hyperswarm/dht", 5)
    /// Signatures of mutable records.
    public static let mutablePut = derive("hyperswarm/dht", 6)
    /// Plugin requests.
    public static let plugin = derive("hyperswarm/dht", 10)
}

extension PublicKey {
    /// The discovery key of the log with this key: `B2(32, "hypercore", key = self)`; spec 00 section 3.4.
    public var discoveryKey: DiscoveryKey {
        DiscoveryKey(Blake2b.hash32(Array("hypercore".utf8), key: bytes))
    }
}
