import DWebBase
import DWebCrypto
import DWebDHTCore

/// A stand-in for the Noise handshake: no secrecy, but the same messages, keys and failures.
enum HyperTestCipher {
    static let ciphers = HandshakeCiphers(
        initiator: { Initiator(keyPair: $0, ephemeral: $1, remote: $2) },
        responder: { Responder(keyPair: $0, ephemeral: $1) })

    private struct Initiator: HandshakeInitiator {
        let keyPair: KeyPair
        let ephemeral: KeyPair
        let remote: PublicKey
        var first: [UInt8] = []

        mutating func makeMessage1(payload: [UInt8]) throws(HandshakeCipherError) -> [UInt8] {
            let head = ephemeral.publicKey.bytes + keyPair.publicKey.bytes
            first = head + Blake2b.hash32(head, payload, key: remote.bytes).bytes + payload
            return first
        }

        mutating func readMessage2(
            _ message: [UInt8]
        ) throws(HandshakeCipherError) -> (payload: [UInt8], keys: HandshakeKeys) {
            guard message.count >= 64 else { throw HandshakeCipherError() }
            let payload = Array(message[64...])
            let check = Blake2b.hash32(first, Array(message[..<32]), payload, key: remote.bytes).bytes
            guard check == Array(message[32..<64]) else { throw HandshakeCipherError() }
            return (payload, keys(first, message, isInitiator: true, remote: remote))
        }
    }

    private struct Responder: HandshakeResponder {
        let keyPair: KeyPair
        let ephemeral: KeyPair
        var first: [UInt8] = []

        mutating func readMessage1(
            _ message: [UInt8]
        ) throws(HandshakeCipherError) -> (payload: [UInt8], remotePublicKey: PublicKey) {
            guard message.count >= 96, let remote = PublicKey(message[32..<64]) else { throw HandshakeCipherError() }
            let payload = Array(message[96...])
            let check = Blake2b.hash32(Array(message[..<64]), payload, key: keyPair.publicKey.bytes).bytes
            guard check == Array(message[64..<96]) else { throw HandshakeCipherError() }
            first = message
            return (payload, remote)
        }

        mutating func makeMessage2(
            payload: [UInt8]
        ) throws(HandshakeCipherError) -> (message: [UInt8], keys: HandshakeKeys) {
            let head = ephemeral.publicKey.bytes
            let message = head + Blake2b.hash32(first, head, payload, key: keyPair.publicKey.bytes).bytes + payload
            let remote = PublicKey(first[32..<64]) ?? PublicKey(.zero)
            return (message, keys(first, message, isInitiator: false, remote: remote))
        }
    }

    private static func keys(
        _ first: [UInt8], _ second: [UInt8], isInitiator: Bool, remote: PublicKey
    ) -> HandshakeKeys {
        let one = Blake2b.hash32(first, second, [1])
        let two = Blake2b.hash32(first, second, [2])
        return HandshakeKeys(
            transmitKey: isInitiator ? one : two, receiveKey: isInitiator ? two : one,
            handshakeHash: Blake2b.hash(first + second, byteCount: 64), remotePublicKey: remote)
    }
}
