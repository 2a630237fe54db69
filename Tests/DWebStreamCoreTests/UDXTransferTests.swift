import DWebBase
import Testing

@testable import DWebStreamCore

@Suite struct UDXTransferTests {
    @Test func transfersBothWaysAndEnds() throws {
        let network = SimulatedNetwork()
        let (a, b) = (network.addNode(), network.addNode())
        let (left, right) = try network.connectPair()
        let (forth, back) = (testBytes(300_000, seed: 1), testBytes(200_000, seed: 2))
        try left.write(forth)
        try left.end()
        try right.write(back)
        try right.end()
        #expect(network.run(for: .seconds(10)) { left.closeReason != nil && right.closeReason != nil })
        #expect(b.received[2] == forth)
        #expect(a.received[1] == back)
        #expect(left.closeReason == .finished)
        #expect(right.closeReason == .finished)
        #expect(a.log[1]?.suffix(2) == [.ended, .closed(.finished)])
        #expect(network.sent.allSatisfy { !$0.flags.contains(.destroy) })
        #expect(left.statistics.retransmissions == 0)
    }
}
