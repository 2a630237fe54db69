import DWebBase
import DWebCrypto
import Testing

@testable import DWebDHTCore

@Suite struct RPCTableTests {
    private func ping(transaction: UInt16 = 9, id: Bytes32? = nil) -> RPCRequest {
        RPCRequest(transaction: transaction, to: RPCRig.own, id: id, command: .ping)
    }

    @Test func wrongAndOwnIDsAreNotLearned() throws {
        let rig = RPCRig()
        rig.receive(ping(id: .zero), from: RPCRig.peer(1))
        rig.receive(ping(id: NodeID.of(RPCRig.peer(1))), from: RPCRig.peer(2))
        rig.receive(ping(id: NodeID.of(RPCRig.own)), from: RPCRig.own)
        #expect(try rig.responses().count == 3, "they are answered")
        #expect(rig.node.nodeCount == 0)
        rig.introduce(1)
        #expect(rig.node.nodeCount == 1)
    }

    @Test func filteredNodesAreNeitherLearnedNorVisited() throws {
        var configuration = RPCConfiguration.bootstrapper(address: RPCRig.own)
        configuration.nodeFilter = { $0 != RPCRig.peer(1) }
        let rig = RPCRig(configuration)
        rig.introduce(1)
        #expect(rig.node.nodeCount == 0)
        rig.introduce(2)
        _ = rig.outputs()
        rig.node.findNode(.zero, now: rig.now)
        let request = try #require(try rig.requests().first?.request)
        rig.answer(request, closerNodes: [RPCRig.peer(1), RPCRig.own, RPCRig.peer(3), RPCRig.peer(4).with(port: 0)])
        #expect(try rig.requests().map(\.request.to) == [RPCRig.peer(3)])
    }

    /// Peers that all belong to the first row of the rig's table.
    private func firstRowPeers(_ rig: RPCRig, count: Int) -> [Int] {
        Array((0..<4000).lazy.filter { rig.node.table.rowIndex(of: NodeID.of(RPCRig.peer($0))) == 0 }.prefix(count))
    }

    @Test func fullRowAsksItsStalestNode() throws {
        var rig = RPCRig()
        let numbers = firstRowPeers(rig, count: 22)
        for number in numbers.prefix(20) { rig.introduce(number) }
        _ = rig.outputs()
        rig.introduce(numbers[20])
        #expect(try rig.requests().isEmpty, "all were heard in this tick")
        rig.run(until: rig.now + .seconds(6))
        for number in numbers[1..<20] { rig.introduce(number) }
        _ = rig.outputs()
        rig.introduce(numbers[20])
        let asked = try #require(try rig.requests().first?.request)
        #expect(asked.command == .ping && asked.to == RPCRig.peer(numbers[0]))
        rig.answer(asked, id: NodeID.of(asked.to))
        #expect(rig.node.table.contains(NodeID.of(asked.to)), "it answered and stays")
        #expect(!rig.node.table.contains(NodeID.of(RPCRig.peer(numbers[20]))))

        rig.run(until: rig.now + .seconds(6))
        for number in numbers[1..<20] { rig.introduce(number) }
        _ = rig.outputs()
        rig.introduce(numbers[21])
        #expect(try rig.requests().count == 1)
        rig.run(until: rig.now + .seconds(5))
        #expect(!rig.node.table.contains(NodeID.of(asked.to)), "it did not answer and was replaced")
        #expect(rig.node.table.contains(NodeID.of(RPCRig.peer(numbers[21]))))
    }

    @Test func swapsAreLimited() throws {
        var rig = RPCRig()
        let numbers = firstRowPeers(rig, count: 40)
        for number in numbers.prefix(20) { rig.introduce(number) }
        rig.run(until: rig.now + .seconds(6))
        _ = rig.outputs()
        for number in numbers[20..<40] { rig.introduce(number) }
        #expect(try rig.requests().count { $0.request.command == .ping } == RPCLimits.concurrentSwaps)
    }

