/// The limits of the peer DHT; spec 20 sections 8, 12, 16 and 18. Every collection that a peer can grow has one here.
package enum HyperLimits {
    /// The largest value that is stored or sent in a mutable or immutable record, in bytes.
    package static let valueByteCount = 1000
    /// The most records returned by one LOOKUP.
    package static let lookupRecordCount = 20
    /// The most relay addresses kept of one announcement.
    package static let relayAddressCount = 3
    /// Announced records per cache generation.
    package static let recordCount = 65536
    /// Self-announced records, refresh links and bumps, each per cache generation.
    package static let forwardCount = 65536
    /// Mutable values, and immutable values, each per cache generation.
    package static let valueCount = 32768
    /// Bytes of mutable values, and of immutable values, each per cache generation.
    package static let valueStoreByteCount = 8 << 20
    /// The smallest Noise message that is forwarded: key, sealed key and sealed payload of a client's first message.
    package static let forwardedNoiseByteCount = 96
    /// Peers whose relay addresses a client remembers.
    package static let relayCacheCount = 512
    /// How far in the future a bump may lie, in milliseconds.
    package static let bumpDriftMilliseconds: UInt64 = 60_000
    /// Peers to which a way by an open socket is remembered; further ones are found as at first.
    package static let routeCount = 1024
    /// Server handshakes in progress at one node; more are dropped.
    package static let handshakeCount = 1024
    /// Server handshakes in progress from one host; more are dropped.
    package static let handshakesPerHostCount = 128
    /// The same from one host of a private network, which may hold a whole laboratory.
    package static let handshakesPerPrivateHostCount = 512
    /// Handshakes that a server reads from one host within ``relayWindow``; each costs four key agreements. A node that
    /// leads to the server passes on those of many clients.
    package static let handshakeRatePerHost = 50
    /// The same for one of the server's own relays.
    package static let handshakeRatePerRelay = 500
    /// The largest Noise message that a server reads, in bytes; a datagram holds no more.
    package static let noiseByteCount = 2048
    /// Messages forwarded for one host within ``relayWindow``.
    package static let relaysPerHostCount = 500
    /// Hosts whose forwarded messages are counted at a time.
    package static let relayHostCount = 4096
    /// The window in which forwarded messages are counted.
    package static let relayWindow = Duration.seconds(1)
    /// Relays that a client considers of one server's answer.
    package static let serverRelayCount = 16
    /// Addresses that a peer may name in one payload; more are ignored.
    package static let peerAddressCount = 16
    /// Candidates that one connection attempt tries.
    package static let candidateCount = 64
    /// Sockets of one birthday punch.
    package static let birthdaySocketCount = 256
    /// Packets of one random punch.
    package static let randomPunchPacketCount = 1750
    /// Random punches at a time, per node.
    package static let randomPunchCount = 1
    /// Operations (queries and what belongs to them) at a time.
    package static let operationCount = 4096
}

/// The times of the peer DHT; spec 20 section 18.
package enum HyperTimes {
    /// How long announced records live, between 2/3 and 4/3 of this.
    package static let recordAge = Duration.seconds(20 * 60)
    /// How long mutable and immutable values live, between 2/3 and 4/3 of this.
    package static let valueAge = Duration.seconds(48 * 3600)
    /// The pause between pings of a server's relays.
    package static let announcePause = Duration.seconds(3)
    /// How often the relays are pinged before the next announcement.
    package static let announceRoundCount = 100
    /// How long a server waits for the client after its answer.
    package static let handshakeTimeout = Duration.seconds(10)
    /// How long a finished server handshake keeps its slot and answers repeated messages.
    package static let handshakeClearWait = Duration.seconds(10)
    /// How long an open client waits for the server to connect.
    package static let passiveConnect = Duration.seconds(10)
    /// The pause between rounds of a consistent punch.
    package static let consistentPunchInterval = Duration.seconds(1)
    /// The number of rounds of a consistent punch.
    package static let consistentPunchRoundCount = 10
    /// The pause between packets of a random punch.
    package static let randomPunchPacketInterval = Duration.milliseconds(20)
    /// The pause between opening birthday sockets and sending from all of them.
    package static let birthdayPause = Duration.milliseconds(100)
    /// The pause after a random punch before the next may start.
    package static let randomPunchInterval = Duration.seconds(20)
    /// How long a blind relay may take to pair.
    package static let relayPairing = Duration.seconds(15)
    /// How long a server whose stream runs through a relay waits for the client to punch.
    package static let relayedPunchWait = Duration.seconds(60)
    /// How long the client waits when the server does not know its own network yet.
    package static let unknownFirewallWait = Duration.seconds(1)
}
