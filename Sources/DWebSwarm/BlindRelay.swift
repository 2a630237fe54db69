public import DWebBase
public import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebStreamCore

/// What a blind relay allows its clients.
public struct BlindRelayOptions: Sendable {
    /// Pairs of peers whose packets are passed on at a time.
    public var pairLimit = 1_024
    /// Pairs that one client has part in at a time.
    public var pairsPerClientLimit = 64
    /// Clients at a time.
    public var clientLimit = 2_048
    /// Connections of clients from one host at a time.
    public var clientsPerHostLimit = 64
    /// A pair through which nothing passes for this long is ended.
    public var idleTimeLimit = Duration.seconds(60)
    /// Bytes passed on per pair, both directions together, after which it is ended; nil for any number.
    public var pairByteLimit: UInt64?
    /// Asked about each client by the key it shows, which may be one of this moment only; nil admits everyone.
    public var admits: (@Sendable (PublicKey) async -> Bool)?

    /// A relay for everyone.
    public init() {}
}

/// What a blind relay did and does.
public struct BlindRelayStatistics: Sendable, Equatable, Codable {
    /// Clients connected now.
    public var clientCount = 0
    /// Requests that wait for their other end now.
    public var waitingCount = 0
    /// Pairs joined now.
    public var pairCount = 0
    /// Pairs joined since the start.
    public var totalPairCount = 0
    /// Clients turned away or requests left unanswered because of a limit.
    public var refusedCount = 0
    /// Bytes passed on since the start; those of pairs that are still joined are counted too.
    public var relayedByteCount: UInt64 = 0

    /// All zero.
    public init() {}
}

/// A blind relay at a node: joins two peers that cannot reach each other and passes their encrypted packets on, unread;
/// spec 20 section 13.
///
/// ```swift
/// let relay = try await node.relay(as: keyPair)
/// print(relay.publicKey)          // what peers configure as their relay
/// ...
/// await relay.close()
/// ```
public struct BlindRelay: Sendable {
    /// The key by which peers find the relay.
    public let publicKey: PublicKey
    private let service: RelayService
    private let id: ServerID
    private let node: DHTNode

    init(publicKey: PublicKey, service: RelayService, id: ServerID, node: DHTNode) {
        self.publicKey = publicKey
        self.service = service
        self.id = id
        self.node = node
    }

    /// What the relay did and does.
    public var statistics: BlindRelayStatistics { get async { await node.statistics(of: service) } }

    /// Withdraws the announcement and ends every pair.
    public func close() async { await node.close(service, id) }
}

extension DHTNode {
    /// Runs a blind relay for everyone under `keyPair`; returns once peers can find it.
    ///
    /// It is an ordinary listening key pair: a node may run several, and others beside them.
    ///
    /// - Throws: ``DSwarmError`` with code `alreadyListening`, `suspended`, `closed` or `cancelled`.
    public func relay(
        as keyPair: KeyPair, options: BlindRelayOptions = .init()
    ) async throws(DSwarmError) -> BlindRelay {
        try await started()
        let service = RelayService(options: options)
        let promise = Promise<DSwarmError?>()
        let handlers = ListenHandlers(
            admit: { [weak self] handshake in self?.assumeIsolated { $0.decide(handshake, service) } },
            connected: { [weak self] link in
                if let self { self.assumeIsolated { service.add(link, $0) } } else { link.stream.destroy() }
            },
            announced: { _ in promise.resolve(nil) })
        guard let id = startListening(as: keyPair, handlers, offersRelays: false) else {
            throw phase == .running
                ? DSwarmError(.alreadyListening, "The key \(keyPair.publicKey) listens already")
                : (phase == .suspended ? .suspended : .closed)
        }
        if let error = await promise.value(onCancel: .cancelled) {
            await stopListening(id)
            throw error
        }
        return BlindRelay(publicKey: keyPair.publicKey, service: service, id: id, node: self)
    }

