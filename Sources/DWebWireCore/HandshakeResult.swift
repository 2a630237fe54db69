package import DWebBase
import DWebCrypto

/// What a finished handshake gives to a secret stream: spec 00 section 6.3.
package struct HandshakeResult: Sendable, Equatable {
    /// The key of what this side sends.
    package let transmitKey: Bytes32
    /// The key of what this side receives.
    package let receiveKey: Bytes32
    /// The hash of the whole handshake, 64 bytes and the same on both sides.
    package let handshakeHash: [UInt8]
    /// This side's static key.
    package let localPublicKey: PublicKey
    /// The other side's static key, which it has proven to own.
    package let remotePublicKey: PublicKey
    /// Whether this side wrote the first message.
    package let isInitiator: Bool

    /// A result by its parts, for example as the DHT's handshake delivered it.
    package init(
        transmitKey: Bytes32, receiveKey: Bytes32, handshakeHash: [UInt8], localPublicKey: PublicKey,
        remotePublicKey: PublicKey, isInitiator: Bool
    ) {
        precondition(
            handshakeHash.count == HandshakeSecrets.handshakeHashByteCount, "a handshake hash has 64 bytes")
        self.transmitKey = transmitKey
        self.receiveKey = receiveKey
        self.handshakeHash = handshakeHash
        self.localPublicKey = localPublicKey
        self.remotePublicKey = remotePublicKey
        self.isInitiator = isInitiator
    }

    /// The key of hole-punch payloads, the same on both sides; spec 20 section 5.
    package var holepunchSecret: Bytes32 { HandshakeSecrets.holepunchSecret(handshakeHash: handshakeHash) }

    /// The name under which this side sends its stream header, and the DHT finds its stream; spec 00 section 7.3.
    package var localStreamID: Bytes32 {
        HandshakeSecrets.streamID(isInitiator: isInitiator, handshakeHash: handshakeHash)
    }

    /// The name under which the other side sends its stream header.
    package var remoteStreamID: Bytes32 {
        HandshakeSecrets.streamID(isInitiator: !isInitiator, handshakeHash: handshakeHash)
    }

    /// What this side sends to prove that it knows the log `key`; spec 00 section 3.5.
    package func localCapability(of key: PublicKey) -> Bytes32 {
        HandshakeSecrets.replicationCapability(isInitiator: isInitiator, key: key, handshakeHash: handshakeHash)
    }

    /// What the other side must send to prove that it knows the log `key`.
    package func remoteCapability(of key: PublicKey) -> Bytes32 {
        HandshakeSecrets.replicationCapability(isInitiator: !isInitiator, key: key, handshakeHash: handshakeHash)
    }
}
