import DWebBase
import Testing

@testable import DWebStreamCore

/// Whole transfers over paths that lose, repeat, reorder, delay and throttle, in virtual time.
@Suite struct UDXSimulationTests {
    private static func conditions(_ seed: UInt64) -> PathConditions {
        var random = SplitMix64(seed: seed)
        func pick<Value>(_ values: [Value]) -> Value { values[Int(random.next() % UInt64(values.count))] }
        return PathConditions(
            latency: pick([100_000, 5_000_000, 20_000_000, 80_000_000]), jitter: pick([0, 1_000_000, 10_000_000]),
            loss: pick([0, 0, 0.01, 0.05, 0.15]), duplication: pick([0, 0.05, 0.3]),
            reordering: pick([0, 0.05, 0.3]), reorderDelay: pick([500_000, 15_000_000]),
            bytesPerSecond: pick([nil, 200_000, 2_000_000, 20_000_000]), queueByteCount: pick([16_000, 100_000]),
            mtu: pick([1_200, 1_280, 1_400, 1_500]))
    }

    @Test func runsAreReproducible() throws {
        func run() throws -> [[UInt8]] {
            let network = SimulatedNetwork(seed: 9, conditions: Self.conditions(14))
            _ = (network.addNode(), network.addNode())
            let (left, _) = try network.connectPair()
            try left.write(testBytes(100_000))
            network.run(for: .seconds(20)) { left.isFlushed }
            return network.sent.map(\.bytes)
        }
        #expect(try run() == run())
    }

    @Test(arguments: [CongestionAlgorithm.bbr, .cubic], [0.0, 0.005])
    func fillsALink(_ algorithm: CongestionAlgorithm, loss: Double) throws {
        var options = UDXStreamOptions()
        options.congestion = algorithm
        let network = SimulatedNetwork(
            seed: 4,
            conditions: PathConditions(
                latency: 10_000_000, loss: loss, bytesPerSecond: 5_000_000, queueByteCount: 150_000))
        network.records = false
        let (_, b) = (network.addNode(), network.addNode())
        let (left, _) = try network.connectPair(options, options)
        let bytes = testBytes(10_000_000)
        try left.write(bytes)
        let start = network.now
        #expect(network.run(for: .seconds(60)) { left.isFlushed })
        #expect(b.received[2] == bytes)
        let share = Double(bytes.count) / (Double(network.now - start) / 1e9) / 5_000_000
        // CUBIC takes losses for congestion.
        #expect(share > (loss > 0 && algorithm == .cubic ? 0.15 : 0.8), "share \(share)")
    }

    /// One way, in milliseconds, as in `Tests/netlab/transport`; at a tenth of its rate, for the sake of time.
    @Test(arguments: UDXSeedTests.isThorough ? [50, 100] : [100]) func aLongPathIsFilled(latency: Int64) throws {
        let rate = 1_250_000.0
        let network = SimulatedNetwork(
            seed: 2,
            conditions: PathConditions(
                latency: latency * .millisecond, loss: 0.001, bytesPerSecond: rate, queueByteCount: 125_000))
        network.records = false
        let (_, b) = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        // As in a connection, where both ends begin with a header.
        try right.write([1])
        b.onEvent = { stream, _ in b.received[stream.localID] = [] }
        let chunk = [UInt8](repeating: 7, count: 65_536)
        network.check = { while left.unacknowledgedByteCount < 2_000_000 { _ = try? left.write(chunk) } }
        network.run(for: .seconds(40))
        let share = Double(right.statistics.bytesDelivered) / 40 / rate
        #expect(share > 0.85, "\(share)")
    }

    /// Between two turns of a busy host a bucket has to hold what the turn in between would have sent.
    @Test(arguments: [CongestionAlgorithm.bbr, .cubic])
    func aHostThatComesLateKeepsItsRate(_ algorithm: CongestionAlgorithm) throws {
        var options = UDXStreamOptions()
        options.congestion = algorithm
        let network = SimulatedNetwork(
            conditions: PathConditions(latency: 20_000_000, bytesPerSecond: 2_500_000, queueByteCount: 250_000))
        network.records = false
        network.timerDelay = 20_000_000
        _ = (network.addNode(), network.addNode())
        let (left, _) = try network.connectPair(options, options)
        let bytes = testBytes(10_000_000)
        try left.write(bytes)
        let start = network.now
        #expect(network.run(for: .seconds(60)) { left.isFlushed })
        let share = Double(bytes.count) / (Double(network.now - start) / 1e9) / 2_500_000
        #expect(share > 0.75, "\(share)")
    }

