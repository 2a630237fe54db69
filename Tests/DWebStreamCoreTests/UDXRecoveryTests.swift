import DWebBase
import DWebStreamFuzz
import Testing

@testable import DWebStreamCore

/// Items 32 to 40 of the conformance checklist, spec 10 section 15.
@Suite struct UDXRecoveryTests {
    private let second: Int64 = 1_000_000_000

    private func pair(
        _ conditions: PathConditions = PathConditions(), seed: UInt64 = 1,
        options: UDXStreamOptions = UDXStreamOptions()
    ) throws -> (SimulatedNetwork, UDXStream, UDXStream) {
        let network = SimulatedNetwork(seed: seed, conditions: conditions)
        _ = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair(options, options)
        return (network, left, right)
    }

    @Test func item32BlackHole() throws {
        let (network, left, _) = try pair()
        let start = network.now
        network.drops = { _ in true }
        try left.write([1, 2, 3])
        #expect(network.run(for: .seconds(20)) { left.closeReason != nil })
        #expect(left.closeReason == .timedOut)
        #expect(network.sent.map { ($0.time - start) / second } == [0, 1, 3, 5, 7, 9, 11])
        #expect((network.now - start) / second == 13)
        #expect(left.unacknowledgedByteCount == 0)
    }

    @Test func item33TailLossProbe() throws {
        let (network, left, _) = try pair(PathConditions(latency: 50_000_000))
        for _ in 0..<3 {
            try left.write([1])
            network.run(for: .milliseconds(300))
        }
        let start = network.now
        var dropped = false
        network.drops = { datagram in
            defer { if datagram.isNumbered { dropped = true } }
            return datagram.isNumbered && !dropped
        }
        try left.write([2])
        network.run(for: .milliseconds(600))
        let sends = network.sent.filter { $0.isNumbered && $0.header?.sequence == 3 }
        #expect(sends.count == 2)
        let delay = sends[1].time - start
        #expect(delay > 195_000_000 && delay < 215_000_000)
        #expect(left.statistics.retransmissionTimeouts == 0)
        #expect(left.statistics.tailLossProbes == 1)
        #expect(left.isFlushed)
    }

    @Test func item34FastRetransmission() throws {
        let (network, left, right) = try pair()
        var isDropped = false
        network.drops = { datagram in
            guard datagram.isNumbered, datagram.header?.sequence == 20, !isDropped else { return false }
            isDropped = true
            return true
        }
        let bytes = testBytes(100_000)
        try left.write(bytes)
        var phases: [RecoveryPhase] = []
        network.check = { if phases.last != left.machine.phase { phases.append(left.machine.phase) } }
        #expect(network.run(for: .seconds(5)) { left.isFlushed })
        #expect(left.statistics.fastRecoveries == 1)
        #expect(left.statistics.retransmissions == 1)
        #expect(left.statistics.retransmissionTimeouts == 0)
        try left.write(bytes)
        network.run(for: .seconds(1))
        #expect(phases == [.open, .recovery, .open])
        #expect(network.nodes[1].received[2] == bytes + bytes)
        _ = right
    }

    @Test func item35TimeoutBounds() throws {
        var estimator = RoundTripEstimator()
        estimator.update(1_000, now: 0)
        #expect(estimator.timeout == second)
        for step in 1...200 {
            estimator.update(estimator.clamped(29 * second), now: Int64(step))
            #expect(estimator.timeout <= 30 * second && estimator.timeout >= second)
        }
        // A retransmitted packet gives no measurement.
        let (network, left, _) = try pair()
        network.drops = { $0.time < 1_500_000_000 }
        try left.write([1])
        network.run(for: .seconds(4))
        #expect(left.isFlushed)
        #expect(left.statistics.roundTripTime == nil)
    }

    @Test func item36ZeroWindow() throws {
        let fixture = try StreamFixture()
        fixture.receive(fixture.packet([], window: 0))
        try fixture.stream.write([1, 2, 3])
        // A write on an idle stream asks at once.
        #expect(fixture.transmitHeaders().map(\.flags) == [.heartbeat])
        var times: [Int64] = []
        let start = fixture.now.milliseconds
        for _ in 0..<5 {
            let next = try #require(fixture.multiplexer.nextDeadline)
            fixture.now = next
            fixture.multiplexer.wake(now: next)
            for header in fixture.transmitHeaders() {
                #expect(header.flags == .heartbeat)
                times.append(fixture.now.milliseconds - start)
            }
        }
        #expect(times == [1_000, 3_000, 5_000, 7_000, 9_000])
        fixture.receive(fixture.packet([], window: 100_000))
        #expect(fixture.transmit().map { Array($0.dropFirst(20)) } == [[1, 2, 3]])
    }

    @Test func item36FlowThroughASlowReader() throws {
        let (network, left, right) = try pair()
        network.nodes[1].readsAutomatically = false
        let bytes = testBytes(6 << 20)
        try left.write(bytes)
        try left.end()
        network.run(for: .seconds(5))
        let window = UDXStreamOptions().initialReceiveWindowByteCount
        #expect(right.unreadByteCount <= window)
        #expect(right.unreadByteCount > window - 3_000)
        var received: [UInt8] = []
        let isDone = network.run(for: .seconds(30)) {
            received += right.readAll()
            return received.count == bytes.count
        }
        #expect(isDone)
        #expect(received == bytes)
        #expect(network.sent.allSatisfy { $0.header!.window == 0 || $0.header!.window >= 1_500 })
    }