    fileprivate func statistics(of service: RelayService) -> BlindRelayStatistics { service.currentStatistics }

    fileprivate func close(_ service: RelayService, _ id: ServerID) async {
        await stopListening(id)
        service.close(self)
    }

    private func decide(_ handshake: IncomingHandshake, _ service: RelayService) {
        guard service.hasRoom(for: handshake.address) else { return refuse(handshake.connection) }
        guard let admits = service.options.admits else { return accept(handshake) }
        add(
            .ask {
                let isAdmitted = await admits(handshake.remotePublicKey)
                await self.answer(handshake, isAdmitted: isAdmitted)
            })
    }
}

/// The relay's work. Confined to the loop of its node.
///
/// Unchecked because only ``DHTNode``'s isolated methods, and closures that they give to the loop, touch it: a
/// ``BlindRelay`` merely carries the reference between them, and frees it when nobody asks any more.
final class RelayService: @unchecked Sendable {
    private final class Pair {
        let token: Bytes32
        let streams: (UDXStream, UDXStream)
        let clients: (UInt64, UInt64)

        init(token: Bytes32, streams: (UDXStream, UDXStream), clients: (UInt64, UInt64)) {
            self.token = token
            self.streams = streams
            self.clients = clients
        }

        var byteCount: UInt64 {
            UInt64(streams.0.statistics.bytesReceived) + UInt64(streams.1.statistics.bytesReceived)
        }
    }

    private static let byteLimitInterval = Duration.seconds(5)

    let options: BlindRelayOptions
    private var exchange: BlindRelayExchange
    private var sessions: [UInt64: RelaySession] = [:]
    private var pairs: [Bytes32: Pair] = [:]
    private var nextClient: UInt64 = 1
    private var statistics = BlindRelayStatistics()
    private var timer: (any LoopTimer)?
    private var isClosed = false

    init(options: BlindRelayOptions) {
        self.options = options
        var limits = BlindRelayLimits()
        limits.pairCount = options.pairLimit
        limits.pairsPerClientCount = options.pairsPerClientLimit
        exchange = BlindRelayExchange(limits: limits)
    }

    var currentStatistics: BlindRelayStatistics {
        var result = statistics
        result.clientCount = sessions.count
        result.waitingCount = exchange.waitingCount
        result.pairCount = pairs.count
        for pair in pairs.values { result.relayedByteCount += pair.byteCount }
        return result
    }

    func hasRoom(for address: SocketAddress) -> Bool {
        let fromHost = sessions.values.count { $0.link.stream.remoteAddress?.hasSameHost(as: address) == true }
        guard !isClosed, sessions.count < options.clientLimit, fromHost < options.clientsPerHostLimit else {
            statistics.refusedCount += 1
            return false
        }
        return true
    }

    func add(_ link: StreamLink, _ node: isolated DHTNode) {
        guard !isClosed else { return link.stream.destroy() }
        let client = nextClient
        nextClient += 1
        let session = RelaySession(
            link: link, isRelay: true, node: node, random: &node.random, now: node.loop.now,
            onMessage: { [weak self, weak node] _, message in
                guard let self else { return }
                node?.assumeIsolated { self.take(message, of: client, $0) }
            },
            onClose: { [weak self, weak node] _ in
                guard let self else { return }
                node?.assumeIsolated { self.remove(client, $0) }
            })
        sessions[client] = session
        session.pump()
    }

    func close(_ node: isolated DHTNode) {
        isClosed = true
        timer?.cancel()
        timer = nil
        for token in pairs.keys.sorted() { end(token, node) }
        for client in sessions.keys.sorted() { sessions[client]?.close() }
    }

    private func take(_ message: RelaySession.Message, of client: UInt64, _ node: isolated DHTNode) {
        switch message {
        case .unpair(let unpair):
            if exchange.unpair(unpair.token, of: client) { end(unpair.token, node) }
        case .pair(let request):
            switch exchange.pair(request, of: client, now: node.loop.now) {
            case .waiting: break
            case .ignored: statistics.refusedCount += 1
            case .matched(let initiator, let other): join(initiator, other, node)
            }
        }
    }

