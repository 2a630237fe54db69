package import DWebBase
package import DWebCrypto

/// What a finished Noise handshake leaves behind: the keys of the encrypted stream; spec 20 section 10.1.
package struct HandshakeKeys: Sendable, Equatable {
    /// The key to send with.
    package var transmitKey: Bytes32
    /// The key to receive with.
    package var receiveKey: Bytes32
    /// The handshake hash, 64 bytes.
    package var handshakeHash: [UInt8]
    /// The other side's proven key.
    package var remotePublicKey: PublicKey

    /// Collects the results of a handshake.
    package init(transmitKey: Bytes32, receiveKey: Bytes32, handshakeHash: [UInt8], remotePublicKey: PublicKey) {
        self.transmitKey = transmitKey
        self.receiveKey = receiveKey
        self.handshakeHash = handshakeHash
        self.remotePublicKey = remotePublicKey
    }

    /// The key that seals hole-punch payloads.
    package var holepunchSecret: Bytes32 { HandshakeSecrets.holepunchSecret(handshakeHash: handshakeHash) }
}

/// A Noise message that cannot be used: forged, damaged, or with a key that the rules refuse.
package struct HandshakeCipherError: Error, Equatable, Sendable {
    /// The one value.
    package init() {}
}

/// The client's end of the DHT's Noise IK handshake; spec 20 section 10.1.
///
/// A type that conforms is a value: the connector reads an answer with a copy, so that a forged one spoils nothing.
package protocol HandshakeInitiator: Sendable {
    /// Message 1 with `payload` inside. Called once.
    mutating func makeMessage1(payload: [UInt8]) throws(HandshakeCipherError) -> [UInt8]
    /// The payload of message 2, and the keys.
    mutating func readMessage2(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], keys: HandshakeKeys)
}

/// The server's end of the DHT's Noise IK handshake; spec 20 section 10.1.
package protocol HandshakeResponder: Sendable {
    /// The payload of message 1, and the client's key.
    mutating func readMessage1(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], remotePublicKey: PublicKey)
    /// Message 2 with `payload` inside, and the keys. Called once, after message 1.
    mutating func makeMessage2(
        payload: [UInt8]
    ) throws(HandshakeCipherError) -> (message: [UInt8], keys: HandshakeKeys)
}

/// Makes the ends of Noise IK handshakes with the prologue `Namespace.peerHandshake`.
package struct HandshakeCiphers: Sendable {
    /// A client's end: its key pair, a fresh random ephemeral key pair, and the server's key.
    package let initiator:
        @Sendable (_ keyPair: KeyPair, _ ephemeral: KeyPair, _ remotePublicKey: PublicKey) -> any HandshakeInitiator
    /// A server's end: its key pair and a fresh random ephemeral key pair.
    package let responder: @Sendable (_ keyPair: KeyPair, _ ephemeral: KeyPair) -> any HandshakeResponder

    /// Bundles the two factories.
    package init(
        initiator: @escaping @Sendable (KeyPair, KeyPair, PublicKey) -> any HandshakeInitiator,
        responder: @escaping @Sendable (KeyPair, KeyPair) -> any HandshakeResponder
    ) {
        self.initiator = initiator
        self.responder = responder
    }
}
