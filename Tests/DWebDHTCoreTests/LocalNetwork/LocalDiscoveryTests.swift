import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct LocalDiscoveryTests {
    private let topic = Bytes32(repeating: 7)

    private func key(_ number: UInt8) -> PublicKey { KeyPair(seed: Bytes32(repeating: number)).publicKey }

    private func host(_ number: UInt8) -> SocketAddress { SocketAddress(ipv4: 10, 0, 0, number, port: 5_353) }

    private func peer(_ number: UInt8) -> LocalDiscovery {
        LocalDiscovery(
            publicKey: key(number), port: 40_000 + UInt16(number), hosts: [host(number)],
            random: SecureRandom(seed: Bytes32(repeating: number)))
    }

    /// Runs machines on one wire until `end`; returns what each found, and the messages sent.
    private func run(
        _ peers: inout [LocalDiscovery], from start: MonotonicTime, until end: MonotonicTime
    ) -> (found: [[PublicKey: SocketAddress]], messages: [[UInt8]]) {
        var now = start
        var found = [[PublicKey: SocketAddress]](repeating: [:], count: peers.count)
        var messages: [[UInt8]] = []
        while true {
            // Twice, because what one sends the other may report.
            for index in Array(peers.indices) + Array(peers.indices) {
                while let output = peers[index].pollOutput() {
                    switch output {
                    case .send(let bytes):
                        messages.append(bytes)
                        // A host's own messages come back to it, as from every other program on it.
                        for other in peers.indices {
                            peers[other].handle(bytes, from: host(UInt8(index + 1)), now: now)
                        }
                    case .found(let key, let address, _): found[index][key] = address
                    }
                }
            }
            guard let next = peers.compactMap(\.nextDeadline).min(), next <= end else { return (found, messages) }
            now = max(now, next)
            for index in peers.indices { peers[index].wake(now: now) }
        }
    }

    @Test func peersOfATopicFindEachOther() {
        var peers = [peer(1), peer(2), peer(3)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        peers[1].setTopics(announced: [topic], wanted: [topic], now: .zero)
        peers[2].setTopics(announced: [], wanted: [Bytes32(repeating: 8)], now: .zero)
        let (found, _) = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 3_000))
        #expect(found[1] == [key(1): SocketAddress(ipv4: 10, 0, 0, 1, port: 40_001)])
        #expect(found[0].isEmpty)
        #expect(found[2].isEmpty)
    }

    @Test func whoComesLaterIsFoundAtOnce() {
        var peers = [peer(1), peer(2)]
        peers[0].setTopics(announced: [], wanted: [topic], now: .zero)
        _ = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 100_000))
        let later = MonotonicTime(milliseconds: 100_001)
        peers[1].setTopics(announced: [topic], wanted: [], now: later)
        let (found, _) = run(&peers, from: later, until: MonotonicTime(milliseconds: 100_200))
        #expect(found[0].keys.contains(key(2)))
    }

    @Test func whoKnowsNoTopicLearnsNoName() throws {
        var peers = [peer(1)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        _ = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 5_000))
        var question = DNSMessage(isResponse: false)
        question.questions = [
            DNSQuestion(LocalDiscovery.service, .pointer),
            DNSQuestion(DNSName("_services", "_dns-sd", "_udp", "local"), .pointer),
        ]
        var answers: [DNSMessage] = []
        for millisecond in Int64(6_000)..<6_900 {
            let now = MonotonicTime(milliseconds: millisecond)
            peers[0].handle(question.encoded, from: host(9), now: now)
            peers[0].wake(now: now)
            while let output = peers[0].pollOutput() {
                if case .send(let bytes) = output { answers.append(try DNSMessage(decoding: bytes)) }
            }
        }
        // One answer per second, that somebody is here: neither the key nor a part of it, nor a topic.
        #expect(answers.count == 1)
        let names = answers.flatMap { $0.answers + $0.additionals }.map(\.name.description).joined(separator: " ")
        #expect(names.contains("_dweb._udp.local"))
        #expect(!names.contains(String(key(1).text.prefix(16))))
        #expect(!names.contains(LocalDiscovery.name(of: topic).description))
    }

    @Test func whoAsksAroundCountsEverybodyThatCanBeFound() {
        var peers = [peer(1), peer(2), peer(3), peer(4)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        peers[1].setTopics(announced: [Bytes32(repeating: 8)], wanted: [], now: .zero)
        peers[2].setTopics(announced: [], wanted: [topic], now: .zero)
        _ = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 5_000))
        #expect(peers[3].presentCount == 0)
        peers[3].askAround()
        _ = run(&peers, from: MonotonicTime(milliseconds: 5_000), until: MonotonicTime(milliseconds: 5_200))
        // The third only looks for others.
        #expect(peers[3].presentCount == 2)
        #expect(peers[3].peerCount == 0)
    }

    @Test func aFloodOfPresencesIsBounded() {
        var local = peer(1)
        local.askAround()
        var random = SecureRandom(seed: .zero)
        for _ in 0..<5_000 {
            var message = DNSMessage(isResponse: true)
            message.answers = [
                DNSRecord(
                    LocalDiscovery.service, .pointer(LocalDiscovery.service.under(ZBase32.encode(random.bytes(8)))),
                    secondsToLive: .max, isUnique: false)
            ]
            local.handle(message.encoded, from: host(9), now: .zero)
        }
        #expect(local.presentCount == LocalLimits.peerCount)
    }

    @Test func messagesOverIPv6NameTheIPv4Address() {
        var peers = [peer(1), peer(2)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        let (_, messages) = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 3_000))
        peers[1].setTopics(announced: [], wanted: [topic], now: .zero)
        for message in messages {
            peers[1].handle(message, from: SocketAddress(host: "fe80::1", port: 5_353)!, now: .zero)
        }
        #expect(peers[1].peers(of: topic).map(\.address) == [SocketAddress(ipv4: 10, 0, 0, 1, port: 40_001)])
        // What comes over IPv4 says better where the peer is, and is not overruled.
        for message in messages { peers[1].handle(message, from: host(77), now: .zero) }
        for message in messages {
            peers[1].handle(message, from: SocketAddress(host: "fe80::1", port: 5_353)!, now: .zero)
        }
        #expect(peers[1].peers(of: topic).map(\.address) == [SocketAddress(ipv4: 10, 0, 0, 77, port: 40_001)])
    }

    @Test func overIPv6NobodySendsUsOutOfTheLocalNetwork() {
        var peers = [peer(1)]
        peers[0].setTopics(announced: [], wanted: [topic], now: .zero)
        let instance = LocalDiscovery.service.under(key(2).text)
        let name = DNSName("local").under("somewhere")
        for address in [SocketAddress(ipv4: 8, 8, 8, 8, port: 0), SocketAddress(ipv4: 224, 0, 0, 1, port: 0)] {
            var message = DNSMessage(isResponse: true)
            message.answers = [
                DNSRecord(LocalDiscovery.name(of: topic), .pointer(instance), secondsToLive: 9, isUnique: false),
                DNSRecord(instance, .service(port: 53, host: name), secondsToLive: 9, isUnique: true),
                DNSRecord(name, .address4(address), secondsToLive: 9, isUnique: true),
            ]
            peers[0].handle(message.encoded, from: SocketAddress(host: "fe80::2", port: 5_353)!, now: .zero)
        }
        #expect(peers[0].peerCount == 0)
    }

    @Test func knownAnswersAreNotRepeated() {
        var peers = [peer(1), peer(2)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        peers[1].setTopics(announced: [], wanted: [topic], now: .zero)
        let (found, _) = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 10_000))
        #expect(found[1].count == 1)
        let (_, messages) = run(
            &peers, from: MonotonicTime(milliseconds: 10_000), until: MonotonicTime(milliseconds: 600_000))
        // Questions only, ever rarer.
        #expect(messages.allSatisfy { (try? DNSMessage(decoding: $0))?.isResponse == false })
        #expect((1...8).contains(messages.count))
    }

    @Test func leavingTakesTheAnnouncementBack() {
        var peers = [peer(1), peer(2)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        peers[1].setTopics(announced: [], wanted: [topic], now: .zero)
        _ = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 5_000))
        #expect(peers[1].peerCount == 1)
        peers[0].close()
        _ = run(&peers, from: MonotonicTime(milliseconds: 5_000), until: MonotonicTime(milliseconds: 5_100))
        #expect(peers[1].peerCount == 0)
    }

    @Test func manyQuestionsGetOneAnswerPerSecond() {
        var peers = [peer(1)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        _ = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 5_000))
        var question = DNSMessage(isResponse: false)
        question.questions = [DNSQuestion(LocalDiscovery.name(of: topic), .pointer)]
        var count = 0
        for millisecond in Int64(10_000)..<13_000 {
            let now = MonotonicTime(milliseconds: millisecond)
            peers[0].handle(question.encoded, from: host(9), now: now)
            peers[0].wake(now: now)
            while let output = peers[0].pollOutput() {
                if case .send(let bytes) = output {
                    count += 1
                    #expect(bytes.count < 400)
                }
            }
        }
        #expect((2...3).contains(count))
    }

    @Test func answersFromOtherPortsAreIgnored() {
        var peers = [peer(1), peer(2)]
        peers[0].setTopics(announced: [topic], wanted: [], now: .zero)
        let (_, messages) = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 3_000))
        peers[1].setTopics(announced: [], wanted: [topic], now: .zero)
        for message in messages {
            peers[1].handle(message, from: SocketAddress(ipv4: 10, 0, 0, 9, port: 1_000), now: .zero)
            peers[1].handle(message, from: SocketAddress(host: "fe80::1", port: 1_000)!, now: .zero)
        }
        #expect(peers[1].peerCount == 0)
    }

    @Test func aFloodOfPeersIsBounded() {
        var peers = [peer(1)]
        let topics = (0..<UInt8(40)).map { Bytes32(repeating: $0) }
        peers[0].setTopics(announced: [], wanted: topics, now: .zero)
        var random = SecureRandom(seed: .zero)
        for topic in topics {
            for _ in 0..<100 {
                let instance = LocalDiscovery.service.under(PublicKey(random.bytes32()).text)
                var message = DNSMessage(isResponse: true)
                message.answers = [
                    DNSRecord(
                        LocalDiscovery.name(of: topic), .pointer(instance), secondsToLive: .max, isUnique: false),
                    DNSRecord(
                        instance, .service(port: 1, host: LocalDiscovery.service), secondsToLive: 1, isUnique: true),
                ]
                peers[0].handle(message.encoded, from: host(9), now: .zero)
            }
        }
        #expect(peers[0].peerCount == LocalLimits.peerCount)
        var reports = 0
        while let output = peers[0].pollOutput() { if case .found = output { reports += 1 } }
        #expect(reports == LocalLimits.peerCount)
    }

    @Test func manyTopicsTravelInWholePackets() {
        var peers = [peer(1), peer(2)]
        let topics = (0..<300).map { Blake2b.hash32([UInt8($0 & 255), UInt8($0 >> 8)]) }
        peers[0].setTopics(announced: topics, wanted: [], now: .zero)
        peers[1].setTopics(announced: [], wanted: topics, now: .zero)
        let (found, messages) = run(&peers, from: .zero, until: MonotonicTime(milliseconds: 2_000))
        #expect(found[1] == [key(1): SocketAddress(ipv4: 10, 0, 0, 1, port: 40_001)])
        #expect(messages.allSatisfy { $0.count <= LocalLimits.messageByteCount })
    }

    @Test func noiseNeverTraps() {
        var peers = [peer(1)]
        peers[0].setTopics(announced: [topic], wanted: [topic], now: .zero)
        var random = SecureRandom(seed: Bytes32(repeating: 3))
        var question = DNSMessage(isResponse: false)
        question.questions = [DNSQuestion(LocalDiscovery.name(of: topic), .any)]
        for round in 0..<10_000 {
            var bytes = round % 3 == 0 ? random.bytes(Int.random(in: 0..<300, using: &random)) : question.encoded
            if !bytes.isEmpty { bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 0x10 }
            let now = MonotonicTime(milliseconds: Int64(round))
            peers[0].handle(bytes, from: host(UInt8(round & 255)), now: now)
            peers[0].wake(now: now)
            while let output = peers[0].pollOutput() {
                if case .send(let bytes) = output { #expect(bytes.count <= LocalLimits.messageByteCount) }
            }
        }
    }
}
