import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCNetworkTests {
    private func target(_ byte: UInt8) -> Bytes32 { Blake2b.hash32([byte]) }

    @Test func everybodyFindsItsPlace() throws {
        let network = RPCTestNetwork.persistent(count: 60, seed: 1)
        for member in network.members {
            #expect(member.node.isBootstrapped)
            #expect(member.node.id == NodeID.of(member.serverAddress))
            #expect(member.node.remoteAddress == member.serverAddress)
            #expect(member.events.contains(.bootstrapped) && member.events.contains(.persistent))
            #expect(member.node.nodeCount >= 20)
        }
        #expect(network.largestDatagram < 1400)
    }

    @Test func findNodeFindsTheClosest() throws {
        let network = RPCTestNetwork.persistent(count: 80, seed: 2)
        for byte in 0..<8 as Range<UInt8> {
            let member = network.members[Int(byte) * 9 + 3]
            let key = target(byte)
            let id = network.perform(member) { $0.findNode(key, now: $1) }
            let begin = network.now
            network.run(until: network.now + .seconds(10)) { member.queryResults[id] != nil }
            let result = try #require(member.queryResults[id])
            #expect(result.failure == nil)
            #expect(network.now - begin < .seconds(2))
            let found = result.closestReplies.compactMap(\.from.id)
            var expected = network.trueClosest(to: key, count: 21)
            expected.removeAll { $0 == member.node.id }
            #expect(found.count == 20)
            #expect(found.prefix(15) == expected.prefix(15), "closest first")
            // Closer lists are not sorted, so that the farthest of the twenty may be missed.
            #expect(Set(found).intersection(expected.prefix(20)).count >= 18)
            #expect(member.queryReplies[id]?.count == result.successCount)
        }
    }

    /// Half of the nodes know nobody of the other half any more, as after hours without a way between them.
    @Test func partsThatForgotEachOtherMeetWhereTheyBegan() throws {
        let network = RPCTestNetwork.persistent(count: 60, seed: 12)
        let halves = [0, 1].map { side in
            network.members.enumerated().filter { $0.offset % 2 == side }.map(\.element)
        }
        func strangers() -> [Int] {
            [0, 1].flatMap { side in
                let others = halves[1 - side].map { NodeID.of($0.serverAddress) }
                return halves[side].map { member in others.count { member.node.table.contains($0) } }
            }
        }
        for side in [0, 1] {
            for member in halves[side] {
                for other in halves[1 - side] { member.node.table.remove(NodeID.of(other.serverAddress)) }
            }
        }
        #expect(strangers().allSatisfy { $0 == 0 })
        // Everybody goes by the entry point once in half an hour, and who did tells the others.
        network.run(for: .seconds(31 * 60))
        #expect(strangers().allSatisfy { $0 >= 5 }, "\(strangers())")
    }

    @Test func lossIsSurvived() throws {
        let network = RPCTestNetwork.persistent(count: 50, seed: 3, loss: 0.1)
        #expect(network.members.allSatisfy { $0.node.isBootstrapped && !$0.node.isEphemeral })
        let member = network.members[20]
        let key = target(77)
        let id = network.perform(member) { $0.findNode(key, now: $1) }
        network.run(for: .seconds(30))
        let result = try #require(member.queryResults[id])
        let expected = Set(network.trueClosest(to: key))
        let hits = result.closestReplies.count { expected.contains($0.from.id ?? .zero) }
        #expect(hits >= 17)
        #expect(member.node.statistics.retryCount > 0)
    }

    @Test func reachableNodeBecomesPersistent() throws {
        let network = RPCTestNetwork.persistent(count: 25, seed: 4)
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [RPCBootstrapNode(address: network.members[0].serverAddress)]
        let member = network.add(configuration)
        network.run(for: .seconds(20))
        #expect(member.node.isBootstrapped && member.node.isEphemeral && member.node.id == nil)
        #expect(!member.node.isFirewalled, "the quick test found that the server socket is reachable")
        #expect(!network.members.contains { $0.node.table.contains(NodeID.of(member.serverAddress)) })
        network.run(for: .seconds(22 * 60))
        #expect(!member.node.isEphemeral)
        #expect(member.node.id == NodeID.of(member.serverAddress))
        #expect(member.events.contains(.persistent))
        network.run(for: .seconds(6 * 60))
        let others = network.members.count { $0.node.table.contains(NodeID.of(member.serverAddress)) }
        #expect(others > 10, "others learned it once it showed its id")
        let count = member.node.nodeCount
        network.perform(member) { $0.wake(now: $1 + .seconds(60)) }
        #expect(member.node.isEphemeral, "after a sleep it has to prove itself again")
        #expect(member.events.contains(.wokeUp) && member.events.contains(.ephemeral))
        #expect(member.node.nodeCount == count)
    }

    @Test func filteredNodeStaysEphemeral() throws {
        let network = RPCTestNetwork.persistent(count: 25, seed: 5)
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [RPCBootstrapNode(address: network.members[0].serverAddress)]
        let member = network.add(configuration, access: .filtered)
        network.run(for: .seconds(21 * 60))
        #expect(member.node.isBootstrapped && member.node.isEphemeral && member.node.isFirewalled)
        #expect(member.node.remoteAddress == nil)
        #expect(member.node.publicAddress == member.clientAddress)
        let id = network.perform(member) { $0.findNode(target(1), now: $1) }
        network.run(for: .seconds(10))
        #expect(member.queryResults[id]?.closestReplies.count == 20)
    }

    @Test func deadNodesAreForgottenAndReported() throws {
        // With fewer than twenty left a query waits for the dead until their last timeout.
        let network = RPCTestNetwork.persistent(count: 26, seed: 6)
        let key = target(9)
        let closest = network.trueClosest(to: key, count: 9)
        let dead = network.members.dropFirst().filter { closest.contains($0.node.id ?? .zero) }
        let deadIDs = Set(dead.compactMap(\.node.id))
        for member in dead { member.isAlive = false }
        // A newcomer that does not know the dead hears of them from others, and tells those.
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [RPCBootstrapNode(address: network.members[0].serverAddress)]
        let member = network.add(configuration, starts: false)
        func entryCount() -> Int {
            network.members.filter(\.isAlive).reduce(0) { $0 + deadIDs.filter($1.node.table.contains).count }
        }
        let before = entryCount()
        network.start(member)
        let id = network.perform(member) { $0.findNode(key, now: $1) }
        network.run(for: .seconds(25))
        let result = try #require(member.queryResults[id])
        #expect(Set(result.closestReplies.compactMap(\.from.id)).isDisjoint(with: deadIDs))
        #expect(member.node.statistics.downHintCount > 0)
        #expect(member.node.statistics.downHintCount <= 50 * 6)
        #expect(entryCount() < before * 3 / 4, "those who were told have checked")
    }

    @Test func commitReachesTheClosest() throws {
        let network = RPCTestNetwork.persistent(count: 40, seed: 7)
        let key = target(3)
        var stored: Set<Int> = []
        for (index, member) in network.members.enumerated() {
            member.answer = { node, request in
                if request.token != nil { stored.insert(index) }
                node.reply(to: request, value: [UInt8(index)])
            }
        }
        let member = network.members[12]
        var options = RPCQueryOptions()
        options.commit = .automatic
        let id = network.perform(member) { $0.query(.external(4), target: key, value: [1], options: options, now: $1) }
        network.run(for: .seconds(10))
        let result = try #require(member.queryResults[id])
        #expect(result.failure == nil && result.commitCount == 20 && stored.count == 20)
        let storedIDs = Set(stored.compactMap { network.members[$0].node.id })
        #expect(storedIDs == Set(result.closestReplies.compactMap(\.from.id)))

        options.commit = .delegated
        let second = network.perform(member) { $0.query(.external(4), target: key, options: options, now: $1) }
        network.run(for: .seconds(10))
        #expect(member.queryResults[second] == nil, "it waits for reports")
        #expect(member.commits.count == 20 && member.commits.allSatisfy { $0.0 == second && $0.1.token != nil })
        for index in 0..<20 {
            network.perform(member) { $0.commitFinished(second, succeeded: index == 7, now: $1) }
        }
        #expect(member.queryResults[second]?.commitCount == 1)
        #expect(member.queryResults[second]?.failure == nil)
    }

    @Test func suspendedNodeComesBack() throws {
        let network = RPCTestNetwork.persistent(count: 30, seed: 8)
        let member = network.members[9]
        let (query, request) = network.perform(member) { node, now in
            (node.findNode(target(5), now: now), node.ping(network.members[3].serverAddress, now: now))
        }
        network.perform(member) { $0.suspend(now: $1) }
        #expect(member.queryResults[query]?.failure == .suspended)
        #expect(member.requestResults[request] == .failure(.suspended))
        #expect(member.node.requestCount == 0 && member.node.nextDeadline == nil)
        let late = network.perform(member) { $0.ping(network.members[3].serverAddress, now: $1) }
        #expect(member.requestResults[late] == .failure(.suspended))
        network.run(for: .seconds(120))
        network.perform(member) { $0.resume(serverPort: 49737, now: $1) }
        let again = network.perform(member) { $0.findNode(target(5), now: $1) }
        network.run(for: .seconds(20))
        #expect(member.queryResults[again]?.closestReplies.count == 20)
        #expect(member.events.contains(.wokeUp))
    }

    @Test func storedNodesReplaceTheEntryPoint() throws {
        let network = RPCTestNetwork.persistent(count: 40, seed: 9)
        let known = network.members[17].node.knownNodes(limit: 30)
        #expect(known.count >= 20)
        network.members[0].isAlive = false
        var configuration = RPCConfiguration()
        configuration.knownNodes = known
        let member = network.add(configuration)
        #expect(member.node.knownNodes(limit: 30) == known)
        network.run(for: .seconds(20))
        #expect(member.node.isBootstrapped && member.node.nodeCount >= 20)
    }

    @Test func sameSeedSameRun() {
        let first = RPCTestNetwork.persistent(count: 25, seed: 10, loss: 0.05)
        let second = RPCTestNetwork.persistent(count: 25, seed: 10, loss: 0.05)
        let third = RPCTestNetwork.persistent(count: 25, seed: 11, loss: 0.05)
        #expect(first.trace == second.trace && first.datagramCount == second.datagramCount)
        #expect(first.trace != third.trace)
    }
}
