import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

/// Many topics announced in the order of their hashes, with few searches.
@Suite struct NeighborhoodTests {
    private let keys = KeyPair(seed: Bytes32(repeating: 3))

    private func announce(
        _ topic: Bytes32, by member: HyperTestNetwork.Member, in network: HyperTestNetwork, isAmongMany: Bool = true
    ) -> HyperOperationResult? {
        let id = network.perform(member) {
            $0.announce(topic, as: keys, relayAddresses: [], isAmongMany: isAmongMany, isPaced: true, now: $1)
        }
        network.run(for: .seconds(90), until: { member.finished(id) != nil })
        return member.finished(id)
    }

    private func count(of topic: Bytes32, seenBy member: HyperTestNetwork.Member, in network: HyperTestNetwork) -> Int {
        let lookup = network.perform(member) { $0.lookup(topic, now: $1) }
        network.run(for: .seconds(20), until: { member.finished(lookup) != nil })
        return member.events[lookup, default: []].count { event in
            guard case .peers(let reply, _) = event else { return false }
            return reply.peers.contains { $0.publicKey == keys.publicKey }
        }
    }

    @Test func manyTopicsTakeFewSearchesAndAreFoundAllTheSame() throws {
        let network = HyperTestNetwork.persistent(count: 150, seed: 5)
        network.run(for: .seconds(20))
        let announcer = network.members[40]
        let topics = (0..<300).map { Blake2b.hash32(Array("topic \($0)".utf8)) }.sorted()
        let before = network.sent.count { $0.from.hasSameHost(as: announcer.host) }
        for topic in topics {
            let result = try #require(announce(topic, by: announcer, in: network))
            #expect(result.error == nil)
            #expect(result.storedCount == 12)
        }
        let sent = network.sent.count { $0.from.hasSameHost(as: announcer.host) } - before
        // Twelve to store; a search for each would be some 25 more.
        #expect(sent < topics.count * 15, "\(sent)")
        // Who looks up asks the 20 closest, and meets those twelve.
        for topic in topics.enumerated().filter({ $0.offset % 10 == 3 }).map(\.element) {
            #expect(count(of: topic, seenBy: network.members[90], in: network) >= 10)
        }
    }

    @Test func whoIsNotAmongManySearches() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 6)
        let member = network.members[4]
        _ = announce(Bytes32(repeating: 1), by: member, in: network)
        let alone = try #require(announce(Bytes32(repeating: 2), by: member, in: network, isAmongMany: false))
        #expect(alone.answerCount > 0)
        let shared = try #require(announce(Bytes32(repeating: 3), by: member, in: network))
        #expect(shared.answerCount == 0 && shared.storedCount >= 10)
        // What was found is soon too old.
        network.run(for: .seconds(5))
        let late = try #require(announce(Bytes32(repeating: 4), by: member, in: network))
        #expect(late.answerCount > 0)
    }

    @Test func aTokenThatGrewOldIsReplacedByTheOneOfTheRefusal() throws {
        let network = HyperTestNetwork.persistent(count: 30, seed: 7)
        let member = network.members[4]
        _ = announce(Bytes32(repeating: 1), by: member, in: network)
        // What stands in the queue of paced requests takes longer than a token lives.
        for number in 0..<350 {
            _ = network.perform(member) { $0.lookup(Blake2b.hash32([UInt8(number & 255), 1]), isPaced: true, now: $1) }
        }
        let start = network.now
        let result = try #require(announce(Bytes32(repeating: 2), by: member, in: network))
        #expect(network.now - start > .seconds(15))
        #expect(result.answerCount == 0 && result.storedCount == 12)
    }

    @Test func anAnnouncementWithoutASearchCanBeCancelled() throws {
        let network = HyperTestNetwork.persistent(count: 12, seed: 8)
        let member = network.members[4]
        _ = announce(Bytes32(repeating: 1), by: member, in: network)
        let id = network.perform(member) { node, now in
            let id = node.announce(
                Bytes32(repeating: 2), as: keys, relayAddresses: [], isAmongMany: true, isPaced: true, now: now)
            node.cancel(id, now: now)
            return id
        }
        #expect(member.finished(id)?.error == .cancelled)
        #expect(member.node.rpc.requestCount == 0)
    }

    @Test func turnsFollowTheHashesAndNewTopicsComeFirst() {
        var turns = TopicTurns()
        let topics = (1...6).map { Bytes32(repeating: UInt8($0)) }
        for index in [4, 1, 3] { turns.append(topics[index], isNew: false) }
        #expect(turns.popFirst() == topics[1])
        // What the round has passed waits for the next one, also if it comes again and again.
        turns.append(topics[0], isNew: false)
        #expect(turns.popFirst() == topics[3])
        turns.append(topics[5], isNew: true)
        turns.append(topics[2], isNew: true)
        #expect(turns.count == 4)
        #expect((0..<5).map { _ in turns.popFirst() } == [topics[2], topics[5], topics[4], topics[0], nil])
        turns.append(topics[3], isNew: false)
        turns.removeAll()
        #expect(turns.isEmpty && turns.popFirst() == nil)
    }
}
