/// The two Noise patterns of this protocol family; spec 00 section 6.4.
package enum NoisePattern: Sendable, Equatable {
    /// Both sides learn the other's static key during the handshake: plain streams.
    case xx
    /// The initiator knows the responder's static key beforehand: connections through the DHT.
    case ik

    enum Token {
        case ephemeral
        case staticKey
        case ephemeralEphemeral
        case ephemeralStatic
        case staticEphemeral
        case staticStatic
    }

    var protocolName: String {
        switch self {
        case .xx: "Noise_XX_Ed25519_ChaChaPoly_BLAKE2b"
        case .ik: "Noise_IK_Ed25519_ChaChaPoly_BLAKE2b"
        }
    }

    /// The tokens of each message; the initiator writes the first, then the sides alternate.
    var messages: [[Token]] {
        switch self {
        case .xx:
            [
                [.ephemeral],
                [.ephemeral, .ephemeralEphemeral, .staticKey, .ephemeralStatic],
                [.staticKey, .staticEphemeral],
            ]
        case .ik:
            [
                [.ephemeral, .ephemeralStatic, .staticKey, .staticStatic],
                [.ephemeral, .ephemeralEphemeral, .staticEphemeral],
            ]
        }
    }
}

/// Why a Noise handshake ended; spec 00 section 6.6. The transport is to be destroyed.
package enum NoiseError: Error, Equatable, Sendable {
    /// The message ends before its fields do.
    case truncatedMessage
    /// A ciphertext above 65535 bytes.
    case messageTooLong
    /// A ciphertext that the other side of this handshake did not write.
    case authenticationFailed
    /// A public key that is no safe point.
    case invalidPublicKey
    /// A message that is not this side's to write or read now.
    case outOfTurn
}
