import DWebBase
import Testing

@testable import DWebStreamCore

/// Several streams through one bottleneck.
@Suite struct UDXFairnessTests {
    /// The product of rate and round-trip time, in bytes.
    private static let pathByteCount = 40_000
    /// Bottleneck queues of a half, one and four times that.
    private static let queues =
        UDXSeedTests.isThorough ? [pathByteCount / 2, pathByteCount, pathByteCount * 4] : [pathByteCount]
    private static let seeds: ClosedRange<UInt64> = UDXSeedTests.isThorough ? 1...6 : 1...1
    /// Where each run has to be fair.
    private static let boundSeeds: ClosedRange<UInt64> = UDXSeedTests.isThorough ? 1...12 : 1...2

    /// What two streams, of which the second starts later, each get of what passes, and how much of the link they use.
    private func compete(
        _ algorithms: [CongestionAlgorithm], latency: Int64 = 20_000_000, rate: Double = 1_000_000, queue: Int,
        seed: UInt64
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
        func fill(_ stream: UDXStream) {
            while stream.unacknowledgedByteCount < 2_000_000 { _ = try? stream.write(chunk) }
        }
        var started = 1
        network.check = { for stream in streams[..<started] { fill(stream) } }
        fill(streams[0])
        network.run(for: .seconds(5))
        started = 2
        network.run(for: .seconds(15))
        let before = streams.map { $0.statistics.bytesAcknowledged }
        network.run(for: .seconds(25))
        let gained = zip(streams, before).map { Double($0.statistics.bytesAcknowledged - $1) }
        let sum = gained.reduce(0, +)
        return (gained.map { $0 / sum }, sum / 25 / rate)
    }

    private func expectFairness(_ algorithms: [CongestionAlgorithm], queue: Int, _ range: ClosedRange<Double>) throws {
        var first = 0.0
        for seed in Self.seeds {
            let (shares, use) = try compete(algorithms, queue: queue, seed: seed)
            first += shares[0] / Double(Self.seeds.count)
            #expect(use > 0.85, "\(algorithms), queue \(queue), seed \(seed): \(use)")
            // One run may be in the middle of finding its balance.
            #expect(
                range.contains(shares[0]) || Self.seeds.count > 1 && shares.allSatisfy { $0 > 0.1 },
                "\(algorithms), queue \(queue), seed \(seed): \(shares)")
        }
        #expect(range.contains(first), "\(algorithms), queue \(queue): \(first)")
    }

    @Test(arguments: [CongestionAlgorithm.bbr, .cubic], queues)
    func twoOfAKindShare(_ algorithm: CongestionAlgorithm, queue: Int) throws {
        try expectFairness([algorithm, algorithm], queue: queue, 0.4...0.6)
    }

    /// Chance decides which of two streams a full queue hits; it must not decide what they get.
    @Test(arguments: [pathByteCount / 2, pathByteCount * 2], boundSeeds)
    func cubicSharesWithItsLike(queue: Int, seed: UInt64) throws {
        let (shares, use) = try compete([.cubic, .cubic], queue: queue, seed: seed)
        #expect(use > 0.9)
        #expect((0.4...0.6).contains(shares[0]), "\(shares)")
    }

    /// Who fills the queue and who measures the path share a queue of two round trips and more.
    @Test(arguments: [pathByteCount * 2, pathByteCount * 4], boundSeeds)
    func differentKindsShareALongQueue(queue: Int, seed: UInt64) throws {
        let (shares, use) = try compete([.bbr, .cubic], queue: queue, seed: seed)
        #expect(use > 0.9)
        #expect((0.4...0.6).contains(shares[0]), "\(shares)")
    }

    /// A shorter one belongs to who measures, but neither starves the other.
    @Test(arguments: queues) func differentKindsLive(queue: Int) throws {
        try expectFairness([.bbr, .cubic], queue: queue, 0.25...0.75)
    }
}
