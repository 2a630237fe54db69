package import DWebBase
package import DWebCrypto
package import DWebLogCore
package import DWebPorts
package import DWebWireCore
import OrderedCollections

/// Where a connection finds the logs that it may exchange.
package protocol ReplicationSource: Sendable {
    /// The logs that are open: they are offered to every peer.
    func openLogs() async -> [LogEngine]

    /// The log that a peer asks for, opened if it is stored; nil if there is none.
    func log(for discoveryKey: DiscoveryKey) async -> LogEngine?
}

/// One connection over which logs are exchanged: a secret stream, a multiplexer, and a channel per log.
///
/// Two tasks run it, a reader and a writer. What one chunk of input brings goes to each log as one call, and what all
/// logs want sent meanwhile leaves as few, large frames. The writer waits for the transport; logs that fill the outbox
/// meanwhile hold back, so that a slow peer costs bounded memory.
package actor ReplicationSession {
    /// How the connection is secured.
    package enum Setup: Sendable {
        /// A handshake was made elsewhere.
        case handshake(HandshakeResult)
        /// Makes a Noise handshake of pattern XX.
        case negotiate(isInitiator: Bool, keyPair: KeyPair)
    }

    /// What the connection does beside exchanging logs.
    package struct Options: Sendable {
        /// How long nothing may be sent before a keep-alive is.
        package var keepAliveInterval: Duration?
        /// How long nothing may arrive before the connection counts as lost.
        package var timeout: Duration?
        /// What is known of the transport.
        package var transport = PeerTransport(isUDX: true)
        /// Called on the loop once the handshake is finished and every open log was offered.
        package var openHandler: (@Sendable () -> Void)?

        /// The network's defaults: a keep-alive every five seconds, and no timeout.
        package init(keepAliveInterval: Duration? = .seconds(5), timeout: Duration? = nil) {
            self.keepAliveInterval = keepAliveInterval
            self.timeout = timeout
        }
    }

    private struct Channel {
        let engine: LogEngine
        let peer: ReplicationPeerID
        var isOpen = false
    }

    /// The protocol of a log's channel, and its other name; spec 30 section C.1.
    static let protocolName = "hypercore/alpha"
    static let protocolAlias = "hypercore"
    // More in one frame would make the receiver wait, and hold memory, for little gain.
    private static let frameByteCount = 64 * 1024

    private nonisolated let loop: any RuntimeLoop
    private nonisolated let stream: any DuplexStream
    private nonisolated let source: any ReplicationSource
    /// What is to be sent.
    package nonisolated let outbox = PeerOutbox()
    private let options: Options
    private let secret: SecretStream
    private let mux = ProtocolMux()
    private var handshake: HandshakeResult?
    private var channels: OrderedDictionary<ChannelID, Channel> = [:]
    private var channelsByLog: [DiscoveryKey: ChannelID] = [:]
    private var timer: (any LoopTimer)?
    private var timerDeadline: MonotonicTime?
    /// When the stream's round-trip time is asked for again.
    private var nextMeasurement = MonotonicTime.zero
    private var isEnded = false

    /// A connection over `stream`; it does nothing before ``run()``.
    package init(
        stream: any DuplexStream, setup: Setup, source: any ReplicationSource, runtime: DWebRuntime,
        options: Options = Options()
    ) {
        loop = runtime.loop
        self.stream = stream
        self.source = source
        self.options = options
        var random = SecureRandom(seed: runtime.entropy.seed())
        let streamOptions = SecretStream.Options(
            keepAliveInterval: options.keepAliveInterval, timeout: options.timeout)
        let entropy = SecretStream.Entropy(&random)
        secret =
            switch setup {
            case .handshake(let result):
                SecretStream(handshake: result, entropy: entropy, options: streamOptions, now: runtime.loop.now)
            case .negotiate(let isInitiator, let keyPair):
                SecretStream(
                    isInitiator: isInitiator, keyPair: keyPair, entropy: entropy, options: streamOptions,
                    now: runtime.loop.now)
            }
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// Exchanges logs until the connection ends. Cancel the task to end it.
    ///
    /// - Throws: ``DDatabaseError`` with code `protocolViolation`, `invalidProof`, `connectionLost` or `cancelled`. A
    ///   peer that ends the connection in order is no error.
    package func run() async throws(DDatabaseError) {
        let failure = await withTaskGroup(of: DDatabaseError?.self) { group in
            // On the loop throughout: a stream resumes its reader where the task prefers to run, and a hop to another
            // thread and back costs more than handling a chunk.
            group.addTask(executorPreference: loop) {
                await self.outcome { () throws(DDatabaseError) in try await self.read() }
            }
            group.addTask(executorPreference: loop) {
                await self.outcome { () throws(DDatabaseError) in try await self.write() }
            }
            // Whichever ends first says why; the other one only follows.
            let first = await group.next() ?? nil
            group.cancelAll()
            outbox.close()
            if first == nil { await stream.finish() } else { stream.abort() }
            await group.waitForAll()
            return first
        }
        await end()
        if Task.isCancelled { throw DDatabaseError(.cancelled, "The task was cancelled") }
        if let failure { throw failure }
    }

    private func outcome(_ body: () async throws(DDatabaseError) -> Void) async -> DDatabaseError? {
        do throws(DDatabaseError) {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    /// Offers a log that was opened after the connection.
    package func attach(_ engine: LogEngine) async {
        guard !isEnded, handshake != nil else { return }
        await open(engine)
        outbox.push(.flush)
    }

    /// Ends the connection from outside; ``run()`` returns soon after.
    package nonisolated func stop() {
        outbox.push(.fail(DDatabaseError(.closed, "The connection was closed on this side")))
    }

    private func end() async {
        isEnded = true
        timer?.cancel()
        stream.abort()
        for channel in channels.values { await channel.engine.detach(channel.peer) }
        channels = [:]
        channelsByLog = [:]
    }

    // MARK: Reading

    private func read() async throws(DDatabaseError) {
        try await takeEvents()
        outbox.push(.flush)
        while !isEnded {
            var chunk: [UInt8]?
            do throws(PortError) { chunk = try await stream.read() } catch { throw DDatabaseError(connection: error) }
            let isEnd = chunk == nil
            // Taken out, since a chunk that is held here too would be copied to be decrypted.
            if let bytes = chunk.take() {
                secret.receive(bytes, now: loop.now)
            } else {
                guard secret.missingByteCount == 0 else {
                    throw DDatabaseError(.connectionLost, "The peer's stream ended within a frame")
                }
                secret.receiveEnd()
            }
            try await takeEvents()
            if isEnd { return }
        }
    }

    private func takeEvents() async throws(DDatabaseError) {
        while let event = secret.pollEvent() {
            switch event {
            case .opened(let result):
                handshake = result
                mux.cork()
                for engine in await source.openLogs() { await open(engine) }
                mux.uncork()
                options.openHandler?()
            case .messages(let batch):
                mux.receive(batch)
                try await takeMessages()
            case .ended:
                mux.streamEnded()
                try await takeMessages()
            case .failed(let error): throw ReplicationSession.failure(error)
            }
        }
        if mux.hasMessages || secret.hasOutput { outbox.push(.flush) }
        setTimer()
    }

    /// Decodes what arrived and gives each log its messages in one call.
    private func takeMessages() async throws(DDatabaseError) {
        var groups: OrderedDictionary<ChannelID, [LogMessage]> = [:]
        // Many messages in a row are of one channel: they are looked up once.
        var run: (id: ChannelID, messages: [LogMessage])?
        func endRun() {
            guard let ended = run else { return }
            run = nil
            groups[ended.id, default: []] += ended.messages
        }
        while let event = try pollMux() {
            if case .message(let id, let type, let payload) = event {
                if run?.id != id {
                    endRun()
                    guard channels[id]?.isOpen == true else { continue }
                    run = (id, [])
                }
                var reader = payload.reader
                do throws(CodecError) {
                    guard let message = try LogMessage.decode(type: type, from: &reader) else { continue }
                    run?.messages.append(message)
                } catch {
                    throw DDatabaseError(
                        .protocolViolation, "The peer sent a message that cannot be decoded (\(error))")
                }
                continue
            }
            endRun()
            switch event {
            case .message: continue
            case .opened(let id, let payload): try await opened(id, payload)
            case .closed(let id, isRemote: _):
                if let messages = groups.removeValue(forKey: id) { await deliver(messages, id) }
                await closed(id)
            case .pairRequest(let identity): try await pair(identity)
            }
        }
        endRun()
        for (id, messages) in groups { await deliver(messages, id) }
    }

    private func pollMux() throws(DDatabaseError) -> ProtocolMux.Event? {
        do throws(ProtocolMuxError) {
            return try mux.pollEvent()
        } catch {
            throw DDatabaseError(.protocolViolation, "The peer broke the rules of the multiplexer (\(error))")
        }
    }

    private func deliver(_ messages: [LogMessage], _ id: ChannelID) async {
        guard let channel = channels[id] else { return }
        await channel.engine.receive(messages, from: channel.peer)
    }

    // MARK: Channels

    private func open(_ engine: LogEngine) async {
        guard let handshake, channelsByLog[engine.discoveryKey] == nil, !isEnded else { return }
        var payload = ByteWriter(capacity: 33)
        // Bit 0: seeks inside requests and proofs are understood.
        payload.writeUInt(1 as UInt64)
        payload.writeBytes32(handshake.localCapability(of: engine.key))
        let identity = ChannelIdentity(ReplicationSession.protocolName, id: engine.discoveryKey.bytes)
        let id: ChannelID
        do throws(ChannelError) {
            id = try mux.open(identity, aliases: [ReplicationSession.protocolAlias], handshake: payload.bytes)
        } catch {
            // Too many channels, or the stream has ended: the log is simply not exchanged here.
            return
        }
        channelsByLog[engine.discoveryKey] = id
        do throws(DDatabaseError) {
            let peer = try await engine.attach(
                PeerLink(outbox: outbox, channel: id, remotePublicKey: handshake.remotePublicKey),
                transport: options.transport)
            if isEnded {
                await engine.detach(peer)
            } else {
                channels[id] = Channel(engine: engine, peer: peer)
            }
        } catch {
            channelsByLog[engine.discoveryKey] = nil
            mux.close(id)
        }
    }

    private func opened(_ id: ChannelID, _ payload: MessageSlice) async throws(DDatabaseError) {
        guard let handshake, let channel = channels[id] else { return }
        var reader = payload.reader
        let flags: UInt64
        let capability: Bytes32
        do throws(CodecError) {
            flags = try reader.readUInt()
            capability = try reader.readBytes32()
        } catch {
            throw DDatabaseError(.protocolViolation, "The peer opened a log without a capability")
        }
        guard capability == handshake.remoteCapability(of: channel.engine.key) else {
            throw DDatabaseError(.protocolViolation, "The peer does not know the key of the log it opened")
        }
        channels[id]?.isOpen = true
        await channel.engine.peerOpened(channel.peer, supportsSeeks: flags & 1 != 0)
    }

    private func closed(_ id: ChannelID) async {
        guard let channel = channels.removeValue(forKey: id) else { return }
        if channelsByLog[channel.engine.discoveryKey] == id { channelsByLog[channel.engine.discoveryKey] = nil }
        await channel.engine.peerClosed(channel.peer)
    }

    /// Answers a peer that opened a log which is not offered to it.
    private func pair(_ identity: ChannelIdentity) async throws(DDatabaseError) {
        if identity.protocolName == ReplicationSession.protocolName {
            guard let discoveryKey = DiscoveryKey(identity.id) else {
                throw DDatabaseError(.protocolViolation, "The peer opened a log by a name that is no discovery key")
            }
            if let engine = await source.log(for: discoveryKey) { await open(engine) }
        }
        mux.rejectUnclaimed(identity)
    }

    // MARK: Writing

    private func write() async throws(DDatabaseError) {
        while let items = await outbox.next() {
            var working: [LogEngine] = []
            var reopening: [LogEngine] = []
            var collectedByteCount = 0
            mux.cork()
            for item in items {
                switch item {
                case .message(let id, let message):
                    if collectedByteCount >= ReplicationSession.frameByteCount {
                        mux.uncork()
                        // At once: the peer works while the next frame is made, and no buffer grows with what waits.
                        try await writeOutput()
                        mux.cork()
                        collectedByteCount = 0
                    }
                    collectedByteCount += PeerOutbox.byteCount(of: message)
                    send(message, on: id)
                case .closeChannel(let id): forget(id)
                case .reopen(let engine): reopening.append(engine)
                case .work(let engine): working.append(engine)
                case .flush: break
                case .fail(let error):
                    mux.uncork()
                    throw error
                }
            }
            mux.uncork()
            for engine in reopening {
                if let id = channelsByLog[engine.discoveryKey] { forget(id) }
                await open(engine)
            }
            try await writeOutput()
            if outbox.finishWriting() {
                for channel in Array(channels.values) { await channel.engine.peerDrained(channel.peer) }
            }
            for engine in working { await engine.performWork() }
            await measure()
        }
    }

    /// Tells the logs how far away the peer is, now and then while something is sent.
    private func measure() async {
        guard let stream = stream as? any MeasuredStream, loop.now >= nextMeasurement else { return }
        nextMeasurement = loop.now + .seconds(1)
        guard let time = await stream.roundTripTime else { return }
        for channel in Array(channels.values) { await channel.engine.setRoundTripTime(time, of: channel.peer) }
    }

    private func send(_ message: LogMessage, on id: ChannelID) {
        do throws(ChannelError) {
            try mux.send(id, type: message.type, payloadByteCount: PeerOutbox.byteCount(of: message)) {
                message.encode(into: &$0)
            }
        } catch {
            // Blocks are limited to what fits in a frame, so this is a message that nobody can be sent.
            return
        }
    }

    /// Closes a channel that the log has already forgotten.
    private func forget(_ id: ChannelID) {
        if let channel = channels.removeValue(forKey: id), channelsByLog[channel.engine.discoveryKey] == id {
            channelsByLog[channel.engine.discoveryKey] = nil
        }
        mux.close(id)
    }

    private func writeOutput() async throws(DDatabaseError) {
        while true {
            do throws(SecretStreamError) {
                if mux.hasMessages { try secret.send(mux.takeMessages(), now: loop.now) }
            } catch {
                throw ReplicationSession.failure(error)
            }
            setTimer()
            guard secret.hasOutput else { return }
            let output = secret.takeOutput()
            do throws(PortError) { try await stream.write(output) } catch { throw DDatabaseError(connection: error) }
        }
    }

    // MARK: Time

    /// Makes sure of a call at the next deadline. Deadlines move on with everything that is sent or arrives: a timer that
    /// is set for an earlier time stays, and looks again.
    private func setTimer() {
        guard let deadline = secret.nextDeadline else {
            timer?.cancel()
            timerDeadline = nil
            return
        }
        if let timerDeadline, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = loop.schedule(at: deadline) { [weak self] in self?.assumeIsolated { $0.wake() } }
    }

    private func wake() {
        timerDeadline = nil
        guard !isEnded else { return }
        secret.wake(now: loop.now)
        if secret.isClosed {
            outbox.push(.fail(DDatabaseError(.connectionLost, "The peer was silent for too long")))
        } else {
            if secret.hasOutput { outbox.push(.flush) }
            setTimer()
        }
    }

    private static func failure(_ error: SecretStreamError) -> DDatabaseError {
        switch error {
        case .timedOut: DDatabaseError(.connectionLost, "The peer was silent for too long")
        case .endedBeforeOpen: DDatabaseError(.connectionLost, "The stream ended during the handshake")
        case .closed, .datagramCounterExhausted, .messageTooLong:
            DDatabaseError(.connectionLost, "The secret stream cannot be used any more (\(error))")
        case .handshakeFailed, .handshakeFrameTooLong, .unexpectedRemoteKey, .invalidHeader, .frameTooShort,
            .authenticationFailed:
            DDatabaseError(.protocolViolation, "The peer broke the rules of the secret stream (\(error))")
        }
    }
}
