/// One of the sockets that a node sends from; the driver maps it to a real one.
package struct SocketID: RawRepresentable, Hashable, Sendable, Comparable {
    /// The driver's number for the socket.
    package let rawValue: UInt32

    /// Any number; 0 and 1 are the client and the server socket.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The socket on a random port, from which a firewalled node asks; spec 20 section 3.
    package static let client = SocketID(rawValue: 0)
    /// The socket on the preferred port, on which a node is reachable; spec 20 section 3.
    package static let server = SocketID(rawValue: 1)
    /// The first number that is free for sockets of the upper layer, such as those for hole punching.
    package static let firstExtra = SocketID(rawValue: 2)

    /// Orders by number.
    package static func < (left: SocketID, right: SocketID) -> Bool { left.rawValue < right.rawValue }
}

/// Names one request of a node, from its start to its result.
package struct RequestID: Hashable, Sendable, Comparable {
    // The transaction id is part of the name, so that a request is found without a second table.
    let sequence: UInt64
    let transaction: UInt16

    /// Orders by start.
    package static func < (left: RequestID, right: RequestID) -> Bool { left.sequence < right.sequence }
}

/// Names one query of a node, from its start to its end.
package struct QueryID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: QueryID, right: QueryID) -> Bool { left.sequence < right.sequence }
}

/// A group of requests that can be cancelled together; spec 20 section 3.
package struct RPCSessionID: Hashable, Sendable {
    let sequence: UInt64
}

/// What a request asks for: a number in one of two spaces; spec 20 section 2.6.
package struct RPCCommand: Hashable, Sendable {
    /// The number on the wire.
    package let number: UInt64
    /// Whether it belongs to the DHT itself and not to the application above.
    package let isInternal: Bool

    /// A command of the application above.
    package static func external(_ number: UInt64) -> RPCCommand { RPCCommand(number: number, isInternal: false) }
    /// A command of the DHT itself.
    package static func `internal`(_ number: UInt64) -> RPCCommand { RPCCommand(number: number, isInternal: true) }

    /// Are you there?
    package static let ping = RPCCommand.internal(0)
    /// Answer to another port of mine.
    package static let pingNAT = RPCCommand.internal(1)
    /// Which nodes do you know closest to the target?
    package static let findNode = RPCCommand.internal(2)
    /// A node you told me about does not answer.
    package static let downHint = RPCCommand.internal(3)
    /// Answer after a delay.
    package static let delayedPing = RPCCommand.internal(4)
}

/// The error number in a response; spec 20 section 2.7.
package struct RPCErrorCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire; at most 2^53 - 1.
    package let rawValue: UInt64

    /// Any number; applications use 16 and above.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// No error.
    package static let ok = RPCErrorCode(rawValue: 0)
    /// The node does not handle the command.
    package static let unknownCommand = RPCErrorCode(rawValue: 1)
    /// The token is neither of the two that are valid now; the response carries a fresh one.
    package static let invalidToken = RPCErrorCode(rawValue: 2)
}
