/// The most that peers can make the swarm's policy hold; spec 30 sections G and H.
package enum SwarmLimits {
    /// Peers remembered at a time. Further discovered ones are ignored until others are forgotten.
    package static let knownPeers = 4096
    /// Banned peers remembered at a time. Beyond it the firewall decides anew on each connection.
    package static let bannedPeers = 4096
    /// Relay addresses kept per peer.
    package static let relayAddresses = 8
    /// Addresses in the local network kept per peer.
    package static let nearbyAddresses = 4
    /// Topics remembered per peer, in the order in which it was found.
    package static let topicsPerPeer = 64
    /// Server-side connections at a time, unless the configuration says less.
    package static let serverConnections = 4096
    /// Server-side connections from one host at a time, unless the configuration says otherwise.
    package static let serverConnectionsPerHost = 256
    /// Queries for topics at a time. Further ones wait for their turn.
    package static let refreshes = 16
    /// The same while more than ``refreshes`` wait: fewer at a time lose less of what neighbours could have shared, and are
    /// as quick, since the rate of requests is what they wait for, even where an answer takes half a second.
    package static let refreshesAmongMany = 8
}

/// Times and counts that the swarm's policy fixes; spec 30 sections G.1, G.2 and G.5.
package enum SwarmConstants {
    /// A connection that lasted this long resets the count of attempts.
    package static let provenConnectionTime = Duration.seconds(15)
    /// The pause between two queries for a topic, without the random part.
    package static let refreshInterval = Duration.seconds(600)
    /// The most that is added to ``refreshInterval``.
    package static let refreshJitter = Duration.seconds(120)
    /// The pause before the second look for peers that announced themselves at the same moment, and the most that is
    /// added to it. Not the living network's: there, such peers meet at the next refresh.
    package static let secondLookPause = Duration.milliseconds(1500)
    /// The same before the third look, which is only taken if nobody was found.
    package static let thirdLookPause = Duration.seconds(8)
    /// The pause before a topic that is only looked up, and led to nobody, is looked up again; doubled each time. Not the
    /// living network's, whose readers wait for the next refresh.
    package static let lonelyLookPause = Duration.seconds(5)
    /// The pause before a query is repeated that nobody answered; doubled each time. Not the living network's, whose peers
    /// wait for the next refresh.
    package static let failedRefreshPause = Duration.seconds(4)
    /// Second looks after one announcement.
    package static let secondLookLimit = 2
    /// A refresh later than this is spread anew: the machine slept.
    package static let refreshGrace = Duration.seconds(30)
    /// Attempts after which a peer is no longer tried by itself.
    package static let attemptLimit = 3
    /// Attempts after which an explicit peer is no longer tried outside the queue.
    package static let explicitAttemptLimit = 5
    /// The pause per attempt before an explicit peer is tried again outside the queue.
    package static let explicitPause = Duration.seconds(1)
}
