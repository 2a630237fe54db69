package import DWebBase
import OrderedCollections

extension SwarmPolicy {
    /// Every peer that is known, by key.
    package func diagnostics() -> [PeerDiagnostics] {
        peers.values.sorted { $0.publicKey < $1.publicKey }.map { peer in
            PeerDiagnostics(
                publicKey: peer.publicKey, status: status(of: peer), attemptCount: peer.attemptCount,
                priority: peer.priority.rawValue, isExplicit: peer.isExplicit, lastFailure: peer.lastFailure,
                lastError: peer.lastError, topics: peer.topics.map { Topic($0) })
        }
    }

    /// Whether a peer is connected, and why not; nil if it is not known.
    package func status(of key: PublicKey) -> PeerStatus? { peers[key].map { status(of: $0) } }

    /// Whether a peer was found at this address in the local network.
    package func isNearby(_ key: PublicKey, _ address: SocketAddress) -> Bool {
        peers[key]?.nearbyAddresses.contains(address) ?? false
    }

    /// Peers that are banned.
    package var bannedPeers: [PublicKey] { peers.values.filter(\.isBanned).map(\.publicKey).sorted() }

    /// Open connections.
    package var openConnectionCount: Int { connections.values.count { $0.isOpen && !$0.isClosing } }

    /// Attempts under way.
    package var connectingConnectionCount: Int { connectingCount }

    /// Topics whose query runs or is about to.
    package var refreshingTopicCount: Int { topics.values.count { $0.isRefreshing } }

    /// Topics under which this node was announced at least once since they were joined or the node rested.
    package var announcedTopicCount: Int { topics.values.count { !$0.isNewlyAnnounced } }

    /// The topics that are joined, in order.
    package var topicStates: [SwarmTopicState] {
        topics.values.map {
            SwarmTopicState(
                topic: $0.topic, roles: $0.activeRoles, isRefreshing: $0.isRefreshing, nextRefresh: $0.nextRefresh)
        }
    }

    /// The topics under which a peer was found.
    package func topics(of key: PublicKey) -> [Topic] { (peers[key]?.topics ?? []).map { Topic($0) } }

    private func status(of peer: SwarmPeer) -> PeerStatus {
        if let id = byKey[peer.publicKey], let connection = connections[id], !connection.isClosing {
            return connection.isOpen ? .connected(isInitiator: connection.isInitiator) : .connecting
        }
        return .notConnected(reason(for: peer))
    }

    private func reason(for peer: SwarmPeer) -> NotConnectedReason {
        if peer.isBanned { return .banned }
        if isClosed { return .closed }
        if isSuspended { return .suspended }
        if peer.isQueued {
            if !hasRoom {
                if let limit = configuration.clientLimit, clientCount >= limit {
                    return .clientLimitReached(limit: limit)
                }
                return .peerLimitReached(limit: configuration.peerLimit)
            }
            if connectingCount >= configuration.parallelLimit {
                return .parallelLimitReached(limit: configuration.parallelLimit)
            }
            return .idle
        }
        if peer.isWaiting, let due = timers.deadline(of: peer.publicKey) { return .retryScheduled(at: due) }
        if !peer.isReconnecting { return .reconnectDisabled }
        if peer.attemptCount > SwarmConstants.attemptLimit { return .gaveUp(attemptCount: peer.attemptCount) }
        if peer.isExplicit { return .idle }
        if peer.topics.isEmpty { return .onlyKnownFromIncoming }
        return peer.topics.contains { topics[$0] != nil } ? .idle : .topicsLeft
    }
}

/// What is done for one topic at the moment.
package struct SwarmTopicState: Equatable, Sendable {
    /// The topic.
    package let topic: Bytes32
    /// The roles of the running or last query.
    package let roles: SwarmRoles
    /// Whether a query runs or is about to.
    package let isRefreshing: Bool
    /// When the next query is due; nil while one runs.
    package let nextRefresh: MonotonicTime?
}
