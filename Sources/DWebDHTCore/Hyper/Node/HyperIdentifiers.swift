/// Names one operation of a node: a lookup, an announcement, a get or a put.
package struct OperationID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: OperationID, right: OperationID) -> Bool { left.sequence < right.sequence }
}

/// Names one listening key pair of a node.
package struct ServerID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: ServerID, right: ServerID) -> Bool { left.sequence < right.sequence }
}

/// Names one connection in the making, outgoing or incoming.
package struct ConnectionID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: ConnectionID, right: ConnectionID) -> Bool { left.sequence < right.sequence }
}

/// Why no connection came about; spec 20 section 17.
public enum ConnectError: Error, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// No node knows the peer.
    case peerNotFound
    /// Nodes know the peer, but no handshake through them succeeded.
    case peerConnectionFailed
    /// The peer speaks another version of the handshake.
    case serverIncompatible
    /// The peer answered the handshake with an error.
    case serverError
    /// The peer gave no way to punch through its firewall.
    case cannotHolepunch
    /// Hole punching ended without a connection.
    case holepunchAborted
    /// An answer during hole punching was not sealed with this connection's secret.
    case holepunchInvalid
    /// An answer during hole punching did not come from the node that was asked.
    case badHolepunchReply
    /// Neither side found out how its network behaves in time.
    case holepunchProbeTimeout
    /// Both networks pick a new port per destination: no direct path can be made.
    case doubleRandomizedNATs
    /// The peer gave up hole punching.
    case remoteAborted
    /// The peer does not take part in hole punching.
    case remoteNotHolepunching
    /// The two networks cannot be connected by hole punching.
    case remoteNotHolepunchable
    /// No blind relay paired the two sides in time.
    case relayAborted
    /// The node is suspended.
    case suspended
    /// The connection, or the node, was closed before it came about.
    case destroyed

    /// The code that the living network's tools print.
    public var code: String {
        switch self {
        case .peerNotFound: "PEER_NOT_FOUND"
        case .peerConnectionFailed: "PEER_CONNECTION_FAILED"
        case .serverIncompatible: "SERVER_INCOMPATIBLE"
        case .serverError: "SERVER_ERROR"
        case .cannotHolepunch: "CANNOT_HOLEPUNCH"
        case .holepunchAborted: "HOLEPUNCH_ABORTED"
        case .holepunchInvalid: "HOLEPUNCH_INVALID"
        case .badHolepunchReply: "BAD_HOLEPUNCH_REPLY"
        case .holepunchProbeTimeout: "HOLEPUNCH_PROBE_TIMEOUT"
        case .doubleRandomizedNATs: "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS"
        case .remoteAborted: "REMOTE_ABORTED"
        case .remoteNotHolepunching: "REMOTE_NOT_HOLEPUNCHING"
        case .remoteNotHolepunchable: "REMOTE_NOT_HOLEPUNCHABLE"
        case .relayAborted: "RELAY_ABORTED"
        case .suspended: "SUSPENDED"
        case .destroyed: "NODE_DESTROYED"
        }
    }

    /// One sentence for people.
    public var description: String {
        switch self {
        case .peerNotFound: "No node of the network knows this peer: it is not online, or has not announced itself yet."
        case .peerConnectionFailed: "Nodes know this peer, but it did not answer through any of them."
        case .serverIncompatible: "The peer speaks another version of the handshake."
        case .serverError: "The peer refused the handshake with an error."
        case .cannotHolepunch: "The peer is behind a firewall and offers no way through it."
        case .holepunchAborted: "No packet came through the firewalls of both sides."
        case .holepunchInvalid: "An answer during hole punching was forged or damaged."
        case .badHolepunchReply: "An answer during hole punching came from the wrong node."
        case .holepunchProbeTimeout: "One of the two networks did not show how it treats packets in time."
        case .doubleRandomizedNATs: "Both networks use a new port for every destination; only a relay can connect them."
        case .remoteAborted: "The peer gave up hole punching."
        case .remoteNotHolepunching: "The peer does not take part in hole punching."
        case .remoteNotHolepunchable: "The two networks cannot be connected directly."
        case .relayAborted: "The relay did not connect the two sides in time."
        case .suspended: "Networking is suspended."
        case .destroyed: "The connection was closed before it was made."
        }
    }
}

/// Why an operation has no result.
package enum OperationError: Error, Hashable, Sendable {
    /// No node of the network answered that could take part.
    case tooFewNodes
    /// No node stored the record.
    case notStored
    /// The value is empty or larger than ``HyperLimits/valueByteCount``.
    case valueSize(Int)
    /// There are ``HyperLimits/operationCount`` operations already.
    case tooManyOperations
    /// The operation was cancelled, or the node was closed or suspended.
    case cancelled
}
