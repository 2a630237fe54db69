import DWebBase
import DWebStreamFuzz
import Testing

@testable import DWebStreamCore

/// Windows that follow what is read per round trip.
@Suite struct UDXReceiveWindowTests {
    private func pair(_ conditions: PathConditions) throws -> (SimulatedNetwork, UDXStream, UDXStream) {
        let network = SimulatedNetwork(seed: 3, conditions: conditions)
        network.records = false
        _ = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        // As in a connection, where both ends begin with a header: so each knows the round-trip time.
        try right.write([1])
        try left.write([1])
        network.run(for: .seconds(1))
        network.nodes[1].received[2] = []
        return (network, left, right)
    }

    @Test func aFatPathGetsAWideWindow() throws {
        // 1 MB is under way.
        let (network, left, right) = try pair(
            PathConditions(latency: 100_000_000, bytesPerSecond: 5_000_000, queueByteCount: 500_000))
        let bytes = testBytes(10_000_000)
        network.nodes[1].onEvent = { stream, _ in network.nodes[1].received[stream.localID] = [] }
        var offset = 0
        network.check = {
            while offset < bytes.count, left.unacknowledgedByteCount < 3_000_000 {
                _ = try? left.write(Array(bytes[offset..<offset + 100_000]))
                offset += 100_000
            }
        }
        let start = network.now
        #expect(network.run(for: .seconds(30)) { offset == bytes.count && left.isFlushed })
        let share = Double(bytes.count) / (Double(network.now - start) / 1e9) / 5_000_000
        #expect(share > 0.5, "\(share)")
        #expect(right.statistics.receiveWindowByteCount > 1_500_000)
        #expect(right.statistics.receiveWindowByteCount < 8_000_000)
    }

    @Test func aSlowReaderGetsASmallWindow() throws {
        let (network, left, right) = try pair(PathConditions(latency: 500_000))
        network.nodes[1].readsAutomatically = false
        let bytes = testBytes(8_000_000)
        try left.write(bytes)
        var received: [UInt8] = []
        var mostUnread = 0
        // Each tenth of a second it takes what there is: some 5 MB/s, however fast the path.
        while received.count < bytes.count, network.now < 60_000_000_000 {
            network.run(for: .milliseconds(100))
            mostUnread = max(mostUnread, right.unreadByteCount)
            received += right.readAll()
        }
        #expect(received == bytes)
        let initial = UDXStreamOptions().initialReceiveWindowByteCount
        #expect(right.statistics.receiveWindowByteCount == initial)
        #expect(mostUnread <= initial)
    }

    @Test func theWindowGrowsToItsLimitAndNoFurther() {
        var window = ReceiveWindow(initial: 1_000, maximum: 50_000)
        let round: Int64 = 10_000_000
        var read = 0
        var sizes: [Int] = []
        for (step, taken) in [0, 500, 1_000, 2_000, 4_000, 4_000, 40_000].enumerated() {
            read += taken
            window.noteArrival(readCount: read, roundTripTime: round, now: Int64(step) * round)
            sizes.append(window.byteCount)
        }
        // Four times what a round brought while that grows, twice once it does not.
        #expect(sizes == [1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 50_000])
        // Without a round-trip time it ends where the reference's does.
        var unmeasured = ReceiveWindow(initial: 1_000, maximum: 16 << 20)
        for step in 0..<100 {
            unmeasured.noteArrival(readCount: step * (8 << 20), roundTripTime: 0, now: Int64(step) * round)
        }
        #expect(unmeasured.byteCount == 4 << 20)
        // What is taken at once after a long pause is no rate.
        var other = ReceiveWindow(initial: 1_000, maximum: 50_000)
        other.noteArrival(readCount: 0, roundTripTime: round, now: 0)
        other.noteArrival(readCount: 10_000, roundTripTime: round, now: 100 * round)
        #expect(other.byteCount == 1_000)
    }
}
