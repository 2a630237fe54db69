package import DWebBase

/// A datagram to send.
package struct OutgoingDatagram: Equatable, Sendable {
    /// The socket to send it from.
    package let socket: SocketID
    /// Where it goes.
    package let destination: SocketAddress
    /// The payload.
    package let bytes: [UInt8]
    /// The time to live to send it with; 0 means the socket's own.
    package let timeToLive: UInt8

    /// Describes a datagram.
    package init(socket: SocketID, destination: SocketAddress, bytes: [UInt8], timeToLive: UInt8 = 0) {
        self.socket = socket
        self.destination = destination
        self.bytes = bytes
        self.timeToLive = timeToLive
    }
}

/// The answer to a request.
package struct RPCReply: Equatable, Sendable {
    /// The responder; its id is present only if it belongs to the address.
    package let from: RPCContact
    /// Our address as the responder saw it.
    package let to: SocketAddress
    /// A token to use with the same node soon.
    package let token: Bytes32?
    /// Nodes that the responder knows closest to the target.
    package private(set) var closerNodes: [SocketAddress]
    /// ``RPCErrorCode/ok``, or why the responder refused.
    package let error: RPCErrorCode
    /// The command's result; nil where there is none or it is empty.
    package let value: [UInt8]?
    /// The socket that the response arrived on.
    package let socket: SocketID
    /// The time since the request was started.
    package let roundTripTime: Duration

    /// The same for those who keep it and have no use for the nodes it names.
    var withoutCloserNodes: RPCReply {
        var copy = self
        copy.closerNodes = []
        return copy
    }
}

/// Why a request has no answer; spec 20 section 17.
package enum RPCFailure: Error, Equatable, Sendable {
    /// No answer to the last repetition.
    case timeout
    /// It was cancelled, or the node was closed.
    case destroyed
    /// The node is suspended.
    case suspended
    /// There are ``RPCLimits/requests`` already.
    case tooManyRequests
    /// The destination is not an IPv4 address with a port.
    case invalidDestination
}

/// A request of a peer that the upper layer must answer, decline or drop.
package struct IncomingRequest: Equatable, Sendable {
    /// The socket that it arrived on.
    package let socket: SocketID
    /// The requester; its id is present only if it belongs to the address.
    package let from: RPCContact
    /// Our address as the requester knows it.
    package let to: SocketAddress
    /// The requester's transaction id.
    package let transaction: UInt16
    /// The number of the application's command.
    package let command: UInt64
    /// The key that the command is about.
    package let target: Bytes32?
    /// The token, which is valid if present.
    package let token: Bytes32?
    /// The command's argument; nil where there is none or it is empty.
    package let value: [UInt8]?
    /// The size of the datagram.
    package let byteCount: Int

    /// Describes a request, for tests of the upper layer.
    package init(
        socket: SocketID, from: RPCContact, to: SocketAddress, transaction: UInt16, command: UInt64,
        target: Bytes32? = nil, token: Bytes32? = nil, value: [UInt8]? = nil, byteCount: Int = 0
    ) {
        self.byteCount = byteCount
        self.socket = socket
        self.from = from
        self.to = to
        self.transaction = transaction
        self.command = command
        self.target = target
        self.token = token
        self.value = value
    }
}

/// How a query ended.
package struct RPCQueryResult: Equatable, Sendable {
    /// Why a query did not do what it was asked to.
    package enum Failure: Error, Equatable, Sendable {
        /// There was no node to commit to.
        case tooFewNodes
        /// None of the commits succeeded.
        case commitFailed
        /// The query was cancelled, or the node was closed.
        case destroyed
        /// The node was suspended.
        case suspended
    }

    /// The replies of the nodes closest to the target, closest first; at most 20, all with an id, without the nodes that
    /// they named.
    package let closestReplies: [RPCReply]
    /// Nodes that answered without an error.
    package let successCount: Int
    /// Nodes that answered with an error or not at all.
    package let errorCount: Int
    /// Commits that succeeded.
    package let commitCount: Int
    /// Why it failed; nil for success.
    package let failure: Failure?
}

/// A change of the node's situation.
package enum RPCEvent: Equatable, Sendable {
    /// The node has found its place in the network as far as it could.
    case bootstrapped
    /// The node is now part of other nodes' tables; ``RPCNode/id`` is set.
    case persistent
    /// The node was persistent and is no more.
    case ephemeral
    /// The public host, or the public port (0: not known), is another one; host nil where unknown.
    case publicAddressChanged(SocketAddress?)
    /// The network came, went, became degraded or recovered; see ``RPCNode/isOnline`` and ``RPCNode/isDegraded``.
    case networkUpdated
    /// The host's interfaces changed; ``networkUpdated`` follows.
    case networkChanged
    /// The machine slept, or the node was resumed.
    case wokeUp
}

/// What a node wants done, in order.
package enum RPCOutput: Equatable, Sendable {
    /// Send a datagram.
    case send(OutgoingDatagram)
    /// A request was answered, possibly with an error number, or failed.
    case requestFinished(RequestID, Result<RPCReply, RPCFailure>)
    /// A node answered a query without an error.
    case queryReply(QueryID, RPCReply)
    /// The query found its closest nodes: send a request to this one and report through
    /// ``RPCNode/commitFinished(_:succeeded:now:)``.
    case commitNeeded(QueryID, RPCReply)
    /// A query ended; nothing more comes for it.
    case queryFinished(QueryID, RPCQueryResult)
    /// A peer asks something of the application.
    case request(IncomingRequest)
    /// Look up the IPv4 addresses of a host and report through ``RPCNode/hostResolved(_:addresses:now:)``.
    case resolveHost(String)
    /// Something changed.
    case event(RPCEvent)
}
