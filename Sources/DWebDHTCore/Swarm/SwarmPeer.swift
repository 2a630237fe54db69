import DWebBase

/// What the policy remembers about one remote key; spec 30 sections G.1 and G.2.
struct SwarmPeer: Sendable {
    let publicKey: PublicKey
    var relayAddresses: [SocketAddress] = []
    /// Where it is in the local network, the latest first.
    var nearbyAddresses: [SocketAddress] = []
    var priority = Priority.normal
    var attemptCount = 0
    /// Whether a connection was ever opened by this node since the counters were reset.
    var isProven = false
    var isBanned = false
    var isExplicit = false
    /// Whether an entry for it waits in a retry timer.
    var isWaiting = false
    var isQueued = false
    /// Whether this node was the one that dialled last.
    var isClient = false
    var isReconnecting = true
    var forcesRelay = false
    var connectedAt: MonotonicTime?
    var disconnectedAt: MonotonicTime?
    var topics: [Bytes32] = []
    var lastFailure: String?
    var lastError: ConnectError?

    enum Priority: Int, CaseIterable, Comparable, Sendable {
        case veryLow = 0
        case low
        case normal
        case high
        case veryHigh

        static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
    }

    init(publicKey: PublicKey) { self.publicKey = publicKey }

    /// Whether nothing keeps the entry once there is no connection.
    var isForgettable: Bool { !(isBanned || isQueued || isExplicit || isWaiting) }

    mutating func noteTopic(_ topic: Bytes32) {
        guard topics.count < SwarmLimits.topicsPerPeer, !topics.contains(topic) else { return }
        topics.append(topic)
    }

    mutating func noteNearby(_ address: SocketAddress) {
        nearbyAddresses.removeAll { $0 == address }
        nearbyAddresses.insert(address, at: 0)
        if nearbyAddresses.count > SwarmLimits.nearbyAddresses { nearbyAddresses.removeLast() }
    }

    mutating func noteConnected(now: MonotonicTime) {
        isProven = true
        connectedAt = now
        lastFailure = nil
        lastError = nil
    }

    mutating func noteDisconnected(now: MonotonicTime) {
        disconnectedAt = now
        if let connectedAt, now - connectedAt >= SwarmConstants.provenConnectionTime { attemptCount = 0 }
        connectedAt = nil
        attemptCount += 1
    }

    mutating func resetCounters() {
        isClient = false
        isProven = false
        attemptCount = 0
    }

    /// Sets the priority that follows from the attempts; false if the peer must not be queued.
    mutating func updatePriority() -> Bool {
        if isExplicit, attemptCount > SwarmConstants.attemptLimit { attemptCount = SwarmConstants.attemptLimit }
        guard !isBanned, !isQueued, attemptCount <= SwarmConstants.attemptLimit else { return false }
        switch attemptCount {
        case 1: priority = .veryHigh
        case 2: priority = .high
        case 3: priority = .low
        default: priority = .normal
        }
        return true
    }
}
