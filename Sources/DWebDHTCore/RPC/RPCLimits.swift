/// The most that peers, or a careless upper layer, can make a node hold; spec 20 section 16.
package enum RPCLimits {
    /// Nodes kept from the closer list of one response. A conforming node sends 20.
    package static let closerNodesPerReply = 40
    /// Requests waiting for an answer or for their turn. One more fails with ``RPCFailure/tooManyRequests``.
    package static let requests = 4096
    /// Answers that wait for the delay that a DELAYED_PING asked for. One more is dropped.
    package static let delayedReplies = 256
    /// The part of ``delayedReplies`` that one host can have.
    package static let delayedRepliesPerHost = 8
    /// Addresses that one query visits or plans to visit. Further ones are ignored.
    package static let addressesPerQuery = 1024
    /// Nodes remembered per visited address for telling them that it is down.
    package static let referrersPerAddress: UInt8 = 20
    /// Requests taken from one host of the public internet within a second.
    package static let requestsPerHost = 1000
    /// Bytes by which answers may exceed the requests of one host of the public internet within a second: what the node
    /// can be made to send to somebody in whose name another one asks.
    package static let amplifiedBytesPerHost = 128 * 1024
    /// Hosts whose requests are counted at a time.
    package static let countedHosts = 4096
    /// Checks of hinted nodes at a time; spec 20 section 2.6.
    package static let concurrentChecks = 10
    /// Checks of whether a full row's oldest node is alive at a time; spec 20 section 4.
    package static let concurrentSwaps = 3
}

/// Times and counts that the protocol fixes; spec 20 section 18.
package enum RPCConstants {
    /// Nodes in a row of the routing table, in a closer list and in a query's result.
    package static let k = 20
    /// The unit in which a node's upkeep counts.
    package static let tick = Duration.milliseconds(5000)
    /// A pause between ticks that means the machine slept.
    package static let sleepDetection = Duration.milliseconds(15000)
    /// How long a request waits before it is repeated or given up.
    package static let requestTimeout = Duration.milliseconds(1000)
    /// Repetitions of a request.
    package static let retryCount = 3
    /// Repetitions of a request that belongs to a query.
    package static let queryRetryCount = 5
    /// Requests of a query at a time.
    package static let queryConcurrency = 10
    /// Requests of a query at a time while it must not disturb others.
    package static let backgroundConcurrency = 2
    /// Requests at a time while a query that began with given nodes waits for them.
    package static let slowdownConcurrency = 3
    /// Unanswered requests in a row after which a node takes it that nobody is there.
    package static let silentRequestCount = 6
    /// The longest delay of a DELAYED_PING that is answered, in milliseconds.
    package static let delayedPingLimitMilliseconds: UInt32 = 10000
    /// Requests sent per slot of the congestion window; twice as many in all four.
    package static let congestionWindow = 80
    /// Requests per second that are paced, in the long run.
    package static let pacedRate = 185
    /// The most that are paced in any second.
    package static let pacedLimitPerSecond = 190
    /// The most requests of any kind in a second while paced ones wait, so that there are no 200.
    package static let limitPerSecond = 196
    /// Paced requests that may leave at once.
    package static let pacedBurst = 50
    /// How long a slot of the congestion window lasts.
    package static let congestionRotation = Duration.milliseconds(750)
    /// How long a token secret issues tokens; they are accepted for as long again.
    package static let tokenRotation = Duration.milliseconds(7500)
    /// Ticks until an idle node refreshes its table.
    package static let refreshTicks = 60
    /// Ticks between searches that begin at the entry points: half an hour. Not the living network's, whose nodes never
    /// return there once they know others, so that what a long partition left of it stays in two parts.
    package static let entryPointTicks = 360
    /// Ticks until the first check of whether the node can become persistent.
    package static let stableTicks = 240
    /// Ticks between further checks.
    package static let moreStableTicks = 720
    /// Ticks since the last sign of life for which a node counts as recent.
    package static let recentTicks = 12
    /// Ticks after which a node counts as old.
    package static let oldTicks = 360
    /// DOWN_HINT messages sent per tick.
    package static let downHintsPerTick = 50
    /// Nodes asked in a test of the firewall.
    package static let firewallProbeNodes = 5
}
