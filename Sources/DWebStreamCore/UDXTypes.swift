package import DWebBase

/// One of an instance's sockets: a small number that ``UDXMultiplexer/addSocket(family:)`` gives out.
package struct SocketID: Hashable, Sendable, Comparable {
    /// The index of the socket's batch in ``UDXOutput``.
    package let index: Int

    package init(index: Int) { self.index = index }

    package static func < (left: SocketID, right: SocketID) -> Bool { left.index < right.index }
}

/// Why a call on a stream was refused; spec 10 section 4.
package enum UDXError: Error, Equatable, Sendable {
    /// The stream has no remote yet.
    case notConnected
    /// The stream has a remote already.
    case alreadyConnected
    /// The writable side has been ended.
    case ended
    /// The stream is closed.
    case closed
    /// Another stream of this instance has the id.
    case idInUse
    /// Port 0, an unknown socket, a closed relay destination or a second relay destination.
    case invalidArgument
    /// Too much waits to be sent.
    case queueFull
}

/// Why a stream closed; spec 10 section 4.
package enum UDXCloseReason: Error, Equatable, Sendable {
    /// Both sides ended.
    case finished
    /// This side destroyed it.
    case destroyed
    /// The peer destroyed it.
    case reset
    /// A packet was retransmitted too often without an answer, or nothing arrived for too long.
    case timedOut
}

/// What a stream tells its owner.
package enum UDXEvent: Equatable, Sendable {
    /// Bytes wait in ``UDXStream/read()``. Reported once until they are taken.
    case readable
    /// The peer ended its side; whatever waits in ``UDXStream/read()`` is the last of it.
    case ended
    /// An unordered message arrived.
    case message([UInt8])
    /// After ``UDXStream/write(_:)`` returned false: there is room again.
    case drained
    /// Everything sent to the previous remote has been acknowledged.
    case remoteChanged
    /// The stream is gone. Always the last event.
    case closed(UDXCloseReason)
}

/// A packet for a stream that arrived on a socket which is not the stream's own, or before it has one.
package struct UDXArrival: Sendable {
    /// The stream's local id.
    package let localID: UInt32
    /// Where it arrived.
    package let socket: SocketID
    /// Where it came from; never IPv4-mapped, never port 0.
    package let source: SocketAddress
    /// Whether the stream has a remote already.
    package let isConnected: Bool
}

/// What to do with a ``UDXArrival``; spec 10 section 4, "Firewall hook".
package enum UDXFirewallDecision: Equatable, Sendable {
    /// Drop the packet. The default.
    case reject
    /// Process the packet and change nothing.
    case accept
    /// Connect the stream to the packet's source over the packet's socket, then process it. If the stream is connected
    /// already, this is ``accept``.
    case acceptAndConnect(remoteID: UInt32)
    /// Send to the packet's source over the packet's socket from now on, then process it. If the stream is not
    /// connected yet, it is connected.
    case acceptAndChangeRemote(remoteID: UInt32)
}

/// Which congestion controller a stream uses.
package enum CongestionAlgorithm: Sendable {
    /// BBR version 1, as the living network runs it; spec 10 section 9.
    case bbr
    /// CUBIC, RFC 9438.
    case cubic
}

/// Which packets a connected stream takes from its own socket without asking the firewall; spec 10 section 12 item 9.
package enum UDXSourcePolicy: Sendable {
    /// Those from every address, as the living network does: a peer whose address changes is heard on.
    case any
    /// Those from the remote, and from former remotes while packets are outstanding there.
    case remote
}

/// How a stream is created.
package struct UDXStreamOptions: Sendable {
    /// The first number that this side sends; both sides must agree on it.
    package var initialSequence: UInt32 = 0
    /// The first number expected from the peer; both sides must agree on it.
    package var initialAcknowledgement: UInt32 = 0
    /// The most unread bytes to hold, in bytes, which is what a path of 100 ms brings at 1.3 Gbit/s; less where a reader
    /// takes less per round trip.
    package var receiveWindowByteCount = 16 << 20
    /// The window to begin with, in bytes; it grows with what is read per round trip, up to ``receiveWindowByteCount``.
    package var initialReceiveWindowByteCount = 512 << 10
    /// Whether every data packet gets an acknowledgement of its own, as the reference does, instead of one for all
    /// packets of a batch.
    package var acknowledgesEveryPacket = false
    /// Sends a heartbeat at this interval while nothing is outstanding; nil never.
    package var keepAliveInterval: Duration?
    /// Closes the stream as timed out once nothing arrived for this long; nil never. With ``keepAliveInterval`` well
    /// below it, only a peer that is gone ends the stream.
    package var idleTimeout: Duration?
    /// Whether routers may mark packets instead of dropping them; takes effect if the peer asks for it too. An
    /// extension;
    /// docs/transport.md.
    package var isECNEnabled = false
    /// Which packets on the stream's own socket are taken without asking the firewall.
    package var sourcePolicy = UDXSourcePolicy.any
    /// The largest IP packet of the link to the peer, in bytes.
    package var linkMTU = 1_500
    /// The congestion controller.
    package var congestion: CongestionAlgorithm = .bbr
    /// Spreads the phases of bandwidth probing between streams; any random number.
    package var phaseSeed: UInt32 = 0

    /// The defaults of the living network.
    package init() {}
}

/// Counters and measurements of one stream.
public struct UDXStatistics: Sendable, Equatable {
    /// The smoothed round-trip time; nil before the first measurement.
    public var roundTripTime: Duration?
    /// The smallest round-trip time of the last minutes; nil before the first measurement.
    public var minimumRoundTripTime: Duration?
    /// How much the round-trip time varies; nil before the first measurement.
    public var roundTripVariation: Duration?
    /// The congestion window in packets.
    public var congestionWindow = 0
    /// The pacing rate in bytes per second.
    public var pacingBytesPerSecond = 0
    /// Packets sent and neither acknowledged nor counted lost.
    public var packetsInFlight = 0
    /// Bytes of those packets.
    public var bytesInFlight = 0
    /// The most bytes that this side holds unread now; it grows with what is read per round trip.
    public var receiveWindowByteCount = 0
    /// The window that the peer last announced, in bytes.
    public var peerWindowByteCount = 0
    /// The largest IP packet known to reach the peer, in bytes.
    public var pathMTU = 0
    /// Packets sent, of every kind.
    public var packetsSent = 0
    /// Packets received, of every kind.
    public var packetsReceived = 0
    /// Bytes of UDP payload sent.
    public var bytesSent = 0
    /// Bytes of UDP payload received.
    public var bytesReceived = 0
    /// Data packets sent again.
    public var retransmissions = 0
    /// Times that fast recovery began.
    public var fastRecoveries = 0
    /// Times that the retransmission timer ran out.
    public var retransmissionTimeouts = 0
    /// Tail loss probes sent.
    public var tailLossProbes = 0
    /// Data packets received a second time.
    public var duplicatesReceived = 0
    /// Bytes of the stream that the peer has acknowledged without gaps.
    public var bytesAcknowledged = 0
    /// Bytes of the stream that arrived without gaps.
    public var bytesDelivered = 0
    /// Times that the path was found to carry smaller packets than before.
    public var pathMTUFallbacks = 0
    /// Times that the sender slowed down because packets were marked for congestion.
    public var congestionMarks = 0

    /// All zero.
    public init() {}
}
