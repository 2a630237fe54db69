/// Why a secret stream ended, or refused to send; spec 30 section A.
package enum SecretStreamError: Error, Equatable, Sendable {
    /// The Noise handshake failed.
    case handshakeFailed(NoiseError)
    /// A frame before the end of the handshake that is larger than any of a handshake.
    case handshakeFrameTooLong
    /// The other side proved a key that is not the expected one.
    case unexpectedRemoteKey
    /// The first frame after the handshake is no stream header, or the header of the wrong side.
    case invalidHeader
    /// A data frame shorter than an empty message.
    case frameTooShort
    /// A data frame that is not the next one the other side sealed.
    case authenticationFailed
    /// A message to send that does not fit in a frame.
    case messageTooLong
    /// Nothing arrived for as long as the timeout allows.
    case timedOut
    /// The transport ended before the handshake did.
    case endedBeforeOpen
    /// Every datagram counter was used.
    case datagramCounterExhausted
    /// The stream had already ended.
    case closed
}
