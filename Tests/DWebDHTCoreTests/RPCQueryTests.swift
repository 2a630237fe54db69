import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCQueryTests {
    @Test func queryStopsAtTheFirstThatIsNotCloser() throws {
        let rig = RPCRig()
        let key = Bytes32.zero
        let peers = (0..<60).map(RPCRig.peer).sorted { NodeID.of($0) < NodeID.of($1) }
        var options = RPCQueryOptions()
        options.startNodes = Array(peers[10..<30])
        let id = rig.node.findNode(key, options: options, now: rig.now)
        var visited: [SocketAddress] = []
        var isFirst = true
        while case let batch = try rig.requests(), !batch.isEmpty {
            for item in batch {
                visited.append(item.request.to)
                let isLast = item.request.to == peers[29]
                // The last one names a closer node, one that is not, and one that would be again.
                rig.answer(
                    item.request, id: NodeID.of(item.request.to),
                    closerNodes: isLast ? [peers[5], peers[50], peers[4]] : [])
                isFirst = false
            }
            if rig.node.queries.isEmpty { break }
        }
        #expect(!isFirst)
        #expect(Array(visited.prefix(3)) == Array(peers[10..<13]), "slow start with the closest")
        #expect(rig.node.queries[id.sequence] == nil)
        #expect(visited.contains(peers[5]) && !visited.contains(peers[50]) && !visited.contains(peers[4]))
    }

    @Test func queryEndsWhenOnlySlowOnesAreLeft() throws {
        var rig = RPCRig()
        let peers = (0..<40).map(RPCRig.peer).sorted { NodeID.of($0) < NodeID.of($1) }
        var options = RPCQueryOptions()
        options.startNodes = Array(peers[0..<21])
        let id = rig.node.findNode(.zero, options: options, now: rig.now)
        let begin = rig.now
        while case let batch = try rig.requests(), !batch.isEmpty {
            for item in batch where item.request.to != peers[0] {
                rig.answer(item.request, id: NodeID.of(item.request.to))
            }
        }
        #expect(rig.node.queries[id.sequence] != nil, "it waits for the closest one")
        var end: Duration?
        rig.run(until: begin + .seconds(10)) { time, outputs in
            if outputs.contains(where: { if case .queryFinished = $0 { true } else { false } }) { end = time - begin }
        }
        #expect(end == .seconds(1), "its first timeout makes it slow, and twenty others answered")
        #expect(rig.node.requestCount == 0, "its requests end with it")
    }

    @Test func hostileCloserListsAreBounded() throws {
        let rig = RPCRig()
        var options = RPCQueryOptions()
        options.startNodes = [RPCRig.peer(0)]
        rig.node.findNode(.zero, options: options, now: rig.now)
        var visited = 0
        var next = 0
        while visited < 5000, case let batch = try rig.requests(), !batch.isEmpty {
            for item in batch {
                visited += 1
                let named = (next..<next + 60).map { RPCRig.peer($0 & 0xffff).with(port: UInt16(6000 + $0 >> 16)) }
                next += 60
                // Without an id the answers do not count, so that every name is closer than what was found.
                rig.answer(item.request, closerNodes: named)
            }
        }
        #expect(visited == RPCLimits.addressesPerQuery)
        #expect(rig.node.queries.isEmpty)
    }

    @Test func tooFewNodesToCommit() {
        let rig = RPCRig()
        var options = RPCQueryOptions()
        options.commit = .automatic
        let id = rig.node.query(.external(4), target: .zero, options: options, now: rig.now)
        guard case .queryFinished(id, let result)? = rig.outputs().last else {
            Issue.record("the query did not end")
            return
        }
        #expect(result.failure == .tooFewNodes)
        let other = rig.node.findNode(.zero, now: rig.now)
        rig.node.cancel(other, now: rig.now)
        rig.node.close(now: rig.now)
        rig.node.findNode(.zero, now: rig.now)
        guard case .queryFinished(_, let late)? = rig.outputs().last else {
            Issue.record("the query did not end")
            return
        }
        #expect(late.failure == .destroyed && rig.node.nextDeadline == nil)
    }

    @Test func entryPointsAreTriedThenLookedUp() throws {
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [
            try #require(RPCBootstrapNode(text: "10.9.0.1@first.example:5000")),
            try #require(RPCBootstrapNode(text: "10.9.0.2@second.example:5000")),
            try #require(RPCBootstrapNode(text: "third.example:5000")),
        ]
        #expect(RPCBootstrapNode(text: "nothing") == nil && RPCBootstrapNode(text: "name:0") == nil)
        #expect(RPCBootstrapNode(text: "x@name:1") == nil && RPCBootstrapNode(text: "[::1]:5") == nil)
        #expect(RPCBootstrapNode(text: "1.2.3.4:5")?.address == SocketAddress(ipv4: 1, 2, 3, 4, port: 5))
        var rig = RPCRig(configuration)
        // The first outputs were dropped: pings to both suggestions and a look-up of the third name.
        let pings = rig.node.requests.values.map(\.destination.address).sorted { $0.host < $1.host }
        #expect(pings == [RPCRig.peer(1), RPCRig.peer(2)])
        for request in rig.node.requests.values where request.destination.address == RPCRig.peer(1) {
            rig.receive(RPCResponse(transaction: request.id.transaction, to: RPCRig.own), from: RPCRig.peer(1))
        }
        rig.node.hostResolved("third.example", addresses: [RPCRig.peer(3).with(port: 0)], now: rig.now)
        #expect(try rig.requests().isEmpty, "the second one is still being tried")
        var lookups: [String] = []
        rig.run(until: rig.now + .milliseconds(4500)) { _, outputs in
            for case .resolveHost(let host) in outputs { lookups.append(host) }
        }
        #expect(lookups == ["second.example"])
        rig.node.hostResolved("second.example", addresses: [], now: rig.now)
        let asked = try rig.requests().filter { $0.request.command == .findNode }.map(\.request.to)
        #expect(Set(asked) == [RPCRig.peer(1), RPCRig.peer(3)])
    }

    @Test func lookUpsThatNeverEndAreGivenUp() throws {
        var configuration = RPCConfiguration()
        configuration.bootstrapNodes = [try #require(RPCBootstrapNode(text: "name.example:5000"))]
        var rig = RPCRig(configuration)
        var isBootstrapped = false
        rig.run(until: rig.now + .seconds(11)) { _, outputs in
            isBootstrapped = isBootstrapped || outputs.contains(.event(.bootstrapped))
        }
        #expect(isBootstrapped)
    }
}