    @Test func downHintsCauseAFewChecks() throws {
        var rig = RPCRig()
        for number in 0..<30 { rig.introduce(number) }
        rig.run(until: rig.now + .seconds(6))
        _ = rig.outputs()
        let known = rig.node.knownNodes(limit: 30)
        #expect(known.count > 12)
        for address in known {
            var writer = ByteWriter()
            writer.writeAddress(address)
            rig.receive(
                RPCRequest(transaction: 1, to: RPCRig.own, command: .downHint, value: writer.bytes),
                from: RPCRig.peer(500))
        }
        let sent = rig.sent()
        #expect(sent.count { $0.bytes.first == RPCResponse.typeByte } == known.count, "all are answered")
        #expect(sent.count { $0.bytes.first == RPCRequest.typeByte } == RPCLimits.concurrentChecks)
        rig.run(until: rig.now + .milliseconds(4500))
        #expect(rig.node.nodeCount == known.count - RPCLimits.concurrentChecks, "those that did not answer are gone")
        #expect(rig.node.checkCount == 0)
    }

    @Test func hintsAreLimitedPerTick() throws {
        var configuration = RPCConfiguration.bootstrapper(address: RPCRig.own)
        configuration.downHintLimit = 3
        var rig = RPCRig(configuration)
        var options = RPCQueryOptions()
        options.startNodes = (0..<8).map(RPCRig.peer)
        rig.node.findNode(.zero, options: options, now: rig.now)
        for item in try rig.requests() { rig.answer(item.request, closerNodes: [RPCRig.peer(99)]) }
        #expect(try rig.requests().map(\.request.to) == [RPCRig.peer(99)])
        var hints = 0
        rig.run(until: rig.now + .seconds(7)) { _, outputs in
            for case .send(let datagram) in outputs {
                if (try? RPCRequest(datagram: datagram.bytes))?.command == .downHint { hints += 1 }
            }
        }
        #expect(rig.node.statistics.downHintCount == 3 && hints == 3)
    }

    @Test func oldNodesArePinged() throws {
        var rig = RPCRig()
        for number in 0..<10 { rig.introduce(number) }
        _ = rig.outputs()
        var asked: [SocketAddress] = []
        rig.run(until: rig.now + .seconds(45)) { _, outputs in
            for case .send(let datagram) in outputs {
                guard let request = try? RPCRequest(datagram: datagram.bytes), request.command == .ping else {
                    continue
                }
                asked.append(request.to)
            }
        }
        #expect(Set(asked).count >= 2 && asked.contains(RPCRig.peer(0)), "the oldest first")
        #expect(rig.node.nodeCount == 10 - Set(asked).count, "they did not answer")
    }

    @Test func sleepIsNoticed() {
        var rig = RPCRig()
        let tick = rig.node.tick
        rig.run(until: rig.now + .seconds(5))
        #expect(rig.node.tick == tick + 1)
        _ = rig.outputs()
        rig.now = rig.now + .seconds(40)
        rig.node.wake(now: rig.now)
        #expect(rig.outputs().contains(.event(.wokeUp)))
        #expect(rig.node.tick > tick + 720 && rig.node.tick % 8 == 6)
        #expect(!rig.node.isEphemeral, "a node that is forced to be persistent stays so")
    }

    @Test func healthIsJudged() {
        var health = NetworkHealth()
        var (responses, timeouts) = (0, 0)
        func tick(_ answered: Int, _ lost: Int) -> Bool {
            responses += answered
            timeouts += lost
            return health.update(responseCount: responses, timeoutCount: timeouts)
        }
        for _ in 0..<3 { #expect(!tick(0, 10), "too early to tell") }
        #expect(tick(0, 10) && !health.isOnline && !health.isDegraded)
        #expect(tick(10, 0) && health.isOnline)
        for _ in 0..<3 { #expect(!tick(2, 8)) }
        #expect(tick(2, 8) && health.isOnline && health.isDegraded)
        #expect(!tick(1, 1), "an idle tick says nothing")
        for _ in 0..<3 { #expect(!tick(9, 1)) }
        #expect(tick(9, 1) && !health.isDegraded)
        let isChange = health.reset()
        #expect(!isChange)
    }
}
