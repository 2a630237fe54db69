package import DWebBase
package import DWebCrypto

/// One side of a Noise handshake over Ed25519; spec 00 section 6.
///
/// The sides take turns: whoever ``isWriting`` says calls ``writeMessage(payload:)``, the other ``readMessage(_:)``.
/// Any error ends the handshake for good. XX proves who the other side is, but not that it is whom the caller
/// expects: compare ``HandshakeResult/remotePublicKey`` afterwards.
package struct NoiseHandshake: Sendable {
    private enum Phase: Sendable, Equatable {
        case running
        case finished
        case failed
    }

    /// Whether this side writes the first message.
    package let isInitiator: Bool
    private let messages: [[NoisePattern.Token]]
    private let localStatic: KeyPair
    private var localEphemeral: KeyPair?
    private var remoteStatic: PublicKey?
    private var remoteEphemeral: PublicKey?
    private var symmetric: SymmetricState
    private var messageIndex = 0
    private var phase: Phase = .running

    /// What both sides then have in common; nil before the last message.
    package private(set) var result: HandshakeResult?

    /// Starts a handshake.
    ///
    /// - Parameters:
    ///   - localEphemeral: A fresh random pair, used for nothing else.
    ///   - remoteStatic: The responder's key, which the initiator of IK must know; nil in every other case.
    ///   - prologue: Bytes that both sides must agree on.
    package init(
        pattern: NoisePattern, isInitiator: Bool, localStatic: KeyPair, localEphemeral: KeyPair,
        remoteStatic: PublicKey? = nil, prologue: [UInt8] = []
    ) {
        self.isInitiator = isInitiator
        self.localStatic = localStatic
        self.localEphemeral = localEphemeral
        messages = pattern.messages
        symmetric = SymmetricState(protocolName: pattern.protocolName, prologue: prologue)
        switch pattern {
        case .xx:
            precondition(remoteStatic == nil, "XX learns the remote key during the handshake")
        case .ik where isInitiator:
            guard let remoteStatic else { preconditionFailure("the initiator of IK knows the responder's key") }
            self.remoteStatic = remoteStatic
            symmetric.mixHash(remoteStatic.bytes)
        case .ik:
            precondition(remoteStatic == nil, "the responder of IK learns the initiator's key")
            symmetric.mixHash(localStatic.publicKey.bytes)
        }
    }

    /// Whether the next message is this side's to write.
    package var isWriting: Bool { phase == .running && (messageIndex % 2 == 0) == isInitiator }

    /// The other side's static key as far as it is known: in IK the responder has it after the first message.
    package var remotePublicKey: PublicKey? { remoteStatic }

    /// The hash of what was exchanged so far.
    package var currentHash: [UInt8] { symmetric.hash }

    /// The chaining key after what was exchanged so far.
    package var currentChainingKey: [UInt8] { symmetric.chainingKey }

    /// The next message of this side, with `payload` as protected as the pattern has it by then.
    package mutating func writeMessage(payload: [UInt8] = []) throws(NoiseError) -> [UInt8] {
        guard isWriting else { throw fail(.outOfTurn) }
        do {
            var message: [UInt8] = []
            for token in messages[messageIndex] { try write(token, to: &message) }
            message += try symmetric.encryptAndHash(payload)
            advance()
            return message
        } catch {
            throw fail(error)
        }
    }

    /// Takes the other side's next message and returns its payload.
    package mutating func readMessage(_ message: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard phase == .running, !isWriting else { throw fail(.outOfTurn) }
        do {
            var rest = message[...]
            for token in messages[messageIndex] { try read(token, from: &rest) }
            let payload = try symmetric.decryptAndHash(Array(rest))
            advance()
            return payload
        } catch {
            throw fail(error)
        }
    }

    private mutating func write(_ token: NoisePattern.Token, to message: inout [UInt8]) throws(NoiseError) {
        switch token {
        case .ephemeral:
            guard let localEphemeral else { throw .outOfTurn }
            symmetric.mixHash(localEphemeral.publicKey.bytes)
            message += localEphemeral.publicKey.bytes
        case .staticKey:
            message += try symmetric.encryptAndHash(localStatic.publicKey.bytes)
        case .ephemeralEphemeral, .ephemeralStatic, .staticEphemeral, .staticStatic:
            try exchange(token)
        }
    }

    private mutating func read(_ token: NoisePattern.Token, from message: inout ArraySlice<UInt8>) throws(NoiseError) {
        switch token {
        case .ephemeral:
            let bytes = try NoiseHandshake.take(Bytes32.byteCount, from: &message)
            symmetric.mixHash(bytes)
            remoteEphemeral = PublicKey(bytes)
        case .staticKey:
            let bytes = try NoiseHandshake.take(Bytes32.byteCount + symmetric.overheadByteCount, from: &message)
            remoteStatic = PublicKey(try symmetric.decryptAndHash(bytes))
        case .ephemeralEphemeral, .ephemeralStatic, .staticEphemeral, .staticStatic:
            try exchange(token)
        }
    }

    /// Tokens name the initiator's key first, whoever works them out.
    private mutating func exchange(_ token: NoisePattern.Token) throws(NoiseError) {
        let usesLocalEphemeral: Bool
        let usesRemoteEphemeral: Bool
        switch token {
        case .ephemeralEphemeral: (usesLocalEphemeral, usesRemoteEphemeral) = (true, true)
        case .ephemeralStatic: (usesLocalEphemeral, usesRemoteEphemeral) = (isInitiator, !isInitiator)
        case .staticEphemeral: (usesLocalEphemeral, usesRemoteEphemeral) = (!isInitiator, isInitiator)
        case .staticStatic: (usesLocalEphemeral, usesRemoteEphemeral) = (false, false)
        case .ephemeral, .staticKey: preconditionFailure("a key token is no exchange")
        }
        guard let local = usesLocalEphemeral ? localEphemeral : localStatic,
            let remote = usesRemoteEphemeral ? remoteEphemeral : remoteStatic
        else { throw .outOfTurn }
        do {
            symmetric.mixKey(try EdwardsExchange.sharedSecret(local, remote))
        } catch {
            throw .invalidPublicKey
        }
    }

    private mutating func advance() {
        messageIndex += 1
        guard messageIndex == messages.count, let remoteStatic else { return }
        let handshakeHash = symmetric.hash
        let keys = symmetric.split()
        result = HandshakeResult(
            transmitKey: isInitiator ? keys.initiatorKey : keys.responderKey,
            receiveKey: isInitiator ? keys.responderKey : keys.initiatorKey,
            handshakeHash: handshakeHash, localPublicKey: localStatic.publicKey, remotePublicKey: remoteStatic,
            isInitiator: isInitiator)
        localEphemeral = nil
        phase = .finished
    }

    private mutating func fail(_ error: NoiseError) -> NoiseError {
        localEphemeral = nil
        phase = .failed
        return error
    }

    private static func take(_ count: Int, from message: inout ArraySlice<UInt8>) throws(NoiseError) -> [UInt8] {
        guard message.count >= count else { throw .truncatedMessage }
        defer { message = message.dropFirst(count) }
        return Array(message.prefix(count))
    }
}
