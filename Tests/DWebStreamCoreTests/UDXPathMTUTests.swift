import DWebBase
import Testing

@testable import DWebStreamCore

/// Paths that shrink and grow under a running stream; spec 10 section 10.1 and RFC 8899.
@Suite struct UDXPathMTUTests {
    private func warmUp(_ network: SimulatedNetwork, _ left: UDXStream) throws {
        for _ in 0..<30 {
            try left.write(testBytes(20_000))
            #expect(network.run(for: .seconds(10)) { left.isFlushed })
        }
    }

    private func pair(mtu: Int) throws -> (SimulatedNetwork, UDXStream) {
        let network = SimulatedNetwork(conditions: PathConditions(mtu: mtu))
        _ = (network.addNode(), network.addNode())
        let (left, _) = try network.connectPair()
        return (network, left)
    }

    @Test(arguments: [1_280, 1_200])
    func aPathThatShrinksIsNoticed(mtu: Int) throws {
        let (network, left) = try pair(mtu: 1_500)
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == 1_500)
        let before = network.nodes[1].received[2]!.count
        let count = network.sent.count
        // In the middle of a flight: what is numbered has 1,452 bytes and cannot change.
        let bytes = testBytes(600_000, seed: 3)
        try left.write(bytes)
        network.run(for: .milliseconds(15))
        #expect(!left.isFlushed)
        network.conditions.mtu = mtu
        let start = network.now
        #expect(network.run(for: .seconds(60)) { left.isFlushed })
        #expect(Array(network.nodes[1].received[2]![before...]) == bytes)
        #expect(left.statistics.pathMTUFallbacks == 1)
        #expect(network.now - start < 6_000_000_000)
        let large = network.sent[count...].filter { $0.isFragmentable }
        #expect(!large.isEmpty)
        #expect(large.allSatisfy { $0.bytes.count + 28 > 1_200 && $0.isNumbered && $0.header!.dataOffset == 0 })
        // The search found the new size again: 1,200 plus steps of 32.
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == (mtu == 1_280 ? 1_264 : 1_200))
        #expect(left.statistics.pathMTUFallbacks == 1)
    }

    /// Small packets keep arriving, so that no timer ever runs out.
    @Test func shrinkingIsNoticedBetweenSmallPackets() throws {
        let (network, left) = try pair(mtu: 1_500)
        try warmUp(network, left)
        network.conditions.mtu = 1_280
        for _ in 0..<200 {
            try left.write(testBytes(3_000))
            network.run(for: .milliseconds(5))
            try left.write([1])
            network.run(for: .milliseconds(25))
        }
        #expect(network.run(for: .seconds(10)) { left.isFlushed })
        #expect(left.statistics.pathMTUFallbacks == 1)
        #expect(left.statistics.pathMTU <= 1_264)
    }

    @Test func lossAloneIsNoShrinking() throws {
        let network = SimulatedNetwork(
            seed: 3, conditions: PathConditions(loss: 0.03, bytesPerSecond: 2_000_000, queueByteCount: 20_000))
        network.records = false
        let (_, b) = (network.addNode(), network.addNode())
        let (left, _) = try network.connectPair()
        let bytes = testBytes(4_000_000)
        try left.write(bytes)
        #expect(network.run(for: .seconds(60)) { left.isFlushed })
        #expect(b.received[2] == bytes)
        #expect(left.statistics.pathMTUFallbacks == 0)
        #expect(left.statistics.pathMTU == 1_500)
    }

    @Test func aPathThatGrowsIsUsedAfterAWhile() throws {
        let (network, left) = try pair(mtu: 1_280)
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == 1_264)
        network.conditions.mtu = 1_500
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == 1_264)
        network.run(for: .seconds(600))
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == 1_500)
    }

    @Test func aChangeOfRemoteStartsOver() throws {
        let (network, left) = try pair(mtu: 1_500)
        try warmUp(network, left)
        #expect(left.statistics.pathMTU == 1_500)
        let other = network.addSocket(to: 0)
        try left.changeRemote(on: other, remoteID: 2, address: network.nodes[1].addresses[0])
        #expect(left.statistics.pathMTU == 1_200)
    }
}
