import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts
import DWebWireCore

/// The other end of a connection, driven by hand: it sends what a test tells it to.
final class RawPeer {
    let pipe: DuplexPipe
    private let loop: any RuntimeLoop
    private let secret: SecretStream
    let mux = ProtocolMux()
    private(set) var handshake: HandshakeResult?
    private var events: [ProtocolMux.Event] = []

    init(_ pipe: DuplexPipe, loop: any RuntimeLoop, isInitiator: Bool = false, seed: UInt8 = 99) {
        self.pipe = pipe
        self.loop = loop
        var random = SecureRandom(seed: Bytes32(repeating: seed))
        secret = SecretStream(
            isInitiator: isInitiator, keyPair: random.keyPair(), entropy: SecretStream.Entropy(&random), now: loop.now)
    }

    /// Finishes the handshake.
    func open() async throws {
        while handshake == nil { try await step() }
    }

    /// Opens the log's channel, by default with the right capability.
    func openLog(_ key: PublicKey, capability: Bytes32? = nil, id: [UInt8]? = nil) async throws -> ChannelID {
        var payload = ByteWriter()
        payload.writeUInt(1 as UInt64)
        payload.writeBytes32(capability ?? handshake!.localCapability(of: key))
        let channel = try mux.open(
            ChannelIdentity("hypercore/alpha", id: id ?? key.discoveryKey.bytes), handshake: payload.bytes)
        try await flush()
        return channel
    }

    func send(_ message: LogMessage, on channel: ChannelID) async throws {
        try mux.send(channel, type: message.type) { message.encode(into: &$0) }
        try await flush()
    }

    /// The next message on any channel.
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

    /// Sends bytes as one message of the secret stream, past the multiplexer.
    func sendRaw(_ message: [UInt8]) async throws {
        try secret.send(message, now: loop.now)
        try await flush()
    }

    func flush() async throws {
        if mux.hasMessages { try secret.send(mux.takeMessages(), now: loop.now) }
        if secret.hasOutput { try await pipe.write(secret.takeOutput()) }
    }

    /// Takes the next chunk; false at the end.
    @discardableResult
    private func step() async throws -> Bool {
        try await flush()
        guard let chunk = try await pipe.read() else { return false }
        secret.receive(chunk, now: loop.now)
        while let event = secret.pollEvent() {
            switch event {
            case .opened(let result): handshake = result
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
