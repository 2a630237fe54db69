import DWebBase
import DWebCrypto

/// Seals and opens the unordered messages of a connection; spec 30 section A.5.
///
/// There is no protection against replay, reordering or loss.
package struct DatagramCipher: Sendable {
    /// How many bytes longer an envelope is than its message: a counter of 8 and a MAC of 16.
    package static let overheadByteCount = counterByteCount + SecretBox.overheadByteCount
    private static let counterByteCount = 8

    private let transmitKey: Bytes32
    private let receiveKey: Bytes32
    private let firstCounter: UInt64
    private var counter: UInt64

    /// The cipher of the connection with this handshake; `firstCounter` is random.
    package init(handshake: HandshakeResult, firstCounter: UInt64) {
        transmitKey = HandshakeSecrets.datagramKey(
            isInitiator: handshake.isInitiator, handshakeHash: handshake.handshakeHash)
        receiveKey = HandshakeSecrets.datagramKey(
            isInitiator: !handshake.isInitiator, handshakeHash: handshake.handshakeHash)
        self.firstCounter = firstCounter
        counter = firstCounter
    }

    /// The envelope of `message`.
    ///
    /// - Throws: `datagramCounterExhausted` after 2^64 - 1 envelopes: the connection must end.
    package mutating func seal(_ message: [UInt8]) throws(SecretStreamError) -> [UInt8] {
        guard counter &+ 1 != firstCounter else { throw .datagramCounterExhausted }
        counter &+= 1
        var nonce: [UInt8] = []
        nonce.reserveCapacity(SecretBox.nonceByteCount)
        for index in 0..<DatagramCipher.counterByteCount {
            nonce.append(UInt8(truncatingIfNeeded: counter >> UInt64(8 * index)))
        }
        var envelope = nonce
        nonce.append(contentsOf: repeatElement(0, count: SecretBox.nonceByteCount - nonce.count))
        envelope.append(contentsOf: SecretBox.seal(message, nonce: nonce, key: transmitKey))
        return envelope
    }

    /// The message of the envelope in `range` of `bytes`; nil if the other side did not seal it: drop it.
    package func open(_ bytes: [UInt8], range: Range<Int>) -> [UInt8]? {
        guard range.count >= DatagramCipher.overheadByteCount else { return nil }
        let boxStart = range.lowerBound + DatagramCipher.counterByteCount
        var nonce = Array(bytes[range.lowerBound..<boxStart])
        nonce.append(contentsOf: repeatElement(0, count: SecretBox.nonceByteCount - nonce.count))
        return SecretBox.open(bytes, range: boxStart..<range.upperBound, nonce: nonce, key: receiveKey)
    }

    /// The message of `envelope`; nil if the other side did not seal it: drop it.
    package func open(_ envelope: [UInt8]) -> [UInt8]? { open(envelope, range: 0..<envelope.count) }
}
