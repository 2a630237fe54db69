package import DWebBase
package import DWebCrypto
import DequeModule
import OrderedCollections

/// What other programs in the local network can make the discovery hold, and its times; RFC 6762.
package enum LocalLimits {
    /// Topics announced, and topics looked up, at a time; further ones are left to the DHT.
    package static let topicCount = 256
    /// Peers remembered for one topic; further ones are ignored until others expire.
    package static let peersPerTopic = 64
    /// Peers remembered in all.
    package static let peerCount = 1_024
    /// The most bytes of a message that is sent: one packet on every network.
    package static let messageByteCount = 1_200
    /// The largest message that is read; RFC 6762 section 17.
    package static let receivedByteCount = 9_000
    /// Known answers that a question carries.
    package static let knownAnswerCount = 16
    /// The first pause between two questions for the same topic; each following one is twice as long.
    package static let firstInterval = Duration.seconds(1)
    /// The longest pause between two questions for the same topic; RFC 6762 section 5.2.
    package static let longestInterval = Duration.seconds(3_600)
    /// Answers and first questions wait a random time between these; RFC 6762 sections 5.2 and 6.
    package static let delayMilliseconds = 20...120
    /// The least pause between two multicasts of the same record; RFC 6762 section 6.
    package static let repeatPause = Duration.seconds(1)
    /// How long other hosts keep a topic's record, in seconds; RFC 6762 section 10.
    package static let topicSeconds: UInt32 = 4_500
    /// How long other hosts keep a record with a port or address, in seconds; RFC 6762 section 10.
    package static let hostSeconds: UInt32 = 120
    /// The port of multicast DNS; RFC 6762 section 3.
    package static let port: UInt16 = 5_353
    /// The group of multicast DNS; RFC 6762 section 3.
    package static let group = SocketAddress(ipv4: 224, 0, 0, 251, port: port)
    /// The same over IPv6, ff02::fb; RFC 6762 section 3.
    package static let group6 = SocketAddress(
        family: .ipv6, hostWords: (high: 0xff02_0000_0000_0000, low: 0xfb), port: port)
    /// How often the same peer is reported anew while it keeps answering.
    package static let reportPause = Duration.seconds(5)
}

/// What the discovery wants done, in order.
package enum LocalOutput: Equatable, Sendable {
    /// Send a message to ``LocalLimits/group`` and ``LocalLimits/group6`` on every interface.
    case send([UInt8])
    /// A peer announces a topic.
    case found(PublicKey, at: SocketAddress, topic: Bytes32)
}

