import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebWireCore

extension HandshakeCiphers {
    /// The DHT's Noise IK handshake; spec 20 section 10.1.
    static let noise = HandshakeCiphers(
        initiator: { keyPair, ephemeral, remotePublicKey in
            NoiseInitiator(
                noise: NoiseHandshake(
                    pattern: .ik, isInitiator: true, localStatic: keyPair, localEphemeral: ephemeral,
                    remoteStatic: remotePublicKey, prologue: Namespace.peerHandshake.bytes))
        },
        responder: { keyPair, ephemeral in
            NoiseResponder(
                noise: NoiseHandshake(
                    pattern: .ik, isInitiator: false, localStatic: keyPair, localEphemeral: ephemeral,
                    prologue: Namespace.peerHandshake.bytes))
        })
}

private struct NoiseInitiator: HandshakeInitiator {
    var noise: NoiseHandshake

    mutating func makeMessage1(payload: [UInt8]) throws(HandshakeCipherError) -> [UInt8] {
        do { return try noise.writeMessage(payload: payload) } catch { throw HandshakeCipherError() }
    }

    mutating func readMessage2(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], keys: HandshakeKeys) {
        do {
            let payload = try noise.readMessage(message)
            guard let result = noise.result else { throw HandshakeCipherError() }
            return (payload, HandshakeKeys(result))
        } catch { throw HandshakeCipherError() }
    }
}

private struct NoiseResponder: HandshakeResponder {
    var noise: NoiseHandshake

    mutating func readMessage1(
        _ message: [UInt8]
    ) throws(HandshakeCipherError) -> (payload: [UInt8], remotePublicKey: PublicKey) {
        do {
            let payload = try noise.readMessage(message)
            guard let remote = noise.remotePublicKey else { throw HandshakeCipherError() }
            return (payload, remote)
        } catch { throw HandshakeCipherError() }
    }

    mutating func makeMessage2(
        payload: [UInt8]
    ) throws(HandshakeCipherError) -> (message: [UInt8], keys: HandshakeKeys) {
        do {
            let message = try noise.writeMessage(payload: payload)
            guard let result = noise.result else { throw HandshakeCipherError() }
            return (message, HandshakeKeys(result))
        } catch { throw HandshakeCipherError() }
    }
}

extension HandshakeKeys {
    init(_ result: HandshakeResult) {
        self.init(
            transmitKey: result.transmitKey, receiveKey: result.receiveKey, handshakeHash: result.handshakeHash,
            remotePublicKey: result.remotePublicKey)
    }
}