    private func join(
        _ initiator: BlindRelayExchange.End, _ other: BlindRelayExchange.End, _ node: isolated DHTNode
    ) {
        let token = initiator.request.token
        guard let first = sessions[initiator.client], let second = sessions[other.client] else { return }
        let one = makeStream(to: first.link, remoteID: initiator.request.streamID, node)
        let two = makeStream(to: second.link, remoteID: other.request.streamID, node)
        guard let one, let two, (try? one.relay(to: two)) != nil, (try? two.relay(to: one)) != nil else {
            one?.destroy()
            two?.destroy()
            exchange.unpair(token, of: initiator.client)
            statistics.refusedCount += 1
            return
        }
        pairs[token] = Pair(token: token, streams: (one, two), clients: (initiator.client, other.client))
        statistics.totalPairCount += 1
        for stream in [one, two] {
            node.relayStreams[stream.localID] = { [weak self, weak node] in
                guard let self else { return }
                node?.assumeIsolated { self.ended(token, $0) }
            }
        }
        first.send(BlindRelayPair(isInitiator: true, token: token, streamID: one.localID))
        second.send(BlindRelayPair(isInitiator: false, token: token, streamID: two.localID))
        first.pump()
        second.pump()
        armByteLimit(node)
    }

    /// A stream that packets of one end of a pair arrive at.
    private func makeStream(to link: StreamLink, remoteID: UInt32, _ node: isolated DHTNode) -> UDXStream? {
        guard node.multiplexer.streamCount < DHTNode.streamLimit, let socket = link.stream.socket,
            let address = link.stream.remoteAddress
        else { return nil }
        var options = UDXStreamOptions()
        options.idleTimeout = self.options.idleTimeLimit
        options.sourcePolicy = .remote
        let id = node.streamIDs.draw(random: &node.random)
        let stream = try? node.multiplexer.createStream(localID: id, options: options) {
            // The client's packets come from the socket of its connection to us; its network may move it to another
            // port. Anybody else who guesses the id must not be able to speak for it.
            $0.source.hasSameHost(as: address) ? .acceptAndChangeRemote(remoteID: remoteID) : .reject
        }
        guard let stream else {
            node.streamIDs.release(id)
            return nil
        }
        // Known from the connection that asked, so that neither end has to send first.
        guard (try? stream.connect(on: socket, remoteID: remoteID, address: address)) != nil else {
            stream.destroy()
            return nil
        }
        return stream
    }

    /// One stream of the pair closed by itself: its end was reset, or nothing passed for too long.
    private func ended(_ token: Bytes32, _ node: isolated DHTNode) {
        guard let pair = pairs[token] else { return }
        exchange.unpair(token, of: pair.clients.0)
        end(token, node)
    }

    private func remove(_ client: UInt64, _ node: isolated DHTNode) {
        sessions[client] = nil
        for token in exchange.remove(client) { end(token, node) }
    }

    private func end(_ token: Bytes32, _ node: isolated DHTNode) {
        guard let pair = pairs.removeValue(forKey: token) else { return }
        exchange.unpair(token, of: pair.clients.0)
        statistics.relayedByteCount += pair.byteCount
        pair.streams.0.destroy()
        pair.streams.1.destroy()
        node.settleLater()
    }

    private func armByteLimit(_ node: isolated DHTNode) {
        guard let limit = options.pairByteLimit, timer == nil else { return }
        timer = node.schedule(at: node.loop.now + RelayService.byteLimitInterval) { [weak self, weak node] in
            guard let self, let node else { return }
            node.assumeIsolated { node in
                self.timer = nil
                for token in self.pairs.filter({ $0.value.byteCount > limit }).keys.sorted() { self.end(token, node) }
                if !self.pairs.isEmpty { self.armByteLimit(node) }
            }
        }
    }
}
