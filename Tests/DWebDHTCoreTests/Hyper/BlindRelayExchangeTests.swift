import DWebBase
import DWebDHTCore
import Testing

@Suite struct BlindRelayExchangeTests {
    private let now = MonotonicTime(milliseconds: 1_000)

    private func request(_ isInitiator: Bool, _ token: UInt8, stream: UInt32 = 7) -> BlindRelayPair {
        BlindRelayPair(isInitiator: isInitiator, token: Bytes32(repeating: token), streamID: stream)
    }

    @Test func twoRolesWithOneTokenAreJoined() {
        var exchange = BlindRelayExchange()
        // The same role again changes nothing, whoever asks.
        let first = [
            exchange.pair(request(false, 1), of: 1, now: now), exchange.pair(request(false, 1), of: 2, now: now),
            exchange.pair(request(true, 2), of: 2, now: now),
        ]
        #expect(first == [.waiting, .ignored, .waiting])
        let outcome = exchange.pair(request(true, 1, stream: 9), of: 3, now: now)
        #expect(
            outcome
                == .matched(
                    initiator: .init(client: 3, request: request(true, 1, stream: 9)),
                    other: .init(client: 1, request: request(false, 1))))
        #expect(exchange.pairCount == 1)
        #expect(exchange.waitingCount == 1)
        let late = exchange.pair(request(true, 1), of: 4, now: now)
        #expect(late == .ignored)
    }

    @Test func whatAClientHadPartInEndsWithIt() {
        var exchange = BlindRelayExchange()
        _ = exchange.pair(request(true, 1), of: 1, now: now)
        _ = exchange.pair(request(false, 1), of: 2, now: now)
        _ = exchange.pair(request(true, 2), of: 1, now: now)
        let ended = exchange.remove(1)
        #expect(ended == [Bytes32(repeating: 1)])
        #expect(exchange.pairCount == 0)
        #expect(exchange.waitingCount == 0)
        let others = exchange.remove(2)
        #expect(others.isEmpty)
        // Strangers cannot withdraw what is not theirs.
        _ = exchange.pair(request(true, 3), of: 3, now: now)
        let isStranger = exchange.unpair(Bytes32(repeating: 3), of: 4)
        #expect(!isStranger)
        #expect(exchange.waitingCount == 1)
        exchange.unpair(Bytes32(repeating: 3), of: 3)
        #expect(exchange.waitingCount == 0)
    }

    @Test func limitsHoldAgainstOneAndAgainstMany() {
        var limits = BlindRelayLimits()
        limits.pairCount = 2
        limits.pairsPerClientCount = 3
        limits.waitingCount = 10
        var exchange = BlindRelayExchange(limits: limits)
        // One client gets its share and no more.
        let outcomes = (0..<100).map { exchange.pair(request(true, UInt8($0)), of: 1, now: now) }
        #expect(outcomes.count { $0 == .waiting } == 3)
        // Many clients fill the waiting room, which empties itself in time.
        for client in UInt64(2)..<1_000 {
            _ = exchange.pair(request(true, UInt8(client % 100) &+ 100), of: client, now: now)
        }
        #expect(exchange.waitingCount == 10)
        let later = now + limits.waitingTime + .seconds(1)
        let fresh = exchange.pair(request(true, 250), of: 5_000, now: later)
        #expect(fresh == .waiting)
        #expect(exchange.waitingCount == 1)
        // No more pairs than allowed.
        for token in UInt8(1)...4 {
            _ = exchange.pair(request(true, token), of: UInt64(token) * 2 + 6_000, now: later)
            _ = exchange.pair(request(false, token), of: UInt64(token) * 2 + 6_001, now: later)
        }
        #expect(exchange.pairCount == 2)
    }
}