    @Test func burstsStayShortAfterAPause() {
        var pacer = Pacer()
        // 1 MB/s: a second of silence, then as much as one may send at once.
        pacer.refill(rate: 1_000, now: 0)
        while pacer.isOpen { pacer.spend(1_000) }
        func burst(after pause: Int64) -> Int {
            pacer.refill(rate: 1_000, now: pause)
            var count = 0
            while pacer.isOpen {
                pacer.spend(1_000)
                count += 1
            }
            return count
        }
        #expect(burst(after: 1_000_000_000) == 24)
        // Packets waited, and the host came 50 ms too late.
        _ = pacer.reopening(now: 1_000_000_000)
        #expect((49...51).contains(burst(after: 1_050_000_000)))
    }

    /// Long enough for the pauses in which the shortest round-trip time is measured anew.
    @Test func aLongFlowKeepsItsPace() throws {
        let network = SimulatedNetwork(
            seed: 6,
            conditions: PathConditions(latency: 25_000_000, bytesPerSecond: 500_000, queueByteCount: 100_000))
        network.records = false
        let (_, b) = (network.addNode(), network.addNode())
        let (left, _) = try network.connectPair()
        let bytes = testBytes(12_000_000)
        try left.write(bytes)
        let start = network.now
        var smallestWindow = Int.max
        network.check = {
            if network.now > start + 5_000_000_000 {
                smallestWindow = min(smallestWindow, left.statistics.congestionWindow)
            }
        }
        #expect(network.run(for: .seconds(60)) { left.isFlushed })
        #expect(b.received[2] == bytes)
        #expect(smallestWindow == 4)
        let share = Double(bytes.count) / (Double(network.now - start) / 1e9) / 500_000
        #expect(share > 0.85, "share \(share)")
        // The queue in front of the link does not stay full.
        #expect(left.statistics.roundTripTime! < .milliseconds(150))
    }

    @Test func idleStreamsCostNothing() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        var streams: [UDXStream] = []
        for id: UInt32 in 1...1_000 {
            let left = try a.multiplexer.createStream(localID: id)
            let right = try b.multiplexer.createStream(localID: id)
            try left.connect(on: a.sockets[0], remoteID: id, address: b.addresses[0])
            try right.connect(on: b.sockets[0], remoteID: id, address: a.addresses[0])
            try left.write([1])
            streams += [left, right]
        }
        network.run(for: .seconds(20))
        #expect(streams.allSatisfy { $0.isFlushed })
        #expect(a.multiplexer.nextDeadline == nil)
        #expect(b.multiplexer.nextDeadline == nil)
        let count = network.sent.count
        try streams[0].write([2])
        network.run(for: .seconds(20))
        #expect(network.sent.count == count + 2)
        #expect(b.received[1] == [1, 2])
    }

    @Test func streamsShareATurn() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        for id: UInt32 in 1...20 {
            let left = try a.multiplexer.createStream(localID: id)
            let right = try b.multiplexer.createStream(localID: id)
            try left.connect(on: a.sockets[0], remoteID: id, address: b.addresses[0])
            try right.connect(on: b.sockets[0], remoteID: id, address: a.addresses[0])
            try left.write(testBytes(100_000, seed: UInt64(id)))
        }
        var batches = 0
        a.multiplexer.transmit(now: MonotonicTime(nanoseconds: network.now), budget: 100) { _, batch in
            batches += 1
            #expect(batch.count >= 100 && batch.count < 100 + 64)
            #expect(Set(batch.entries.map { UDXHeader(batch.bytes, in: $0.range)!.streamID }).count >= 8)
        }
        #expect(batches == 1)
        #expect(a.multiplexer.nextDeadline == .zero)
        network.run(for: .seconds(20)) { b.received.values.reduce(0) { $0 + $1.count } == 2_000_000 }
        // The first turn's packets were lost, and came again.
        for id: UInt32 in 1...20 { #expect(b.received[id] == testBytes(100_000, seed: UInt64(id))) }
    }
}
