import DWebBase
import Testing

@testable import DWebStreamCore

/// What streams may be told to do beyond the reference: idle time-outs, source checks, congestion marks.
@Suite struct UDXOptionTests {
    private func pair(
        _ change: (inout UDXStreamOptions) -> Void, _ changeOther: (inout UDXStreamOptions) -> Void,
        over conditions: PathConditions = PathConditions()
    ) throws -> (SimulatedNetwork, UDXStream, UDXStream) {
        let network = SimulatedNetwork(conditions: conditions)
        _ = (network.addNode(), network.addNode())
        var (first, second) = (UDXStreamOptions(), UDXStreamOptions())
        change(&first)
        changeOther(&second)
        let (left, right) = try network.connectPair(first, second)
        return (network, left, right)
    }

    private func pair(
        over conditions: PathConditions = PathConditions(), _ change: (inout UDXStreamOptions) -> Void
    ) throws -> (SimulatedNetwork, UDXStream, UDXStream) {
        try pair(change, change, over: conditions)
    }

    // MARK: Idle time-out

    @Test func anIdleStreamEndsInTime() throws {
        let (network, left, right) = try pair({ $0.idleTimeout = .seconds(10) }, { _ in })
        try left.write([1])
        let start = network.now
        #expect(network.run(for: .seconds(60)) { left.closeReason != nil })
        #expect(left.closeReason == .timedOut)
        // Ten seconds after the acknowledgement.
        #expect((network.now - start) / 1_000_000 == 10_020)
        network.run(for: .seconds(1))
        #expect(right.closeReason == .reset)
        #expect(network.nodes.allSatisfy { $0.multiplexer.nextDeadline == nil })
    }

    @Test func aStreamThatNeverHeardOfItsPeerEnds() throws {
        let (network, left, _) = try pair({ $0.idleTimeout = .seconds(10) }, { _ in })
        #expect(network.run(for: .seconds(60)) { left.closeReason != nil })
        #expect((network.now - 1_000_000_000) / 1_000_000 == 10_000)
    }

    @Test func keepAliveKeepsAnIdleStream() throws {
        let (network, left, right) = try pair {
            $0.idleTimeout = .seconds(10)
            $0.keepAliveInterval = .seconds(3)
        }
        try left.write([1])
        network.run(for: .seconds(100))
        #expect(left.closeReason == nil && right.closeReason == nil)
        // The peer is gone, without a word.
        network.drops = { _ in true }
        let start = network.now
        #expect(network.run(for: .seconds(100)) { left.closeReason != nil && right.closeReason != nil })
        #expect(left.closeReason == .timedOut)
        #expect(network.now - start <= 10_000_000_000)
    }

    @Test func idleStreamsDoNotWakeTheOwnerForEveryPacket() throws {
        let (network, left, _) = try pair { $0.idleTimeout = .seconds(10) }
        for _ in 0..<200 {
            try left.write([1])
            network.run(for: .milliseconds(100))
        }
        #expect(left.closeReason == nil)
        #expect(network.stepCount < 200 * 4)
    }

    // MARK: Sources

    @Test func strangersAreLeftToTheFirewall() throws {
        let fixture = try StreamFixture { $0.sourcePolicy = .remote }
        let stranger = SocketAddress(ipv4: 10, 9, 9, 9, port: 99)
        fixture.receive(fixture.packet(.data, [1]), from: stranger)
        #expect(fixture.received.isEmpty)
        #expect(fixture.transmit().isEmpty)
        fixture.receive(fixture.packet(.destroy), from: StreamFixture.peer.with(port: 2_001))
        #expect(fixture.stream.closeReason == nil)
        #expect(fixture.firewallCalls.map(\.source) == [stranger, StreamFixture.peer.with(port: 2_001)])
        fixture.receive(fixture.packet(.data, [1]))
        #expect(fixture.received == [1])
        // The same address in the form of an IPv6 socket.
        let mapped = SocketAddress(host: "::ffff:10.0.0.2", port: StreamFixture.peer.port)!
        fixture.receive(fixture.packet(.data, sequence: 1, [2]), from: mapped)
        #expect(fixture.received == [1, 2])
        fixture.decision = .acceptAndChangeRemote(remoteID: 0x0a0b_0c0d)
        fixture.receive(fixture.packet(.data, sequence: 2, [3]), from: stranger)
        #expect(fixture.received == [1, 2, 3])
        #expect(fixture.stream.remoteAddress == stranger)
    }

    @Test func formerRemotesAreHeardWhilePacketsAreOutThere() throws {
        let fixture = try StreamFixture { $0.sourcePolicy = .remote }
        try fixture.stream.write([1])
        _ = fixture.transmit()
        let next = SocketAddress(ipv4: 10, 9, 9, 9, port: 99)
        try fixture.stream.changeRemote(on: fixture.socket, remoteID: 7, address: next)
        fixture.receive(fixture.packet([], acknowledgement: 1))
        #expect(fixture.stream.isFlushed)
        #expect(fixture.firewallCalls.isEmpty)
        fixture.receive(fixture.packet(.data, [1]))
        #expect(fixture.received.isEmpty)
        #expect(fixture.firewallCalls.count == 1)
    }

