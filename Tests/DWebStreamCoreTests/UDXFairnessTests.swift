import DWebBase
import Testing

@testable import DWebStreamCore

/// Several streams through one bottleneck.
@Suite struct UDXFairnessTests {
    /// Bytes that each of two streams brought through in the second half of a minute; the second starts later.
    private func compete(
        _ algorithms: [CongestionAlgorithm], latency: Int64 = 25_000_000, rate: Double = 2_500_000, queue: Int,
        seed: UInt64 = 1
    ) throws -> (shares: [Double], use: Double) {
        let network = SimulatedNetwork(
            seed: seed,
            conditions: PathConditions(
                latency: latency, jitter: 200_000, bytesPerSecond: rate, queueByteCount: queue))
        network.records = false
        let (a, b) = (network.addNode(), network.addNode())
        var streams: [UDXStream] = []
        for (index, algorithm) in algorithms.enumerated() {
            let id = UInt32(index + 1)
            var options = UDXStreamOptions()
            options.congestion = algorithm
            options.phaseSeed = UInt32(truncatingIfNeeded: seed) &* 77 &+ id &* 1_299_709
            let left = try a.multiplexer.createStream(localID: id, options: options)
            let right = try b.multiplexer.createStream(localID: id, options: options)
            try left.connect(on: a.sockets[0], remoteID: id, address: b.addresses[0])
            try right.connect(on: b.sockets[0], remoteID: id, address: a.addresses[0])
            streams.append(left)
        }
        let chunk = [UInt8](repeating: 7, count: 65_536)
        // The receiving side counts and forgets.
        b.onEvent = { stream, _ in b.received[stream.localID] = [] }
        func fill(_ stream: UDXStream) { while stream.unacknowledgedByteCount < 2_000_000 { _ = try? stream.write(chunk) } }
        var started = 1
        network.check = { for stream in streams[..<started] { fill(stream) } }
        fill(streams[0])
        network.run(for: .seconds(5))
        started = 2
        network.run(for: .seconds(25))
        let before = streams.map { $0.statistics.bytesAcknowledged }
        network.run(for: .seconds(30))
        let gained = zip(streams, before).map { Double($0.statistics.bytesAcknowledged - $1) }
        let sum = gained.reduce(0, +)
        return (gained.map { $0 / sum }, sum / 30 / rate)
    }

    // Queues of a half, one and four times what the path holds (125 kB).
    @Test(arguments: [CongestionAlgorithm.bbr, .cubic], [62_500, 125_000, 500_000])
    func twoOfAKindShare(_ algorithm: CongestionAlgorithm, queue: Int) throws {
        let (shares, use) = try compete([algorithm, algorithm], queue: queue)
        #expect(shares.allSatisfy { $0 > 0.4 && $0 < 0.6 }, "\(algorithm), queue \(queue): \(shares)")
        #expect(use > 0.85, "\(algorithm), queue \(queue): \(use)")
    }

    /// Neither kind starves the other; which one gets more depends on the queue.
    @Test(arguments: [62_500, 125_000, 500_000])
    func differentKindsLive(queue: Int) throws {
        let (shares, use) = try compete([.bbr, .cubic], queue: queue)
        #expect(shares.allSatisfy { $0 > 0.05 }, "queue \(queue): \(shares)")
        #expect(use > 0.85, "queue \(queue): \(use)")
    }
}
