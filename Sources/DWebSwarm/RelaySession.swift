import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebStreamCore
import DWebWireCore

/// One end of a connection between a blind relay and its client: the encrypted stream with the `blind-relay` channel on
/// it; spec 20 section 13. Confined to the loop of its node.
final class RelaySession {
    /// What the other end said on the channel.
    enum Message {
        case pair(BlindRelayPair)
        case unpair(BlindRelayUnpair)
    }

    private static let protocolName = "blind-relay"
    private static let keepAliveInterval = Duration.seconds(5)
    private static let timeout = Duration.seconds(30)
    /// An end that does not take its leave in this time is left without.
    private static let closeTimeLimit = Duration.seconds(3)
    /// A client that does not read what the relay answers is sent away with this much waiting.
    private static let unacknowledgedByteLimit = 256 * 1024

    let link: StreamLink
    private let isRelay: Bool
    private let secret: SecretStream
    private let mux = ProtocolMux()
    private var channel: ChannelID?
    private weak var node: DHTNode?
    private var timer: (any LoopTimer)?
    private var armedDeadline: MonotonicTime?
    private var isPumping = false
    private(set) var isClosed = false
    private let onMessage: (RelaySession, Message) -> Void
    private let onClose: (RelaySession) -> Void

    /// Begins to talk over `link`, as the relay or as its client.
    init(
        link: StreamLink, isRelay: Bool, node: DHTNode, random: inout SecureRandom, now: MonotonicTime,
        onMessage: @escaping (RelaySession, Message) -> Void, onClose: @escaping (RelaySession) -> Void
    ) {
        self.link = link
        self.isRelay = isRelay
        self.node = node
        self.onMessage = onMessage
        self.onClose = onClose
        secret = SecretStream(
            handshake: link.handshake, entropy: SecretStream.Entropy(&random),
            options: SecretStream.Options(
                keepAliveInterval: RelaySession.keepAliveInterval, timeout: RelaySession.timeout), now: now)
        // Both ends name the channel by the client's key, so that one session per client is all there can be.
        let client = isRelay ? link.handshake.remotePublicKey : link.handshake.localPublicKey
        channel = try? mux.open(ChannelIdentity(RelaySession.protocolName, id: client.bytes))
        link.onReadable = { [weak self] in self?.pump() }
        link.onClose = { [weak self] in self?.end() }
    }

    /// Asks for a pair, or answers such a request.
    func send(_ pair: BlindRelayPair) {
        guard let channel else { return }
        try? mux.send(channel, type: 0, payload: pair.encoded)
    }

    /// Ends the connection in order: the other end learns of it.
    func close() {
        guard !isClosed, let node else { return }
        pump()
        try? link.stream.end()
        // Kept until then: whoever closes it has no further use for it.
        timer?.cancel()
        armedDeadline = .zero
        timer = node.schedule(at: node.loop.now + RelaySession.closeTimeLimit) { self.destroy() }
        node.assumeIsolated { $0.settleLater() }
    }

    /// Ends the connection at once.
    func destroy() {
        guard !isClosed else { return }
        link.stream.destroy()
        node?.assumeIsolated { $0.settleLater() }
    }

    /// Takes what arrived, sends what is to be sent and sets the timer.
    func pump() {
        guard let node, !isPumping, !isClosed else { return }
        isPumping = true
        defer { isPumping = false }
        let now = node.loop.now
        while case let bytes = link.takeBytes(), !bytes.isEmpty { secret.receive(bytes, now: now) }
        if link.stream.isAtEnd { secret.receiveEnd() }
        takeEvents()
        if mux.hasMessages { try? secret.send(mux.takeMessages(), now: now) }
        if secret.hasOutput { _ = try? link.stream.write(secret.takeOutput()) }
        if link.stream.unacknowledgedByteCount > RelaySession.unacknowledgedByteLimit { destroy() }
        arm(node)
        node.assumeIsolated { $0.settleLater() }
    }

    private func takeEvents() {
        while let event = secret.pollEvent() {
            switch event {
            case .opened: break
            case .messages(let batch):
                mux.receive(batch)
                takeMessages()
            case .ended:
                mux.streamEnded()
                takeMessages()
                try? link.stream.end()
            case .failed:
                link.stream.destroy()
                return
            }
        }
    }

    private func takeMessages() {
        do {
            while let event = try mux.pollEvent() {
                switch event {
                case .opened: break
                case .pairRequest(let identity): mux.rejectUnclaimed(identity)
                case .message(let channel, let type, let payload):
                    guard channel == self.channel else { continue }
                    take(type, payload)
                case .closed(let channel, _):
                    if channel == self.channel { destroy() }
                }
            }
        } catch {
            destroy()
        }
    }

    private func take(_ type: UInt64, _ payload: MessageSlice) {
        let bytes = Array(payload.source[payload.range])
        switch type {
        case 0: if let message = try? BlindRelayPair(decoding: bytes) { onMessage(self, .pair(message)) }
        case 1: if let message = try? BlindRelayUnpair(decoding: bytes) { onMessage(self, .unpair(message)) }
        default: break
        }
    }

    private func arm(_ node: DHTNode) {
        guard let deadline = secret.nextDeadline, !isClosed else { return }
        if let armedDeadline, armedDeadline <= deadline { return }
        timer?.cancel()
        armedDeadline = deadline
        timer = node.schedule(at: deadline) { [weak self] in self?.wake() }
    }

    private func wake() {
        armedDeadline = nil
        guard let node, !isClosed else { return }
        secret.wake(now: node.loop.now)
        pump()
    }

    private func end() {
        guard !isClosed else { return }
        isClosed = true
        timer?.cancel()
        timer = nil
        onClose(self)
    }
}
