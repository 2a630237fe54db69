import DWebBase
import DWebCrypto
import DWebWireCore

let wireTargets: [FuzzTarget] = [
    FuzzTarget(
        "mux",
        seeds: {
            [
                // A channel is opened and used, in one message and in a batch.
                [3, 16, 0, 0, 1, 1, 3, 0x66, 0x6f, 0x6f, 0, 0, 5, 0, 1, 0, 1, 2, 3],
                [0, 12, 0, 0, 0, 1, 4, 1, 0, 0x68, 0x69, 0, 5, 0, 1, 1],
            ]
        }
    ) { input in
        var script = InputScript(input)
        let mux = ProtocolMux()
        let choice = script.byte()
        if choice & 1 != 0 { _ = try? mux.open(ChannelIdentity("foo"), aliases: ["bar"]) }
        if choice & 2 != 0 { _ = try? mux.open(ChannelIdentity("foo", id: [1])) }
        while !script.isEmpty {
            mux.receive(script.piece())
            do throws(ProtocolMuxError) {
                while let event = try mux.pollEvent() {
                    switch event {
                    case .pairRequest(let identity):
                        if identity.id.count % 2 == 0 { _ = try? mux.open(identity, handshake: [1]) }
                        mux.rejectUnclaimed(identity)
                    case .opened(let channel, _): _ = try? mux.send(channel, type: 1, payload: [1, 2, 3])
                    case .message(let channel, let type, _) where type > 3: mux.close(channel)
                    case .message, .closed: break
                    }
                }
            } catch {
                return
            }
            _ = mux.takeMessages()
            check(mux.bufferedByteCount <= ProtocolMux.Limits.bufferedByteCount, "too much is kept")
        }
        mux.streamEnded()
        while (try? mux.pollEvent()) != nil {}
    },
    FuzzTarget("secret-stream", seeds: { [secretStreamScript()] }) { input in
        var script = InputScript(input)
        var now = MonotonicTime.zero
        let stream = makeStream(isInitiator: false, now: now)
        while !script.isEmpty, !stream.isClosed {
            now = now + .milliseconds(1)
            stream.receive(script.piece(), now: now)
            while let event = stream.pollEvent() {
                if case .messages = event { _ = try? stream.send([1, 2, 3], now: now) }
            }
            _ = stream.takeOutput()
        }
        if !stream.isClosed { stream.receiveEnd() }
        while stream.pollEvent() != nil {}
        _ = stream.openDatagram(input, range: 0..<input.count)
    },
    FuzzTarget("noise", seeds: { noiseScripts() }) { input in
        guard let kind = input.first else { return }
        let message = Array(input.dropFirst())
        let pair = { KeyPair(seed: Bytes32(repeating: $0)) }
        switch kind % 4 {
        case 0:
            var side = NoiseHandshake(
                pattern: .xx, isInitiator: false, localStatic: pair(2), localEphemeral: pair(4))
            guard (try? side.readMessage(message)) != nil else { return }
            _ = try? side.writeMessage()
            _ = try? side.readMessage(message)
            check(side.result == nil, "a handshake with nobody")
        case 1:
            var side = NoiseHandshake(pattern: .xx, isInitiator: true, localStatic: pair(1), localEphemeral: pair(3))
            _ = try? side.writeMessage()
            _ = try? side.readMessage(message)
        case 2:
            var side = NoiseHandshake(
                pattern: .ik, isInitiator: false, localStatic: pair(2), localEphemeral: pair(4))
            guard (try? side.readMessage(message)) != nil else { return }
            _ = try? side.writeMessage()
        default:
            var side = NoiseHandshake(
                pattern: .ik, isInitiator: true, localStatic: pair(1), localEphemeral: pair(3),
                remoteStatic: pair(2).publicKey)
            _ = try? side.writeMessage()
            _ = try? side.readMessage(message)
        }
    },
]

private func makeStream(isInitiator: Bool, now: MonotonicTime) -> SecretStream {
    var random = SecureRandom(seed: Bytes32(repeating: isInitiator ? 1 : 2))
    return SecretStream(
        isInitiator: isInitiator, keyPair: random.keyPair(), entropy: SecretStream.Entropy(&random), now: now)
}

/// What the initiator sends to the responder of the target: the handshake, the header and two messages.
private func secretStreamScript() -> [UInt8] {
    let initiator = makeStream(isInitiator: true, now: .zero)
    let responder = makeStream(isInitiator: false, now: .zero)
    var script: [UInt8] = []
    for round in 0..<4 {
        if round == 2 {
            _ = try? initiator.send([1, 2, 3], now: .zero)
            _ = try? initiator.send([UInt8](repeating: 7, count: 300), now: .zero)
        }
        let sent = initiator.takeOutput()
        script += InputScript.piece(sent)
        responder.receive(sent, now: .zero)
        while responder.pollEvent() != nil {}
        initiator.receive(responder.takeOutput(), now: .zero)
        while initiator.pollEvent() != nil {}
    }
    return script
}

private func noiseScripts() -> [[UInt8]] {
    let pair = { KeyPair(seed: Bytes32(repeating: $0)) }
    var scripts: [[UInt8]] = []
    for (number, pattern) in [NoisePattern.xx, .ik].enumerated() {
        var initiator = NoiseHandshake(
            pattern: pattern, isInitiator: true, localStatic: pair(1), localEphemeral: pair(3),
            remoteStatic: number == 0 ? nil : pair(2).publicKey)
        var responder = NoiseHandshake(
            pattern: pattern, isInitiator: false, localStatic: pair(2), localEphemeral: pair(4))
        guard let first = try? initiator.writeMessage(payload: number == 0 ? [] : [1, 2]) else { continue }
        scripts.append([UInt8(2 * number)] + first)
        guard (try? responder.readMessage(first)) != nil, let second = try? responder.writeMessage() else { continue }
        scripts.append([UInt8(2 * number + 1)] + second)
    }
    return scripts
}
