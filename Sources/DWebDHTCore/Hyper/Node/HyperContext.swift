package import DWebBase
import DWebCrypto

/// A request that a part of the node wants sent.
struct HyperCall: Sendable {
    var to: SocketAddress
    var command: RPCCommand
    var target: Bytes32?
    var token: Bytes32?
    var value: [UInt8]?
    /// The socket to send from; nil for the node's own choice.
    var socket: SocketID?
    var retryCount = RPCConstants.retryCount
    var isPaced = false
    var isHurried = false

    static func external(
        _ command: HyperCommand, to address: SocketAddress, target: Bytes32?, token: Bytes32? = nil,
        value: [UInt8]? = nil, socket: SocketID? = nil
    ) -> HyperCall {
        HyperCall(
            to: address, command: .external(command.rawValue), target: target, token: token, value: value,
            socket: socket)
    }

    static func ping(_ address: SocketAddress, socket: SocketID? = nil, retryCount: Int = 3) -> HyperCall {
        HyperCall(to: address, command: .ping, socket: socket, retryCount: retryCount)
    }
}

/// Tells a part of the node which of its requests an answer belongs to.
enum HyperTag: Hashable, Sendable {
    /// A handshake through the relay with this index.
    case attempt(Int)
    /// The ping of the server's address in the same network.
    case localPing
    /// A hole-punch message of this client round.
    case holepunch(UInt64)
    /// A hole-punch message whose answer does not matter.
    case farewell
    /// A ping from a punch socket, to learn our address there.
    case natSample(SocketID)
    /// A ping of the relay with this index.
    case relayPing(Int)
    /// An ANNOUNCE to the relay with this index.
    case announce(Int)
    /// A FIND_PEER to a relay that is to be left.
    case leaving(SocketAddress)
    /// An UNANNOUNCE to a relay that is to be left.
    case left(SocketAddress)
    /// A commit of a query; nil for one of an operation without a query.
    case commit(QueryID?)
    /// The second attempt at a commit, with the token that came with the refusal of the first.
    case recommit(QueryID?)
    /// An UNANNOUNCE during a query.
    case unannounce
    /// A ping that an operation consists of.
    case ping
}

/// What a part of the node wants done.
enum HyperAction: Sendable {
    case call(HyperTag, HyperCall)
    /// Forget all requests and queries of this part.
    case cancelAll
    /// A FIND_PEER query for the target, beginning with these nodes.
    case findPeer(target: Bytes32, nodes: [SocketAddress], retryCount: Int)
    case send(OutgoingDatagram)
    case bindSocket(SocketID)
    case releaseSocket(SocketID)
    /// The socket now belongs to a stream and no longer to this part.
    case handOverSocket(SocketID)
    case output(HyperOutput)
    case relay(HyperRelayOutput)
    /// Nothing more happens to this incoming connection.
    case forget(ConnectionID)
    case answerHandshake(HandshakeRoute, noise: [UInt8], socket: SocketID?)
    case answerHolepunch(IncomingRequest, payload: [UInt8], peerAddress: SocketAddress, socket: SocketID?)
    /// Remember which nodes lead to a peer.
    case rememberRelays(PublicKey, [SocketAddress])
}

/// A handshake request that waits for its answer, and the way the answer has to take.
struct HandshakeRoute: Sendable {
    var request: IncomingRequest
    var message: HandshakeMessage
}

/// How many random punches run; spec 20 section 12.2.
struct RandomPunchBudget: Sendable {
    private var activeCount = 0
    private var lastEnd: MonotonicTime?

    func isAvailable(now: MonotonicTime) -> Bool {
        guard activeCount < HyperLimits.randomPunchCount else { return false }
        guard let lastEnd else { return true }
        return now >= lastEnd + HyperTimes.randomPunchInterval
    }

    mutating func begin() { activeCount += 1 }

    /// Gives back what ``begin()`` took, if nothing was sent.
    mutating func giveBack() { activeCount -= 1 }

    mutating func end(now: MonotonicTime) {
        activeCount -= 1
        lastEnd = now
    }
}

/// What a part of the node may know and use while it handles something; actions collect here.
struct HyperContext: Sendable {
    var now = MonotonicTime.zero
    var random: SecureRandom
    /// Whether the node must assume that it cannot be reached.
    var isFirewalled = true
    /// Whether the node's network uses another port for every destination.
    var hasRandomPorts = false
    /// Whether the driver can connect to blind relays.
    var usesBlindRelays = false
    /// Whether the network works.
    var isOnline = true
    /// The node's public address, known only if it can be reached there.
    var publicAddress: SocketAddress?
    /// The host's addresses with the server socket's port.
    var localAddresses: [SocketAddress] = []
    /// Recently heard nodes, newest first.
    var recentNodes: [SocketAddress] = []
    var randomPunches = RandomPunchBudget()
    var actions: [HyperAction] = []
    private var nextSocket = SocketID.firstExtra.rawValue

    init(random: SecureRandom) { self.random = random }

    /// The socket that requests leave from.
    var mainSocket: SocketID { isFirewalled ? .client : .server }

    /// Asks for a new socket on any port and names it.
    mutating func bindSocket() -> SocketID {
        let socket = SocketID(rawValue: nextSocket)
        // Sockets live for minutes and numbers for four billion of them, so that reuse cannot collide.
        nextSocket = nextSocket == .max ? SocketID.firstExtra.rawValue : nextSocket + 1
        actions.append(.bindSocket(socket))
        return socket
    }