/// Finds the peers of a topic among the hosts of the local network, by DNS-SD over multicast DNS (RFC 6763, RFC 6762).
///
/// A peer is an instance of the service `_dweb._udp.local`, named by its key. The topics are subtypes, named by a hash
/// of the topic: who does not know a topic learns only that somebody has it, and nobody is listed who was not asked for
/// by topic. What is found is merely an address at which to try a handshake, which then proves the key. Who asks for the
/// service alone learns that a peer is there, under a name made up for each run, and neither its key nor its topics.
///
/// Peers connect over IPv4; messages may go over IPv6 as well, and then name the IPv4 address.
///
/// The machine does no input or output. After every call poll ``pollOutput()`` until nil; call ``wake(now:)`` no later
/// than ``nextDeadline``.
package struct LocalDiscovery: Sendable {
    private struct Announced: Sendable {
        let topic: Bytes32
        /// Unasked announcements that are still to come; RFC 6762 section 8.3.
        var remaining = 2
        var due: MonotonicTime
        var lastSent: MonotonicTime?
    }

    private struct Wanted: Sendable {
        let topic: Bytes32
        var due: MonotonicTime
        var interval = LocalLimits.firstInterval
        var peers = OrderedDictionary<PublicKey, Known>()
    }

    private struct Known: Sendable {
        var address: SocketAddress
        var expiry: MonotonicTime
        var secondsToLive: UInt32
        var lastReported: MonotonicTime
    }

    /// The service type; RFC 6763 section 7.
    package static let service = DNSName("_dweb", "_udp", "local")
    private static let subtypes = DNSName("_sub", "_dweb", "_udp", "local")

    private let publicKey: PublicKey
    private let port: UInt16
    private var hosts: [SocketAddress]
    private var random: SecureRandom
    private let instance: DNSName
    private let hostName: DNSName
    // What a peer is called for those who know none of its topics.
    private let presence: DNSName
    private let presenceHost: DNSName
    // By the label that names the topic on the wire.
    private var announced = OrderedDictionary<DNSName, Announced>()
    private var wanted = OrderedDictionary<DNSName, Wanted>()
    private var answering = OrderedSet<DNSName>()
    private var answerDue: MonotonicTime?
    private var isHostAsked = false
    private var lastHostAnswer: MonotonicTime?
    private var isPresenceAsked = false
    private var lastPresenceAnswer: MonotonicTime?
    private var presences = OrderedSet<DNSName>()
    private var outputs: Deque<LocalOutput> = []

    /// A discovery without topics for the peer with `publicKey`, which listens on UDP port `port`.
    ///
    /// - Parameter hosts: The addresses of this host, to be told to programs that ask for them.
    package init(publicKey: PublicKey, port: UInt16, hosts: [SocketAddress], random: SecureRandom) {
        self.publicKey = publicKey
        self.port = port
        self.hosts = Array(hosts.filter { $0.family == .ipv4 }.prefix(4))
        self.random = random
        instance = Self.service.under(publicKey.text)
        hostName = DNSName("local").under("dweb-" + String(publicKey.text.prefix(16)))
        let label = ZBase32.encode(self.random.bytes(8))
        presence = Self.service.under(label)
        presenceHost = DNSName("local").under("dweb-" + label)
    }

    /// The name under which the peers of a topic answer.
    package static func name(of topic: Bytes32) -> DNSName {
        // Hashed, so that listeners who do not know the topic cannot use it.
        let tag = Blake2b.hash32(Array("dweb local topic".utf8), key: topic.bytes)
        return subtypes.under("_" + ZBase32.encode(tag.bytes))
    }

    /// The number of different peers that are known at the moment.
    package var peerCount: Int { Set(wanted.values.flatMap { $0.peers.keys }).count }

    /// The number of peers, known or not, that answered ``askAround()`` since it was called last.
    package var presentCount: Int { presences.count }

    /// The peers of a topic that are known, with their addresses.
    package func peers(of topic: Bytes32) -> [(key: PublicKey, address: SocketAddress)] {
        wanted[Self.name(of: topic)]?.peers.map { (key: $0.key, address: $0.value.address) } ?? []
    }

    /// Asks everybody in the local network to be counted; see ``presentCount``.
    package mutating func askAround() {
        presences.removeAll()
        var message = DNSMessage(isResponse: false)
        message.questions.append(DNSQuestion(Self.service, .pointer))
        outputs.append(.send(message.encoded))
    }

    // MARK: Topics

    /// Sets the topics under which this peer is found, and those whose peers are looked for.
    package mutating func setTopics(announced newTopics: [Bytes32], wanted wantedTopics: [Bytes32], now: MonotonicTime)
    {
        var goodbye: [DNSName] = []
        let announcedNames = newTopics.prefix(LocalLimits.topicCount).map { (Self.name(of: $0), $0) }
        let keptNames = Set(announcedNames.map(\.0))
        for name in announced.keys where !keptNames.contains(name) { goodbye.append(name) }
        for name in goodbye {
            announced[name] = nil
            answering.remove(name)
        }
        sendTopics(goodbye, secondsToLive: 0)
        for (name, topic) in announcedNames where announced[name] == nil {
            announced[name] = Announced(topic: topic, due: now + delay())
        }
        let wantedNames = wantedTopics.prefix(LocalLimits.topicCount).map { (Self.name(of: $0), $0) }
        let keptWanted = Set(wantedNames.map(\.0))
        for name in Array(wanted.keys) where !keptWanted.contains(name) { wanted[name] = nil }
        for (name, topic) in wantedNames where wanted[name] == nil {
            wanted[name] = Wanted(topic: topic, due: now + delay())
        }
    }

    /// Reports the peers of a topic that are known, and asks for others soon.
    package mutating func refresh(_ topic: Bytes32, now: MonotonicTime) {
        let name = Self.name(of: topic)
        guard wanted[name] != nil else { return }
        for (key, peer) in wanted[name]!.peers where peer.expiry > now {
            wanted[name]!.peers[key]!.lastReported = now
            outputs.append(.found(key, at: peer.address, topic: topic))
        }
        wanted[name]!.interval = LocalLimits.firstInterval
        wanted[name]!.due = min(wanted[name]!.due, now + delay())
    }

    /// The network changed: announces and asks anew.
    package mutating func networkChanged(hosts: [SocketAddress], now: MonotonicTime) {
        self.hosts = Array(hosts.filter { $0.family == .ipv4 }.prefix(4))
        for name in announced.keys {
            announced[name]!.remaining = 2
            announced[name]!.due = now + delay()
        }
        for topic in wanted.values.map(\.topic) { refresh(topic, now: now) }
    }

    /// Takes every announcement back.
    package mutating func close() {
        sendTopics(Array(announced.keys), secondsToLive: 0)
        announced.removeAll()
        wanted.removeAll()
        answering.removeAll()
        answerDue = nil
        isHostAsked = false
        isPresenceAsked = false
    }

    // MARK: Input

    /// Takes a datagram that came to the group. What is no message, or not for us, is ignored.
    package mutating func handle(_ payload: [UInt8], from source: SocketAddress, now: MonotonicTime) {
        guard payload.count <= LocalLimits.receivedByteCount, source.port != 0,
            let message = try? DNSMessage(decoding: payload)
        else { return }
        if message.isResponse {
            // Answers come from the service's own port: RFC 6762 section 11.
            guard source.port == LocalLimits.port else { return }
            learn(message, from: source, now: now)
        } else {
            answer(message, now: now)
        }
    }

    /// Does what is due at `now`.
    package mutating func wake(now: MonotonicTime) {
        ask(now: now)
        announce(now: now)
        if let due = answerDue, due <= now {
            answerDue = nil
            let names = Array(answering)
            answering.removeAll()
            for name in names { announced[name]?.lastSent = now }
            if names.isEmpty {
                if isHostAsked {
                    lastHostAnswer = now
                    outputs.append(.send(response(names, secondsToLive: LocalLimits.topicSeconds).encoded))
                }
            } else {
                sendTopics(names, secondsToLive: LocalLimits.topicSeconds)
            }
            isHostAsked = false
            if isPresenceAsked {
                isPresenceAsked = false
                lastPresenceAnswer = now
                outputs.append(.send(presenceResponse.encoded))
            }
        }
    }

    /// When to call ``wake(now:)`` at the latest; nil if never.
    package var nextDeadline: MonotonicTime? {
        var deadline = answerDue
        for topic in announced.values where topic.remaining > 0 { deadline = min(deadline ?? topic.due, topic.due) }
        for topic in wanted.values { deadline = min(deadline ?? topic.due, topic.due) }
        return deadline
    }

    /// The next thing to do, or nil when there is nothing more.
    package mutating func pollOutput() -> LocalOutput? { outputs.popFirst() }

    // MARK: Asking

    private mutating func ask(now: MonotonicTime) {
        var message = DNSMessage(isResponse: false)
        var byteCount = 12
        for name in wanted.keys where wanted[name]!.due <= now {
            wanted[name]!.peers.removeAll { $0.value.expiry <= now }
            wanted[name]!.due = now + wanted[name]!.interval
            wanted[name]!.interval = min(wanted[name]!.interval * 2, LocalLimits.longestInterval)
            // Those who are known need not answer again: RFC 6762 section 7.1.
            let fresh = wanted[name]!.peers.elements.filter { isFresh($0.value, now: now) }
            let known = Array(fresh.prefix(LocalLimits.knownAnswerCount))
            let added = name.byteCount + 4 + known.count * 90
            if byteCount + added > LocalLimits.messageByteCount, !message.questions.isEmpty {
                outputs.append(.send(message.encoded))
                message = DNSMessage(isResponse: false)
                byteCount = 12
            }
            byteCount += added
            message.questions.append(DNSQuestion(name, .pointer))
            for (key, peer) in known {
                let left = UInt32(clamping: Int64((peer.expiry - now).seconds))
                message.answers.append(
                    DNSRecord(
                        name, .pointer(Self.service.under(key.text)), secondsToLive: left, isUnique: false))
            }
        }
        if !message.questions.isEmpty { outputs.append(.send(message.encoded)) }
    }

    private func isFresh(_ peer: Known, now: MonotonicTime) -> Bool {
        (peer.expiry - now).seconds > Double(peer.secondsToLive) / 2
    }

    private mutating func learn(_ message: DNSMessage, from source: SocketAddress, now: MonotonicTime) {
        var ports: [DNSName: UInt16] = [:]
        for record in message.answers + message.additionals {
            if case .service(let port, _) = record.content, record.secondsToLive > 0 { ports[record.name] = port }
        }
        guard let host = source.family == .ipv4 ? source : statedHost(message) else { return }
        for record in message.answers {
            if record.name == Self.service, case .pointer(let other) = record.content {
                notePresence(other, record)
                continue
            }
            guard case .pointer(let instance) = record.content, wanted[record.name] != nil,
                instance.labels.count == Self.service.labels.count + 1, instance.parent == Self.service,
                let key = try? PublicKey(text: String(decoding: instance.labels[0], as: UTF8.self)), key != publicKey
            else { continue }
            if record.secondsToLive == 0 {
                wanted[record.name]!.peers[key] = nil
            } else if let port = ports[instance], port != 0 {
                // The host is where the answer came from, so that nobody can send us elsewhere.
                let address = host.with(port: port)
                if source.family == .ipv6, let known = wanted[record.name]!.peers[key], known.expiry > now {
                    // The same answer came over IPv4, or will: that one says better where the peer is.
                    note(key, at: known.address, record, now: now)
                } else {
                    note(key, at: address, record, now: now)
                }
            }
        }
    }

    /// The IPv4 address that a message from an IPv6 host gives as its own: in a private network only, so that nobody can
    /// send us out of it.
    private func statedHost(_ message: DNSMessage) -> SocketAddress? {
        let stated = (message.answers + message.additionals).compactMap { record -> SocketAddress? in
            guard case .address4(let address) = record.content, record.secondsToLive > 0,
                AddressClass(address) == .privateUse
            else { return nil }
            return address
        }
        return AddressClass.bestMatch(of: hosts, among: stated) ?? stated.first
    }

    private mutating func notePresence(_ name: DNSName, _ record: DNSRecord) {
        guard name != presence, name.labels.count == Self.service.labels.count + 1, name.parent == Self.service else {
            return
        }
        if record.secondsToLive == 0 {
            presences.remove(name)
        } else if presences.count < LocalLimits.peerCount {
            presences.append(name)
        }
    }

    private mutating func note(_ key: PublicKey, at address: SocketAddress, _ record: DNSRecord, now: MonotonicTime) {
        let name = record.name
        var isNews = true
        if let known = wanted[name]!.peers[key] {
            isNews = known.address != address || now >= known.lastReported + LocalLimits.reportPause
        } else {
            guard wanted[name]!.peers.count < LocalLimits.peersPerTopic,
                wanted.values.reduce(0, { $0 + $1.peers.count }) < LocalLimits.peerCount
            else { return }
        }
        let seconds = min(record.secondsToLive, LocalLimits.topicSeconds)
        wanted[name]!.peers[key] = Known(
            address: address, expiry: now + .seconds(Int64(seconds)), secondsToLive: seconds,
            lastReported: isNews ? now : wanted[name]!.peers[key]!.lastReported)
        if isNews { outputs.append(.found(key, at: address, topic: wanted[name]!.topic)) }
    }

    // MARK: Answering

    private mutating func answer(_ message: DNSMessage, now: MonotonicTime) {
        for question in message.questions {
            if question.name == instance || question.name == hostName {
                if lastHostAnswer.map({ now >= $0 + LocalLimits.repeatPause }) ?? true, !announced.isEmpty {
                    isHostAsked = true
                }
            } else if question.name == Self.service {
                if lastPresenceAnswer.map({ now >= $0 + LocalLimits.repeatPause }) ?? true, !announced.isEmpty {
                    isPresenceAsked = true
                }
            } else if question.type == .pointer || question.type == .any, let topic = announced[question.name] {
                if let last = topic.lastSent, now < last + LocalLimits.repeatPause { continue }
                if isKnown(question.name, in: message) { continue }
                answering.append(question.name)
            }
        }
        if answerDue == nil, isHostAsked || isPresenceAsked || !answering.isEmpty { answerDue = now + delay() }
    }

    /// Whether the asker knows our answer, with at least half its time left; RFC 6762 section 7.1.
    private func isKnown(_ name: DNSName, in message: DNSMessage) -> Bool {
        message.answers.contains {
            $0.name == name && $0.content == .pointer(instance) && $0.secondsToLive >= LocalLimits.topicSeconds / 2
        }
    }

    private mutating func announce(now: MonotonicTime) {
        var names: [DNSName] = []
        for name in announced.keys where announced[name]!.remaining > 0 && announced[name]!.due <= now {
            announced[name]!.remaining -= 1
            announced[name]!.due = now + LocalLimits.repeatPause
            announced[name]!.lastSent = now
            names.append(name)
        }
        sendTopics(names, secondsToLive: LocalLimits.topicSeconds)
    }

    /// Sends topics in as few messages as hold them, each complete in itself.
    private mutating func sendTopics(_ names: [DNSName], secondsToLive: UInt32) {
        var rest = names[...]
        while !rest.isEmpty {
            // A topic's name takes 54 bytes beyond what others share, a record 12 and a pointer.
            var count = min(rest.count, (LocalLimits.messageByteCount - 320) / 72)
            var bytes = response(Array(rest.prefix(count)), secondsToLive: secondsToLive).encoded
            while bytes.count > LocalLimits.messageByteCount, count > 1 {
                count /= 2
                bytes = response(Array(rest.prefix(count)), secondsToLive: secondsToLive).encoded
            }
            outputs.append(.send(bytes))
            rest = rest.dropFirst(count)
        }
    }

    private var presenceResponse: DNSMessage {
        var message = DNSMessage(isResponse: true)
        message.answers = [
            DNSRecord(Self.service, .pointer(presence), secondsToLive: LocalLimits.hostSeconds, isUnique: false)
        ]
        message.additionals = hostRecords(of: presence, at: presenceHost)
        return message
    }

    private func hostRecords(of instance: DNSName, at hostName: DNSName) -> [DNSRecord] {
        let seconds = LocalLimits.hostSeconds
        return [
            DNSRecord(instance, .service(port: port, host: hostName), secondsToLive: seconds, isUnique: true),
            DNSRecord(instance, .text([Array("v=1".utf8)]), secondsToLive: seconds, isUnique: true),
        ] + hosts.map { DNSRecord(hostName, .address4($0), secondsToLive: seconds, isUnique: true) }
    }

    private func response(_ names: [DNSName], secondsToLive: UInt32) -> DNSMessage {
        var message = DNSMessage(isResponse: true)
        message.answers = names.map {
            DNSRecord($0, .pointer(instance), secondsToLive: secondsToLive, isUnique: false)
        }
        guard secondsToLive > 0 else { return message }
        let host = hostRecords(of: instance, at: hostName)
        // What was asked for belongs among the answers, what merely helps behind them.
        if names.isEmpty { message.answers = host } else { message.additionals = host }
        return message
    }

    private mutating func delay() -> Duration {
        .milliseconds(Int.random(in: LocalLimits.delayMilliseconds, using: &random))
    }
}
