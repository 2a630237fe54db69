package import DWebBase

/// A relayed stream that one side wants, because a direct path may not come about; spec 20 section 13.
package struct BlindRelayRequest: Sendable, Equatable {
    /// The connection that it is for.
    package var connection: ConnectionID
    /// The relay: an ordinary peer, to connect to like any other.
    package var relay: PublicKey
    /// What both ends tell the relay.
    package var token: Bytes32
    /// Whether this side is the pair's initiator; not the same as who connects.
    package var isInitiator: Bool
    /// This side's stream id.
    package var streamID: UInt32

    /// What to send on the `blind-relay` channel.
    package var message: BlindRelayPair {
        BlindRelayPair(isInitiator: isInitiator, token: token, streamID: streamID)
    }

    /// Whether `answer` is the relay's answer to ``message``; any other is ignored.
    package func isAnswered(by answer: BlindRelayPair) -> Bool {
        answer.token == token && answer.isInitiator == isInitiator
    }
}

/// What a node wants done about blind relays; a driver without relays may leave these where they are.
///
/// They only come if a relay was offered, by our options or by the peer.
package enum HyperRelayOutput: Sendable, Equatable {
    /// Connect to the relay, open the `blind-relay` channel (its id is our own key on that connection), send the
    /// request's message, and report ``HyperDHTNode/relayPaired(_:on:address:remoteStreamID:now:)`` or
    /// ``HyperDHTNode/relayFailed(_:now:)``.
    case pair(BlindRelayRequest)
    /// The relay is not needed any more, or took too long: close the connection to it.
    case abandon(ConnectionID)
    /// A direct path is there: change the stream's remote to it, and end the connection to the relay once the peer's
    /// packets arrive there.
    case upgrade(HyperPath)
}

/// One side's use of a blind relay for one connection.
struct BlindRelayAttempt: Sendable {
    enum Phase: Sendable, Equatable {
        case pending
        /// The stream runs through the relay.
        case paired
        case failed
    }

    let request: BlindRelayRequest
    private(set) var phase = Phase.pending
    private(set) var socket = SocketID.client
    private(set) var address: SocketAddress?
    private let pairingDeadline: MonotonicTime

    init(_ request: BlindRelayRequest, _ context: inout HyperContext) {
        self.request = request
        pairingDeadline = context.now + HyperTimes.relayPairing
        context.actions.append(.relay(.pair(request)))
    }

    var nextDeadline: MonotonicTime? { phase == .pending ? pairingDeadline : nil }

    /// Whether packets from `address` on `socket` come through the relay.
    func isRelay(_ socket: SocketID, _ address: SocketAddress) -> Bool {
        phase != .failed && socket == self.socket && address == self.address
    }

    /// The connection to the relay stands; the peer's packets may overtake the relay's answer.
    mutating func reached(on socket: SocketID, _ address: SocketAddress) {
        guard phase == .pending else { return }
        self.socket = socket
        self.address = address
    }

    /// The relay joined both sides.
    mutating func paired(on socket: SocketID, _ address: SocketAddress) {
        phase = .paired
        self.socket = socket
        self.address = address
    }

    mutating func fail() { if phase == .pending { phase = .failed } }

    /// Returns whether the relay took too long.
    mutating func wake(_ context: inout HyperContext) -> Bool {
        guard phase == .pending, pairingDeadline <= context.now else { return false }
        abandon(&context)
        return true
    }

    mutating func abandon(_ context: inout HyperContext) {
        guard phase == .pending else { return }
        phase = .failed
        context.actions.append(.relay(.abandon(request.connection)))
    }
}
