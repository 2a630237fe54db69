package import DWebBase

/// What both ends of a connection derive from its Noise handshake hash; spec 00 sections 3.5 and 7, spec 20 section 5.
package enum HandshakeSecrets {
    /// The size of a handshake hash.
    package static let handshakeHashByteCount = 64

    /// Proof that the side with this role knows the log's key, bound to one connection; spec 00 section 3.5.
    package static func replicationCapability(
        isInitiator: Bool, key: PublicKey, handshakeHash: [UInt8]
    ) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: handshakeHash)
        hasher.update(isInitiator ? Namespace.replicateInitiator : Namespace.replicateResponder)
        hasher.update(key.bytes32)
        return hasher.finalize32()
    }

    /// The name under which the side with this role sends its header; spec 00 section 7.3.
    package static func streamID(isInitiator: Bool, handshakeHash: [UInt8]) -> Bytes32 {
        derive(isInitiator ? Namespace.streamInitiator : Namespace.streamResponder, from: handshakeHash)
    }

    /// The key with which the side with this role seals unordered messages; spec 00 section 7.2.
    package static func datagramKey(isInitiator: Bool, handshakeHash: [UInt8]) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: handshakeHash)
        hasher.update(isInitiator ? Namespace.streamInitiator : Namespace.streamResponder)
        hasher.update(Namespace.streamSend)
        return hasher.finalize32()
    }

    /// The key of hole-punch payloads, the same in both directions; spec 20 section 5.
    package static func holepunchSecret(handshakeHash: [UInt8]) -> Bytes32 {
        derive(Namespace.peerHolepunch, from: handshakeHash)
    }

    private static func derive(_ namespace: Bytes32, from handshakeHash: [UInt8]) -> Bytes32 {
        var hasher = Blake2bHasher(byteCount: Bytes32.byteCount, key: handshakeHash)
        hasher.update(namespace)
        return hasher.finalize32()
    }
}
