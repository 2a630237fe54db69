package import DWebBase
package import DWebCrypto
import DequeModule
import HeapModule
import OrderedCollections

/// Decides which peers a swarm connects to, keeps, refuses and retries, and when it queries for its topics;
/// spec 30 section G.
///
/// Map: topics and their queries are in `SwarmPolicy+Topics`, peers and connections in `SwarmPolicy+Connections`, waits
/// in `SwarmPolicy+Flush`, and what people see in `SwarmPolicy+Diagnostics`. After each call, drain ``pollOutput()``
/// and
/// set a timer for ``nextDeadline``.
package struct SwarmPolicy: Sendable {
    /// One connection, from the attempt or the arrival to its close. At most one per remote key is in ``byKey``.
    struct Connection: Sendable {
        let key: PublicKey
        let isInitiator: Bool
        /// Where an arrival came from, with port 0; nil where that is not known, as through a relay.
        var host: SocketAddress?
        /// Whether the attempt came from the queue, so that waits count it.
        var isFromQueue = false
        var isOpen = false
        var isClosing = false
        /// An arrival that takes this one's place once it is gone.
        var replacement: SwarmConnectionID?
    }

    /// A moment at which something is due for a topic; stale if the topic says otherwise by then.
    struct TopicTimer: Comparable, Sendable {
        let deadline: MonotonicTime
        let topic: Bytes32

        static func < (left: TopicTimer, right: TopicTimer) -> Bool {
            (left.deadline, left.topic) < (right.deadline, right.topic)
        }
    }

    /// This node's key.
    package let publicKey: PublicKey
    let configuration: SwarmPolicyConfiguration
    var random: SecureRandom
    var outputs = Deque<SwarmOutput>()
    var peers: [PublicKey: SwarmPeer] = [:]
    var explicitPeers = OrderedSet<PublicKey>()
    var queue = PeerQueue()
    var timers: RetryTimers
    var connections: [SwarmConnectionID: Connection] = [:]
    var byKey: [PublicKey: SwarmConnectionID] = [:]
    /// Arrivals that wait until the connection they replace is gone.
    var replacements: [SwarmConnectionID: (key: PublicKey, host: SocketAddress?)] = [:]
    var connectingCount = 0
    var clientCount = 0
    var serverCount = 0
    /// Incoming connections by host.
    var hostCounts: [SocketAddress: Int] = [:]
    var bannedCount = 0
    var topics = OrderedDictionary<Bytes32, TopicDiscovery>()
    /// Topics that were left and whose announcements are still being removed.
    var leavingTopics = OrderedSet<Bytes32>()
    var refreshTopics: [SwarmRefreshID: Bytes32] = [:]
    /// Topics whose query waits until fewer run.
    var waitingTopics = TopicTurns()
    var topicTimers = Heap<TopicTimer>()
    var sessionTopics: [SwarmSessionID: Bytes32] = [:]
    var flushes: [PendingFlush] = []
    var nextSequence: UInt64 = 0
    var hasAskedToListen = false
    var isListening = false
    /// Running totals.
    package internal(set) var statistics = SwarmStatistics()
    /// Whether everything rests.
    package internal(set) var isSuspended = false
    /// Whether the swarm is over.
    package internal(set) var isClosed = false

    /// A policy without topics and peers for the node with `publicKey`.
    package init(
        publicKey: PublicKey, configuration: SwarmPolicyConfiguration = .init(), random: SecureRandom,
        now: MonotonicTime
    ) {
        self.publicKey = publicKey
        self.configuration = configuration
        self.random = random
        timers = RetryTimers(configuration, random: &self.random, now: now)
    }

    /// The next thing to do, or nil.
    package mutating func pollOutput() -> SwarmOutput? { outputs.popFirst() }

    /// When to call ``wake(now:)`` next; nil while nothing waits for time.
    package var nextDeadline: MonotonicTime? {
        guard !isSuspended, !isClosed else { return nil }
        var deadline = timers.nextDeadline
        func consider(_ time: MonotonicTime?) {
            guard let time else { return }
            deadline = min(deadline ?? time, time)
        }
        consider(topicTimers.min?.deadline)
        if connectingCount < configuration.parallelLimit {
            for key in explicitPeers where byKey[key] == nil { consider(explicitRetryTime(key)) }
        }
        return deadline
    }

    /// Does what is due: queries, retries.
    package mutating func wake(now: MonotonicTime) {
        guard !isSuspended, !isClosed else { return }
        while let timer = topicTimers.min, timer.deadline <= now {
            topicTimers.removeMin()
            wakeTopic(timer.topic, now: now)
        }
        for key in timers.wake(now: now) { retry(key) }
        attemptConnections(now: now)
    }

    /// The network changed: checks every connection and queries again for every topic.
    package mutating func networkChanged(now: MonotonicTime) {
        guard !isSuspended, !isClosed else { return }
        for (id, connection) in connections.sorted(by: { $0.key < $1.key }) where connection.isOpen {
            outputs.append(.sendKeepAlive(id))
        }
        for topic in topics.keys { refresh(topic, now: now) }
    }

    /// Stops everything until ``resume(now:)``: queries, announcements, connections, retries; spec 30 section G.6.
    package mutating func suspend(now: MonotonicTime) {
        guard !isSuspended, !isClosed else { return }
        isSuspended = true
        stopQueries()
        closeAll(.suspended)
        forgetQueue(now: now)
        hasAskedToListen = false
        isListening = false
    }

    /// Goes on after ``suspend(now:)``: queries for every topic and dials again.
    package mutating func resume(now: MonotonicTime) {
        guard isSuspended, !isClosed else { return }
        isSuspended = false
        for topic in topics.keys { refresh(topic, now: now) }
        attemptConnections(now: now)
    }

    /// Ends everything for good: leaves every topic, closes every connection and ends waits without success.
    package mutating func close(now: MonotonicTime) {
        guard !isClosed else { return }
        isClosed = true
        // First, because what follows would otherwise look like the success that they wait for.
        let ended = flushes
        flushes.removeAll()
        for flush in ended { outputs.append(.flushFinished(flush.id, false)) }
        stopQueries()
        topics.removeAll()
        topicTimers = []
        sessionTopics.removeAll()
        closeAll(.closed)
        forgetQueue(now: now)
    }

    /// Whether a connection with this key may begin, in either direction.
    package func admits(_ key: PublicKey) -> Bool { key != publicKey && peers[key]?.isBanned != true && !isClosed }

    mutating func makeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    private mutating func stopQueries() {
        waitingTopics.removeAll()
        topicTimers = []
        for index in topics.values.indices {
            if let active = topics.values[index].activeRefresh {
                outputs.append(.cancelRefresh(active))
                refreshTopics[active] = nil
                topics.values[index].activeRefresh = nil
            }
            topics.values[index].isRefreshHeld = false
            topics.values[index].nextRefresh = nil
            topics.values[index].nextSecondLook = nil
            topics.values[index].isSecondLook = false
            topics.values[index].isNewlyAnnounced = true
            if topics.values[index].needsUnannounce, !topics.values[index].isUnannouncing {
                topics.values[index].needsUnannounce = false
                topics.values[index].isUnannouncing = true
                leavingTopics.append(topics.values[index].topic)
                outputs.append(.unannounce(topic: topics.values[index].topic))
            }
            finishTopicFlushes(topics.values[index].topic, succeeded: false)
        }
    }

    private mutating func closeAll(_ reason: SwarmCloseReason) {
        for id in connections.keys.sorted() { requestClose(id, reason) }
        for id in replacements.keys.sorted() { outputs.append(.close(id, reason)) }
    }

    private mutating func forgetQueue(now: MonotonicTime) {
        let waiting = peers.values.filter { $0.isQueued || $0.isWaiting }.map(\.publicKey).sorted()
        queue.removeAll()
        timers = RetryTimers(configuration, random: &random, now: now)
        for key in waiting {
            peers[key]?.isQueued = false
            peers[key]?.isWaiting = false
            finishAttempt(of: key)
            forgetIfUnused(key)
        }
    }
}
