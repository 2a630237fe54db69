public import DWebBase

/// What a swarm's relation to a known peer is at the moment, and why it is not connected if it is not.
public enum PeerStatus: Equatable, Sendable {
    /// A connection is open; `isInitiator` says whether this node dialled.
    case connected(isInitiator: Bool)
    /// A connection attempt is under way.
    case connecting
    /// There is no connection and no attempt.
    case notConnected(NotConnectedReason)
}

/// Why a known peer is not connected.
public enum NotConnectedReason: Equatable, Sendable {
    /// The firewall refused it, or the application banned it.
    case banned
    /// The swarm is suspended.
    case suspended
    /// The swarm is closed.
    case closed
    /// It waits in the queue because as many attempts as allowed are under way.
    case parallelLimitReached(limit: Int)
    /// It waits in the queue because there are as many connections as allowed.
    case peerLimitReached(limit: Int)
    /// It waits in the queue because there are as many outgoing connections as allowed.
    case clientLimitReached(limit: Int)
    /// It failed or ended before and is dialled again when a retry timer fires.
    case retryScheduled(at: MonotonicTime)
    /// It failed too often and is dialled again only when a lookup finds it again.
    case gaveUp(attemptCount: Int)
    /// Reconnecting was switched off for it.
    case reconnectDisabled
    /// It dialled this node; this node has no topic under which it would dial it.
    case onlyKnownFromIncoming
    /// Every topic under which it was found has been left.
    case topicsLeft
    /// It was found and is dialled next.
    case idle
}

extension PeerStatus: CustomStringConvertible {
    /// One sentence for people.
    public var description: String {
        switch self {
        case .connected(isInitiator: true): "connected, dialled by this node"
        case .connected(isInitiator: false): "connected, dialled by the peer"
        case .connecting: "connecting"
        case .notConnected(let reason): reason.description
        }
    }
}

extension NotConnectedReason: CustomStringConvertible {
    /// One sentence for people.
    public var description: String {
        switch self {
        case .banned: "banned by the firewall or the application"
        case .suspended: "the swarm is suspended"
        case .closed: "the swarm is closed"
        case .parallelLimitReached(let limit): "queued: \(limit) attempts are under way already"
        case .peerLimitReached(let limit): "queued: the limit of \(limit) peers is reached"
        case .clientLimitReached(let limit): "queued: the limit of \(limit) outgoing connections is reached"
        case .retryScheduled: "waiting for the next attempt"
        case .gaveUp(let count): "given up after \(count) attempts until it is found again"
        case .reconnectDisabled: "reconnecting is switched off"
        case .onlyKnownFromIncoming: "not dialled: it is known only because it connected here"
        case .topicsLeft: "not dialled: the topics it was found under have been left"
        case .idle: "about to be dialled"
        }
    }
}

/// Running totals of a swarm.
public struct SwarmStatistics: Equatable, Sendable {
    /// Attempts to dial a peer.
    public var attemptCount = 0
    /// Attempts that did not lead to a connection.
    public var failedAttemptCount = 0
    /// Connections that this node dialled.
    public var clientConnectionCount = 0
    /// Connections that peers dialled.
    public var serverConnectionCount = 0
    /// Connections and attempts that gave way to another one with the same peer.
    public var duplicateCount = 0
    /// Peers that were banned.
    public var bannedCount = 0
    /// Incoming connections that were closed because a limit was reached, in all or from one address.
    public var limitRefusalCount = 0

    /// All zero.
    public init() {}
}

/// Everything a swarm knows about a peer.
public struct PeerDiagnostics: Equatable, Sendable {
    /// The peer's key.
    public let publicKey: PublicKey
    /// Whether it is connected, and if not, why.
    public let status: PeerStatus
    /// Attempts since the last connection that lasted.
    public let attemptCount: Int
    /// 0 (dialled last) to 4 (dialled first).
    public let priority: Int
    /// Whether the application asked for it by key.
    public let isExplicit: Bool
    /// What the last failed attempt ran into.
    public let lastFailure: String?
    /// The same for programs.
    public let lastError: ConnectError?
    /// The topics under which it was found.
    public let topics: [Topic]
}
