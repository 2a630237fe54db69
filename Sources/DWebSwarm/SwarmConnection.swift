public import DWebBase
public import DWebPorts
public import DWebStreamCore
package import DWebWireCore

/// One connection with a peer whose key is proven: an ordered, reliable stream of bytes.
///
/// The bytes themselves are not encrypted at this level: run a secret stream over it, in pre-shared mode with
/// ``handshake``. One reader and one writer at a time. A connection that nobody refers to any more is closed.
public final class SwarmConnection: DuplexStream {
    /// The peer's key, which it has proven to own.
    public let remotePublicKey: PublicKey
    /// Whether this node dialled.
    public let isInitiator: Bool
    /// The topics under which the peer had been found when the connection was handed over; empty for a peer that
    /// dialled
    /// and was not found itself.
    public let topics: [Topic]
    /// What the DHT's handshake left: keys and names for the secret stream on top.
    package let handshake: HandshakeResult

    /// Whether the connection runs over a socket of its own, with which a hole was punched.
    public var isHolePunched: Bool { get async { await path == .holePunched } }

    /// How the packets travel at this moment. A relayed connection moves to a direct path as soon as there is one.
    public var path: ConnectionPath { get async { await node.path(of: link) } }

    let link: StreamLink
    private let node: DHTNode

    init(link: StreamLink, node: DHTNode, topics: [Topic]) {
        self.link = link
        self.node = node
        self.topics = topics
        handshake = link.handshake
        remotePublicKey = link.handshake.remotePublicKey
        isInitiator = link.handshake.isInitiator
    }

    deinit { node.release(link) }

    /// The next bytes that arrived, all that wait in one piece; nil once the peer has ended its side.
    ///
    /// - Throws: ``PortError`` with code `connectionReset`, `timedOut`, `closed` or `cancelled`.
    public func read() async throws(PortError) -> [UInt8]? { try await node.read(link) }

    /// Queues `chunk` and waits while too much is queued.
    ///
    /// - Throws: ``PortError`` with code `connectionReset`, `timedOut`, `closed` or `cancelled`.
    public func write(_ chunk: [UInt8]) async throws(PortError) { try await node.write(chunk, to: link) }

    /// Ends the writable side after what is queued; the peer reads nil. Callable more than once.
    public func finish() async { await node.finish(link) }

    /// Ends both sides at once and tells the peer. Callable more than once, from anywhere.
    public func abort() { node.abort(link) }

    /// Sends one message that may be lost, overtaken or repeated on its way.
    ///
    /// - Returns: Whether it was small enough and there was room for it.
    @discardableResult
    public func sendDatagram(_ payload: [UInt8]) async -> Bool { await node.sendDatagram(payload, on: link) }

    /// The next unordered message, or nil once the connection is closed. One reader at a time.
    public func readDatagram() async -> [UInt8]? { await node.readDatagram(link) }

    /// Waits until the connection is closed, and says how: nil for an end that both sides agreed on or that this side
    /// asked for.
    public func closed() async -> PortError? { await node.closed(link) }

    /// Calls `body` on the loop when the swarm doubts that the peer is still there: send it something.
    package func onKeepAliveNeeded(_ body: @escaping @Sendable () -> Void) async {
        await node.setKeepAlive(body, of: link)
    }

    /// Whether the connection is closed, or about to report that it is.
    public var isClosed: Bool { link.isClosed }

    /// The peer's address as packets are sent to it; nil once closed before it was known.
    public var remoteAddress: SocketAddress? { get async { await node.remoteAddress(of: link) } }

    /// Counters and measurements of this moment.
    public var statistics: UDXStatistics { get async { await node.statistics(of: link) } }
}
