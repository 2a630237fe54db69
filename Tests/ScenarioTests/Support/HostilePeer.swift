import DWeb
import DWebLogCore
import DWebWireCore

/// The far end of a connection, driven by hand: it sends what a test tells it to.
final class HostilePeer {
    private let stream: any DuplexStream
    private let loop: any RuntimeLoop
    private let handshake: HandshakeResult
    private let secret: SecretStream
    private let mux = ProtocolMux()
    private var events: [ProtocolMux.Event] = []

    init(_ connection: SwarmConnection, loop: any RuntimeLoop) {
        stream = connection
        self.loop = loop
        handshake = connection.handshake
        var random = SecureRandom(seed: Bytes32(repeating: 99))
        secret = SecretStream(handshake: connection.handshake, entropy: SecretStream.Entropy(&random), now: loop.now)
    }

    /// Opens a log's channel, by default with the right capability.
    func open(_ key: PublicKey, capability: Bytes32? = nil) async throws -> ChannelID {
        var payload = ByteWriter()
        payload.writeUInt(1 as UInt64)
        payload.writeBytes32(capability ?? handshake.localCapability(of: key))
        let channel = try mux.open(
            ChannelIdentity("hypercore/alpha", id: key.discoveryKey.bytes), handshake: payload.bytes)
        try await flush()
        return channel
    }

    func send(_ message: LogMessage, on channel: ChannelID) async throws {
        try mux.send(channel, type: message.type) { message.encode(into: &$0) }
        try await flush()
    }

    /// Says that it has the first `length` blocks of a log.
    func boast(of length: UInt64, on channel: ChannelID) async throws {
        let sync = SyncMessage(
            fork: 0, length: length, remoteLength: 0, canUpgrade: true, uploading: true, downloading: true,
            hasManifest: true, allowPush: false)
        try await send(.sync(sync), on: channel)
        try await send(.range(RangeMessage(start: 0, length: length)), on: channel)
    }

    /// The next message on any channel; nil at the end.
    func nextMessage() async throws -> LogMessage? {
        while true {
            while !events.isEmpty {
                if case .message(_, let type, let payload) = events.removeFirst() {
                    var reader = payload.reader
                    if let message = try LogMessage.decode(type: type, from: &reader) { return message }
                }
            }
            guard try await step() else { return nil }
        }
    }

    /// Sends bytes as one sealed message, past the multiplexer.
    func sendSealed(_ message: [UInt8]) async throws {
        try secret.send(message, now: loop.now)
        try await flush()
    }

    /// Sends bytes as they are, past the encryption.
    func sendRaw(_ bytes: [UInt8]) async throws {
        try await flush()
        try await stream.write(bytes)
    }

    /// Ends its side of the stream.
    func finish() async { await stream.finish() }

    /// Reads until the stream ends.
    func readToEnd() async throws { while try await step() {} }

    private func flush() async throws {
        if mux.hasMessages { try secret.send(mux.takeMessages(), now: loop.now) }
        if secret.hasOutput { try await stream.write(secret.takeOutput()) }
    }

    /// Takes the next chunk; false at the end.
    private func step() async throws -> Bool {
        try await flush()
        guard let chunk = try await stream.read() else { return false }
        secret.receive(chunk, now: loop.now)
        while let event = secret.pollEvent() {
            switch event {
            case .opened: break
            case .messages(let batch): mux.receive(batch)
            case .ended: return false
            case .failed(let error): throw error
            }
        }
        while let event = try mux.pollEvent() { events.append(event) }
        try await flush()
        return true
    }
}

extension Stage {
    /// Runs `body` beside a peer that announces a log and treats everyone who connects as `behave` says.
    func withHostilePeer<Result: Sendable>(
        _ home: Home, announcing discoveryKey: DiscoveryKey,
        behave: @escaping @Sendable (HostilePeer) async throws -> Void,
        _ body: (PublicKey) async throws -> Result
    ) async throws -> Result {
        let runtime = runtime(home)
        var random = SecureRandom(seed: runtime.entropy.seed())
        let swarm = DSwarm(identity: random.keyPair(), runtime: runtime, configuration: swarmConfiguration)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            group.addTask {
                await withDiscardingTaskGroup { connections in
                    for await connection in swarm.connections {
                        connections.addTask {
                            // That the other side hangs up is what is hoped for.
                            try? await behave(HostilePeer(connection, loop: runtime.loop))
                            connection.abort()
                        }
                    }
                }
            }
            let outcome: Swift.Result<Result, any Error>
            do {
                try await swarm.started()
                let discovery = try await swarm.join(Topic(discoveryKey), as: .announce)
                await discovery.flushed()
                outcome = .success(try await body(swarm.identity.publicKey))
            } catch {
                outcome = .failure(error)
            }
            await swarm.close()
            try await group.waitForAll()
            return try outcome.get()
        }
    }
}
