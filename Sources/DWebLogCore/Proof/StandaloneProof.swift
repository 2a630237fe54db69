package import DWebBase
import DWebCrypto

/// A proof for use outside a connection, such as in a push notification: a log's discovery key and a data message with
/// request 0 and an upgrade from 0; spec 30 section D.6.
package struct StandaloneProof: Sendable, Hashable {
    /// Which log it is about.
    package var discoveryKey: DiscoveryKey
    /// The proof.
    package var message: DataMessage

    /// Puts a proof together.
    package init(discoveryKey: DiscoveryKey, message: DataMessage) {
        self.discoveryKey = discoveryKey
        self.message = message
    }

    /// Reads a blob.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        discoveryKey = DiscoveryKey(try reader.readBytes32())
        message = try DataMessage(from: &reader)
    }

    /// The blob.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.writeBytes32(discoveryKey.bytes32)
        message.encode(into: &writer)
        return writer.bytes
    }

    /// Checks the proof by the whole of the log's rules, all signers included. (The network's other implementation
    /// looks at the first signer only.)
    ///
    /// - Throws: As ``ProofVerifier/verifyStandalone(_:)``; `invalidOperation` if it is about another log.
    package func verify(_ verifier: ProofVerifier) throws(ProofError) -> ProofVerifier.StandaloneResult {
        guard verifier.key.discoveryKey == discoveryKey else { throw .invalidOperation(.unexpectedMessage) }
        return try verifier.verifyStandalone(message)
    }
}
