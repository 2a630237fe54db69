package import DWebBase
package import DWebCrypto
import DequeModule

// Map: this file has the life of a stream and its sending side; `SecretStream+Receiving.swift` the receiving side;
// `DatagramCipher.swift` the unordered messages. Frames are sealed and opened in place: an incoming chunk becomes the
// buffer of the messages handed out, an outgoing message is copied once into the buffer that the transport takes.

/// One end of an encrypted stream of messages over a reliable stream of bytes; spec 30 section A.
///
/// It does no input or output. The owner gives it what arrives (``receive(_:now:)``, ``receiveEnd()``), polls
/// ``pollEvent()`` until nil, writes ``takeOutput()`` to the transport, and calls ``wake(now:)`` at ``nextDeadline``.
/// After a `failed` event the transport is to be destroyed.
package final class SecretStream {
    /// Named limits of what a peer can make a stream hold.
    package enum Limits {
        /// The largest frame that is accepted before the handshake is finished.
        package static let handshakeFrameByteCount = 1024
        /// The largest body of a frame.
        package static let frameByteCount = 0xff_ffff
        /// The largest message: a frame without the cipher's overhead.
        package static let messageByteCount = frameByteCount - StreamCipher.overheadByteCount
        /// The most memory set aside for a frame before its bytes arrive.
        package static let reservedByteCount = 65536
    }

    /// What a stream can be told to do beside carrying messages.
    package struct Options: Sendable {
        /// Sends an empty message when nothing else was sent for this long, and swallows received ones; nil for
        /// neither.
        package var keepAliveInterval: Duration?
        /// Fails when nothing arrives for this long; nil for never.
        package var timeout: Duration?
        /// Fails unless the other side proves this key; nil accepts any.
        package var expectedRemoteKey: PublicKey?

        /// Options for a stream; by default it neither keeps itself alive nor times out.
        package init(
            keepAliveInterval: Duration? = nil, timeout: Duration? = nil, expectedRemoteKey: PublicKey? = nil
        ) {
            self.keepAliveInterval = keepAliveInterval
            self.timeout = timeout
            self.expectedRemoteKey = expectedRemoteKey
        }
    }

    /// The random values of one stream.
    package struct Entropy: Sendable {
        var ephemeralSeed: Bytes32
        var header: [UInt8]
        var firstDatagramCounter: UInt64

        /// Draws them from `random`.
        package init(_ random: inout SecureRandom) {
            self.init(
                ephemeralSeed: random.bytes32(), header: random.bytes(StreamCipher.headerByteCount),
                firstDatagramCounter: random.next())
        }

        /// Takes them as they are: to reproduce a recorded stream.
        package init(ephemeralSeed: Bytes32, header: [UInt8], firstDatagramCounter: UInt64) {
            precondition(header.count == StreamCipher.headerByteCount, "a stream's header has 24 random bytes")
            self.ephemeralSeed = ephemeralSeed
            self.header = header
            self.firstDatagramCounter = firstDatagramCounter
        }
    }

    /// What happened on a stream, in order.
    package enum Event: Sendable {
        /// The handshake is finished: keys and the peer's identity are known.
        case opened(HandshakeResult)
        /// Messages arrived.
        case messages(MessageBatch)
        /// The other side ended its direction.
        case ended
        /// The stream is of no more use; destroy the transport. Nothing follows.
        case failed(SecretStreamError)
    }

    enum Phase {
        case handshake
        case header
        case open
        case closed
    }

    /// Complete data frames sent, with their length prefixes, in bytes; spec 30 section A.3.
    package private(set) var sentByteCount: UInt64 = 0
    /// Bodies of data frames received, in bytes; spec 30 section A.3.
    package internal(set) var receivedByteCount: UInt64 = 0
    /// Keys and the peer's identity; nil before the handshake is finished.
    package private(set) var handshake: HandshakeResult?

    var phase: Phase = .handshake
    var noise: NoiseHandshake?
    var opener: StreamOpener?
    // A frame of which only a part has arrived, from its length prefix on.
    var partial: [UInt8] = []
    var partialTarget = SecretStream.prefixByteCount
    static let prefixByteCount = 3
    static let headerFrameByteCount = Bytes32.byteCount + StreamCipher.headerByteCount

    private let options: Options
    private let entropy: Entropy
    private var sealer: StreamSealer?
    private var datagrams: DatagramCipher?
    private var events: Deque<Event> = []
    private var output: [UInt8] = []
    // Sent before the handshake was finished.
    private var waiting: [[UInt8]] = []
    private var keepAliveInterval: Duration?
    private var timeout: Duration?
    private var keepAliveDeadline: MonotonicTime?
    private var timeoutDeadline: MonotonicTime?

    /// A stream that does its own handshake, pattern XX.
    package init(
        isInitiator: Bool, keyPair: KeyPair, entropy: Entropy, options: Options = Options(), now: MonotonicTime
    ) {
        self.options = options
        self.entropy = entropy
        noise = NoiseHandshake(
            pattern: .xx, isInitiator: isInitiator, localStatic: keyPair,
            localEphemeral: KeyPair(seed: entropy.ephemeralSeed))
        keepAliveInterval = options.keepAliveInterval
        setTimeout(options.timeout, now: now)
        if isInitiator { writeHandshake(now: now) }
    }

    /// A stream whose handshake was done elsewhere, for example through the DHT.
    package init(
        handshake: HandshakeResult, entropy: Entropy, options: Options = Options(), now: MonotonicTime
    ) {
        self.options = options
        self.entropy = entropy
        keepAliveInterval = options.keepAliveInterval
        setTimeout(options.timeout, now: now)
        open(handshake, now: now)
    }

    /// Whether messages leave at once: the handshake is finished and the stream has not ended.
    package var isOpen: Bool { sealer != nil && phase != .closed }

    /// Whether the stream has failed.
    package var isClosed: Bool { phase == .closed }

    /// The next thing that happened; nil when there is nothing new.
    package func pollEvent() -> Event? { events.popFirst() }

    /// Whether ``takeOutput()`` has something.
    package var hasOutput: Bool { !output.isEmpty }

    /// The number of bytes that ``takeOutput()`` has.
    package var outputByteCount: Int { output.count }

    /// Everything to write to the transport since the last call, in one piece.
    package func takeOutput() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &output)
        return taken
    }

    // MARK: Sending

    /// Sends one message. Before the handshake is finished it waits.
    ///
    /// - Throws: `messageTooLong` above ``Limits/messageByteCount``; `closed` after a failure.
    package func send(_ message: [UInt8], now: MonotonicTime) throws(SecretStreamError) {
        try send(message, range: 0..<message.count, now: now)
    }

    /// Sends the part of `bytes` in `range` as one message.
    package func send(_ bytes: [UInt8], range: Range<Int>, now: MonotonicTime) throws(SecretStreamError) {
        guard range.count <= Limits.messageByteCount else { throw .messageTooLong }
        guard phase != .closed else { throw .closed }
        guard sealer != nil else {
            waiting.append(Array(bytes[range]))
            return
        }
        let start = output.count
        let bodyByteCount = range.count + StreamCipher.overheadByteCount
        appendPrefix(bodyByteCount)
        output.append(contentsOf: repeatElement(0, count: bodyByteCount))
        bytes.withUnsafeBytes { source in
            output.withUnsafeMutableBytes {
                sealer?.seal(
                    UnsafeRawBufferPointer(rebasing: source[range]),
                    into: UnsafeMutableRawBufferPointer(rebasing: $0[(start + SecretStream.prefixByteCount)...]))
            }
        }
        sentByteCount &+= UInt64(SecretStream.prefixByteCount + bodyByteCount)
        restartKeepAlive(now: now)
    }

    /// Sends every message of `batch`, each in a frame of its own.
    package func send(_ batch: MessageBatch, now: MonotonicTime) throws(SecretStreamError) {
        let byteCount = batch.ranges.reduce(0) {
            $0 + $1.count + StreamCipher.overheadByteCount + SecretStream.prefixByteCount
        }
        if output.isEmpty { output.reserveCapacity(byteCount) }
        for range in batch.ranges { try send(batch.source, range: range, now: now) }
    }

    /// Sends an empty message, which the other side's keep-alive swallows. Does nothing before the stream is open.
    package func sendKeepAlive(now: MonotonicTime) {
        guard isOpen else { return }
        do {
            try send([], now: now)
        } catch {
            fail(error)
        }
    }

    // MARK: Time

    /// Sends an empty message whenever nothing was sent for `interval`; nil stops it.
    package func setKeepAlive(_ interval: Duration?, now: MonotonicTime) {
        keepAliveInterval = interval
        restartKeepAlive(now: now)
    }

    /// Whether received empty messages are swallowed instead of handed out.
    var swallowsEmptyMessages: Bool { keepAliveInterval != nil }

    /// Fails when nothing arrives for `timeout`; nil stops it.
    package func setTimeout(_ timeout: Duration?, now: MonotonicTime) {
        self.timeout = timeout
        restartTimeout(now: now)
    }

    /// When to call ``wake(now:)``; nil for never.
    package var nextDeadline: MonotonicTime? {
        guard phase != .closed else { return nil }
        guard let keepAliveDeadline else { return timeoutDeadline }
        guard let timeoutDeadline else { return keepAliveDeadline }
        return min(keepAliveDeadline, timeoutDeadline)
    }

    /// Does what is due: the keep-alive, or the failure for silence.
    package func wake(now: MonotonicTime) {
        guard phase != .closed else { return }
        if let timeoutDeadline, timeoutDeadline <= now {
            fail(.timedOut)
        } else if let keepAliveDeadline, keepAliveDeadline <= now {
            sendKeepAlive(now: now)
        }
    }

    func restartTimeout(now: MonotonicTime) { timeoutDeadline = timeout.map { now + $0 } }

    private func restartKeepAlive(now: MonotonicTime) {
        keepAliveDeadline = sealer == nil ? nil : keepAliveInterval.map { now + $0 }
    }

    // MARK: Datagrams

    /// The envelope of an unordered message; nil before the handshake is finished.
    ///
    /// - Throws: `datagramCounterExhausted`, after which the stream has failed.
    package func sealDatagram(_ message: [UInt8]) throws(SecretStreamError) -> [UInt8]? {
        guard phase != .closed else { throw .closed }
        do {
            return try datagrams?.seal(message)
        } catch {
            fail(error)
            throw error
        }
    }

    /// The unordered message in `range` of `bytes`; nil if it is to be dropped.
    package func openDatagram(_ bytes: [UInt8], range: Range<Int>) -> [UInt8]? {
        guard phase != .closed else { return nil }
        return datagrams?.open(bytes, range: range)
    }

    // MARK: Life

    func writeHandshake(now: MonotonicTime) {
        do {
            if let message = try noise?.writeMessage() {
                appendPrefix(message.count)
                output.append(contentsOf: message)
            }
        } catch {
            fail(.handshakeFailed(error))
        }
    }

    func open(_ handshake: HandshakeResult, now: MonotonicTime) {
        noise = nil
        if let expected = options.expectedRemoteKey, expected != handshake.remotePublicKey {
            fail(.unexpectedRemoteKey)
            return
        }
        self.handshake = handshake
        phase = .header
        appendPrefix(SecretStream.headerFrameByteCount)
        output.append(contentsOf: handshake.localStreamID.bytes)
        output.append(contentsOf: entropy.header)
        sealer = StreamSealer(key: handshake.transmitKey, header: entropy.header)
        datagrams = DatagramCipher(handshake: handshake, firstCounter: entropy.firstDatagramCounter)
        restartKeepAlive(now: now)
        emit(.opened(handshake))
        let messages = waiting
        waiting = []
        do {
            for message in messages { try send(message, now: now) }
        } catch {
            fail(error)
        }
    }

    func emit(_ event: Event) { events.append(event) }

    /// Ends the stream because of `error`: forgets keys and what was not yet taken.
    package func fail(_ error: SecretStreamError) {
        guard phase != .closed else { return }
        phase = .closed
        noise = nil
        sealer = nil
        opener = nil
        datagrams = nil
        partial = []
        output = []
        waiting = []
        emit(.failed(error))
    }

    private func appendPrefix(_ byteCount: Int) {
        output.append(UInt8(truncatingIfNeeded: byteCount))
        output.append(UInt8(truncatingIfNeeded: byteCount >> 8))
        output.append(UInt8(truncatingIfNeeded: byteCount >> 16))
    }
}