    /// Sends the one-byte packet that opens a path; with a low time to live it only opens our own firewall.
    mutating func punch(_ address: SocketAddress, from socket: SocketID, isLowTimeToLive: Bool) {
        guard address.port != 0, AddressClass(address) != .reserved else { return }
        actions.append(
            .send(
                OutgoingDatagram(
                    socket: socket, destination: address, bytes: [0], timeToLive: isLowTimeToLive ? 5 : 64)))
    }
}

/// A way to a peer that led there a moment ago; spec 20 section 14.
struct SocketRoute: Sendable, Equatable {
    var socket: SocketID
    var address: SocketAddress
    var kind: HyperPathKind
}

/// Where a stream of the DHT's peers runs, and with which keys.
package struct HyperPath: Sendable, Equatable {
    /// The connection.
    package var connection: ConnectionID
    /// Whether this side started it.
    package var isInitiator: Bool
    /// The socket to use. A socket numbered ``SocketID/firstExtra`` or above belongs to the stream from now on.
    package var socket: SocketID
    /// The peer's address.
    package var address: SocketAddress
    /// This side's stream id, as given.
    package var streamID: UInt32
    /// The peer's stream id.
    package var remoteStreamID: UInt32
    /// The keys of the encrypted stream.
    package var keys: HandshakeKeys
    /// How the path came about.
    package var kind: HyperPathKind
    /// Whether both sides agreed that the socket may serve later connections with the same peer; spec 20 section 14.
    package var isReusable = false
    /// Whether the address is a blind relay's; a ``HyperRelayOutput/upgrade(_:)`` may follow.
    package var isRelayed: Bool { kind == .relayed }
}

/// How a path between two peers came about; spec 20 sections 11 to 13.
package enum HyperPathKind: Hashable, Sendable {
    /// One of the two can be reached by anybody.
    case open
    /// Both are in one network.
    case localNetwork
    /// Through both firewalls, with this strategy on this side.
    case holePunched(PunchStrategy)
    /// Through a blind relay.
    case relayed
}

/// What one side did to punch; spec 20 section 12.4.
package enum PunchStrategy: Hashable, Sendable {
    /// Pings to known addresses.
    case consistent
    /// Pings to random ports of a known host.
    case randomProbes
    /// Many sockets that ping one address.
    case birthday
    /// It had not begun to punch when the peer's packet came.
    case passive
}

/// A client that asks to be connected: answer with ``HyperDHTNode/accept(_:streamID:now:)`` or
/// ``HyperDHTNode/refuse(_:now:)``.
package struct IncomingHandshake: Sendable, Equatable {
    /// The connection.
    package var connection: ConnectionID
    /// The listening key pair it is for.
    package var server: ServerID
    /// The client's proven key.
    package var remotePublicKey: PublicKey
    /// The client's address, as the first relay or this node sees it.
    package var address: SocketAddress
    /// Whether the client sent directly to this node.
    package var isDirect: Bool
    /// What the client says about itself.
    package var payload: NoisePayload
}

/// What an operation reports.
package enum HyperOperationEvent: Sendable, Equatable {
    /// A node knows peers under the topic.
    case peers(LookupReply, from: SocketAddress)
    /// A node knows the peer.
    case peer(PeerRecord, from: SocketAddress)
    /// A verified mutable value, newer than those reported before.
    case mutable(MutableRecord, from: SocketAddress)
    /// The verified immutable value; reported once.
    case immutable([UInt8], from: SocketAddress)
    /// The node that was pinged answered.
    case pong(RPCReply)
    /// The operation ended; nothing more comes for it.
    case finished(HyperOperationResult)
}

/// How an operation ended.
package struct HyperOperationResult: Sendable, Equatable {
    /// Nodes that answered without an error.
    package var answerCount = 0
    /// Nodes that took the record or the withdrawal.
    package var storedCount = 0
    /// Nodes closest to the target.
    package var closestNodes: [SocketAddress] = []
    /// Why it failed; nil for success.
    package var error: OperationError?
}

/// What a node wants done, in order. What is rare and large lies elsewhere, because queues of these have spare room.
package enum HyperOutput: Sendable, Equatable {
    /// Send a datagram.
    case send(OutgoingDatagram)
    /// Bind another socket, on any port of the host the node uses; report through
    /// ``HyperDHTNode/socketBound(_:now:)`` or ``HyperDHTNode/socketFailed(_:now:)``.
    case bindSocket(SocketID)
    /// Close the socket, after a while if a stream used it.
    case releaseSocket(SocketID)
    /// Look up a host and report through ``HyperDHTNode/hostResolved(_:addresses:now:)``.
    case resolveHost(String)
    /// An operation has something to report.
    indirect case operation(OperationID, HyperOperationEvent)
    /// A client asks to be connected.
    indirect case handshake(IncomingHandshake)
    /// Connect the stream: its peer is known now. Comes at most once per connection.
    indirect case connect(HyperPath)
    /// No connection came about; the stream id is free. Nothing more comes for it.
    case connectionFailed(ConnectionID, ConnectError)
    /// The server is announced: these nodes lead to it.
    case announced(ServerID, relayAddresses: [SocketAddress])
    /// The server is closed and its announcements are withdrawn as far as possible.
    case serverClosed(ServerID)
    /// Something changed.
    case event(RPCEvent)
}