    @Test func keepAlive() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        var options = UDXStreamOptions()
        options.keepAliveInterval = .seconds(5)
        let (left, _) = try network.connectPair(options, UDXStreamOptions())
        try left.write([1])
        network.run(for: .seconds(31))
        let beats = network.sent.filter { $0.flags == .heartbeat }
        #expect(beats.count == 6)
        #expect(beats.allSatisfy { $0.source == a.addresses[0] })
        #expect(network.sent.filter { $0.source == b.addresses[0] }.count == 7)
    }

    @Test func item38LostProbes() throws {
        let (network, left, _) = try pair(PathConditions(mtu: 1_400))
        let bytes = testBytes(20_000)
        for _ in 0..<30 {
            try left.write(bytes)
            #expect(network.run(for: .seconds(10)) { left.isFlushed })
        }
        #expect(network.nodes[1].received[2] == Array(repeatElement(bytes, count: 30).joined()))
        // 1392 is the largest size of the search that fits; 1424 failed three times.
        #expect(left.statistics.pathMTU == 1_392)
        #expect(left.machine.mtu.phase == .complete)
        #expect(left.statistics.fastRecoveries == 0)
        let probes = network.sent.filter { $0.bytes.count + 28 == 1_424 }
        #expect(probes.count == 3)
        for probe in probes {
            let again = try #require(
                network.sent.first { $0.header?.sequence == probe.header?.sequence && $0.time > probe.time })
            #expect(again.header?.dataOffset == 0)
            let padding = Int(probe.header!.dataOffset)
            #expect(padding > 0)
            #expect(probe.bytes.dropFirst(20).prefix(padding).allSatisfy { $0 == 0 })
            #expect(again.bytes.dropFirst(20) == probe.bytes.dropFirst(20 + padding))
        }
    }

    @Test func item39PathMTUFollowsProbes() throws {
        let (network, left, _) = try pair()
        var largestProbe = 1_200
        network.check = { #expect(left.statistics.pathMTU <= max(largestProbe, 1_200)) }
        network.drops = { datagram in
            if datagram.header!.dataOffset > 0 { largestProbe = max(largestProbe, datagram.bytes.count + 28) }
            return false
        }
        #expect(left.statistics.pathMTU == 1_200)
        for _ in 0..<30 {
            try left.write(testBytes(20_000))
            #expect(network.run(for: .seconds(10)) { left.isFlushed })
        }
        #expect(left.statistics.pathMTU == 1_500)
        #expect(network.sent.allSatisfy { $0.bytes.count + 28 <= 1_500 })
        // IPv6, and IPv4 through an IPv6 socket, have larger headers.
        let fixture = try StreamFixture(isConnected: false)
        let socket = fixture.multiplexer.addSocket(family: .ipv6)
        try fixture.stream.connect(on: socket, remoteID: 1, address: StreamFixture.peer)
        try fixture.stream.write(testBytes(2_000))
        #expect(fixture.transmit().map(\.count) == [1_152, 20 + 2_000 - 1_132])
    }

    @Test func noProbesOnALinkOfBaseSize() throws {
        var options = UDXStreamOptions()
        options.linkMTU = 1_200
        let (network, left, _) = try pair(options: options)
        try left.write(testBytes(200_000))
        #expect(network.run(for: .seconds(10)) { left.isFlushed })
        #expect(network.sent.allSatisfy { $0.bytes.count <= 1_172 && $0.header!.dataOffset == 0 })
    }

    @Test(arguments: [CongestionAlgorithm.bbr, .cubic])
    func item40InFlightIsBounded(_ algorithm: CongestionAlgorithm) throws {
        var options = UDXStreamOptions()
        options.congestion = algorithm
        options.receiveWindowByteCount = 60_000
        let (network, left, _) = try pair(
            PathConditions(jitter: 2_000_000, loss: 0.02), seed: 5, options: options)
        try left.write(testBytes(1_000_000))
        var sequence = left.machine.nextSequence
        network.check = {
            defer { sequence = left.machine.nextSequence }
            guard left.machine.nextSequence != sequence else { return }
            let statistics = left.statistics
            let window = max(1, statistics.peerWindowByteCount / left.machine.payloadByteCount)
            let probe = left.machine.tailLossProbe == nil ? 0 : 1
            #expect(statistics.packetsInFlight <= min(statistics.congestionWindow, window) + probe)
        }
        #expect(network.run(for: .seconds(30)) { left.isFlushed })
    }

    @Test func backPressure() throws {
        let (network, left, _) = try pair()
        var accepted = 0
        while try left.write([UInt8](repeating: 1, count: 10_000)) { accepted += 10_000 }
        #expect(accepted < 300_000)
        #expect(network.run(for: .seconds(10)) { network.nodes[0].log[1]?.contains(.drained) == true })
        #expect(try left.write([1]))
    }
}
