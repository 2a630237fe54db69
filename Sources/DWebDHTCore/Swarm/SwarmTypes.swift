package import DWebBase

/// Names one connection of a swarm, from the attempt or the arrival to its close.
package struct SwarmConnectionID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: SwarmConnectionID, right: SwarmConnectionID) -> Bool { left.sequence < right.sequence }
}

/// Names one query for a topic.
package struct SwarmRefreshID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: SwarmRefreshID, right: SwarmRefreshID) -> Bool { left.sequence < right.sequence }
}

/// Names one interest in a topic.
package struct SwarmSessionID: Hashable, Sendable {
    let sequence: UInt64
}

/// Names one wait for discovery and connections.
package struct SwarmFlushID: Hashable, Sendable, Comparable {
    let sequence: UInt64

    /// Orders by start.
    package static func < (left: SwarmFlushID, right: SwarmFlushID) -> Bool { left.sequence < right.sequence }
}

/// What a query for a topic does.
package enum SwarmRefreshKind: Equatable, Sendable {
    /// Look up and announce; `clears` asks to remove this node's older announcements first.
    ///
    /// `isAmongMany`: at the nodes that the last search for a neighbouring topic found, if there is one; neither looks up
    /// nor clears then.
    case announce(clears: Bool, isAmongMany: Bool = false)
    /// Look up and remove this node's announcement.
    case lookupAndUnannounce
    /// Look up.
    case lookup
}

/// Why a connection attempt failed, as far as the policy cares.
package struct SwarmFailure: Equatable, Sendable {
    /// What happened, for people.
    package var detail: String
    /// Whether the failure is one that a relay would have avoided; spec 30 section G.3.
    package var isAvoidableByRelay: Bool
    /// The same for programs; nil where it has no name.
    package var error: ConnectError?

    /// Describes a failure.
    package init(_ detail: String, isAvoidableByRelay: Bool = false, error: ConnectError? = nil) {
        self.detail = detail
        self.isAvoidableByRelay = isAvoidableByRelay
        self.error = error
    }
}

/// Why the policy closes a connection.
package enum SwarmCloseReason: Error, Equatable, Sendable {
    /// Another connection with the same peer stays; spec 30 section G.4.
    case duplicate
    /// The peer is banned, or it is this node itself.
    case banned
    /// There are as many connections as the configuration allows.
    case limitReached
    /// The swarm is suspended.
    case suspended
    /// The swarm is closing.
    case closed
}

/// How many connections a swarm makes; spec 30 section G.1.
package struct SwarmPolicyConfiguration: Sendable {
    /// Connections beyond which no further peer is dialled.
    package var peerLimit = 64
    /// Outgoing attempts at a time.
    package var parallelLimit = 3
    /// Outgoing connections at a time; nil for any number.
    package var clientLimit: Int?
    /// Incoming connections at a time.
    package var serverLimit = SwarmLimits.serverConnections
    /// Incoming connections from one host at a time.
    package var serverLimitPerHost = SwarmLimits.serverConnectionsPerHost
    /// Whether a blind relay is configured, so that failed punches are retried through it.
    package var hasRelay = false
    /// The most that is added to each retry delay, per swarm; spec 30 section G.2.
    package var retryJitter = Duration.milliseconds(500)
    /// The four retry delays without their random parts; spec 30 section G.2.
    package var retryDelays = RetryDelays()

    /// The defaults of the living network.
    package init() {}
}

/// The base of the four retry delays.
package struct RetryDelays: Sendable, Equatable {
    /// After a connection that was used.
    package var short = Duration.milliseconds(1_000)
    /// After a failed first attempt.
    package var medium = Duration.milliseconds(5_000)
    /// After further failures.
    package var long = Duration.milliseconds(15_000)
    /// For explicit peers that keep failing.
    package var extraLong = Duration.milliseconds(600_000)

    /// The defaults of the living network.
    package init() {}
}

/// What the policy wants done, in order.
package enum SwarmOutput: Equatable, Sendable {
    /// Begin to listen for connections and report through ``SwarmPolicy/listening(_:now:)``.
    case listen
    /// Query for a topic; report each peer and the end.
    case startRefresh(SwarmRefreshID, topic: Bytes32, SwarmRefreshKind)
    /// Stop a query; nothing more is expected for it.
    case cancelRefresh(SwarmRefreshID)
    /// Remove this node's announcement at the known closest nodes and report through
    /// ``SwarmPolicy/unannounceFinished(topic:now:)``.
    case unannounce(topic: Bytes32)
    /// Dial a peer; report through ``SwarmPolicy/opened(_:now:)`` or ``SwarmPolicy/closed(_:failure:now:)``.
    case connect(SwarmConnectionID, PublicKey, relayAddresses: [SocketAddress], forcesRelay: Bool)
    /// Hand an open connection to whoever uses connections. At most once per connection.
    case deliver(SwarmConnectionID)
    /// Close a connection and report through ``SwarmPolicy/closed(_:failure:now:)`` once it is gone.
    case close(SwarmConnectionID, SwarmCloseReason)
    /// Find out whether a connection is still alive.
    case sendKeepAlive(SwarmConnectionID)
    /// A wait is over; false if it ended without success.
    case flushFinished(SwarmFlushID, Bool)
    /// The firewall refused a peer, which is banned from now on.
    case banned(PublicKey)
}