    // MARK: Congestion marks

    private static let queue = PathConditions(
        latency: 10_000_000, bytesPerSecond: 2_500_000, queueByteCount: 400_000, markQueueByteCount: 30_000)

    @Test(arguments: [CongestionAlgorithm.bbr, .cubic])
    func marksKeepTheQueueShort(_ algorithm: CongestionAlgorithm) throws {
        var roundTripTimes: [Duration] = []
        for isEnabled in [true, false] {
            let (network, left, right) = try pair(over: Self.queue) {
                $0.congestion = algorithm
                $0.isECNEnabled = isEnabled
            }
            network.records = false
            let bytes = testBytes(10_000_000)
            try left.write(bytes)
            let start = network.now
            var longest = Duration.zero
            network.check = {
                if network.now > start + 1_000_000_000 {
                    longest = max(longest, left.statistics.roundTripTime ?? .zero)
                }
            }
            #expect(network.run(for: .seconds(60)) { left.isFlushed })
            #expect(network.nodes[1].received[2] == bytes)
            let share = Double(bytes.count) / (Double(network.now - start) / 1e9) / 2_500_000
            #expect(share > 0.8, "\(algorithm) \(isEnabled) \(share)")
            roundTripTimes.append(longest)
            if isEnabled {
                #expect(left.statistics.congestionMarks > 0)
                #expect(left.statistics.retransmissions == 0)
            }
            #expect(right.statistics.congestionMarks == 0)
        }
        #expect(roundTripTimes[0] < roundTripTimes[1], "\(roundTripTimes)")
    }

    @Test func nothingIsMarkableUnlessBothAgree() throws {
        let (network, left, _) = try pair({ $0.isECNEnabled = true }, { _ in }, over: Self.queue)
        try left.write(testBytes(1_000_000))
        #expect(network.run(for: .seconds(20)) { left.isFlushed })
        #expect(network.sent.allSatisfy { $0.mark == .notCapable })
        #expect(left.statistics.congestionMarks == 0)
        // Who never asked sends none of the bits.
        let peer = network.nodes[1].addresses[0]
        #expect(network.sent.filter { $0.source == peer }.allSatisfy { $0.flags.rawValue & 0xc0 == 0 })
    }

    @Test func onlyDataIsMarkable() throws {
        let (network, left, right) = try pair { $0.isECNEnabled = true }
        try left.write(testBytes(100_000))
        #expect(network.run(for: .seconds(20)) { left.isFlushed })
        try left.sendMessage([1])
        try right.write(testBytes(1_000))
        network.run(for: .seconds(20))
        #expect(network.sent.contains { $0.mark == .capable })
        #expect(network.sent.allSatisfy { $0.mark == .notCapable || $0.isNumbered })
        #expect(network.sent.allSatisfy { $0.flags.contains(.congestionCapable) })
    }

    @Test func aMarkIsAnsweredOncePerRoundTrip() throws {
        let fixture = try StreamFixture { $0.isECNEnabled = true }
        fixture.receive(fixture.packet(.congestionCapable))
        for _ in 0..<8 {
            try fixture.stream.write([1])
            _ = fixture.transmit()
        }
        let echo: UDXPacketFlags = [.congestionCapable, .congestionExperienced]
        for acknowledgement: UInt32 in 1...8 { fixture.receive(fixture.packet(echo, acknowledgement: acknowledgement)) }
        #expect(fixture.stream.statistics.congestionMarks == 1)
        try fixture.stream.write([1])
        _ = fixture.transmit()
        fixture.receive(fixture.packet(echo, acknowledgement: 9))
        #expect(fixture.stream.statistics.congestionMarks == 2)
    }

    @Test func aPathThatSwallowsMarkablePacketsGetsPlainOnes() throws {
        let (network, left, right) = try pair { $0.isECNEnabled = true }
        network.drops = { $0.mark != .notCapable }
        try right.write([1])
        network.run(for: .milliseconds(200))
        let bytes = testBytes(200_000)
        try left.write(bytes)
        #expect(network.run(for: .seconds(10)) { left.isFlushed })
        #expect(network.nodes[1].received[2] == bytes)
    }

    @Test func aRelayPassesMarksOn() throws {
        let fixture = try StreamFixture()
        let other = try fixture.multiplexer.createStream(localID: 9)
        let target = SocketAddress(ipv4: 10, 0, 0, 3, port: 3_000)
        try other.connect(on: fixture.otherSocket, remoteID: 5, address: target)
        try fixture.stream.relay(to: other)
        var batch = DatagramBatch()
        batch.append(fixture.packet(.data, [1]), address: StreamFixture.peer, congestionMark: .experienced)
        _ = fixture.multiplexer.handle(batch, on: fixture.socket, now: fixture.now)
        fixture.multiplexer.transmit(now: fixture.now) { _, sent in
            #expect(sent.entries.map(\.congestionMark) == [.experienced])
        }
    }
}
