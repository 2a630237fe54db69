import DWebBase
import DWebLogCore
import Testing

/// How much one turn of one peer looks at, whatever others made wait.
@Suite("Limits of a replication turn") struct ReplicationTurnTests {
    private let window = ReplicationLimits.wantWindowBlockCount

    @Test("of many ranges one turn looks at 64, later turns at the others")
    func rangesPerTurn() {
        let count = UInt64(ReplicationLimits.rangesPerTurn) + 36
        let played = PlayedMachine(length: count * window)
        // Each range lies in a window of its own, of which the peer has announced nothing: to look at it is to ask.
        for number in 0..<count { played.download(number * window, number * window + 1) }
        played.connect()
        #expect(played.wants.isEmpty)

        played.say(.sync(length: count * window))
        #expect(played.wants.count == ReplicationLimits.rangesPerTurn)

        for _ in 0..<64 where played.wants.count < Int(count) { played.say(.range(5..<6)) }
        #expect(Set(played.wants.map(\.start)) == Set((0..<count).map { $0 * window }))
    }

    @Test("a second copy is looked for among the 48 blocks that wait longest")
    func swapCandidatesWithOneCopy() throws {
        let played = slowPeer()
        let looked = UInt64(ReplicationLimits.swapCandidatesWithOneCopy)

        join(played, 2, having: looked..<looked + 1)
        #expect(asked(played, 2).isEmpty)

        // The oldest is done, so that the one behind the 48 moves up.
        try answer(played, block: 0)
        played.say(.range(looked..<looked + 1), from: ReplicationPeerID(2))
        #expect(asked(played, 2) == [looked])
    }

    @Test("a third copy is looked for among 32 of the blocks that two peers were asked for")
    func swapCandidatesWithTwoCopies() throws {
        let played = slowPeer()
        let looked = UInt64(ReplicationLimits.swapCandidatesWithTwoCopies)
        join(played, 2, having: 0..<looked)
        join(played, 3, having: looked..<looked + 8)
        #expect(asked(played, 2) == Array(0..<looked))
        #expect(asked(played, 3) == Array(looked..<looked + 8))

        join(played, 4, having: looked..<looked + 1)
        #expect(asked(played, 4).isEmpty)

        try answer(played, block: 0)
        played.say(.range(looked..<looked + 1), from: ReplicationPeerID(4))
        #expect(asked(played, 4) == [looked])
    }

    /// A machine whose first peer has been asked for 64 blocks and answers none.
    private func slowPeer() -> PlayedMachine {
        let played = PlayedMachine(length: 64)
        played.connect(1)
        played.say(.sync(length: 64, remoteLength: 64), .range(0..<64))
        played.download(0, 64)
        #expect(asked(played, 1) == Array(0..<64))
        return played
    }

    private func join(_ played: PlayedMachine, _ number: UInt64, having blocks: Range<UInt64>) {
        played.connect(number)
        played.say(.sync(length: 64, remoteLength: 64), .range(blocks), from: ReplicationPeerID(number))
    }

    /// The blocks that a peer was asked for, in order.
    private func asked(_ played: PlayedMachine, _ number: UInt64) -> [UInt64] {
        played.messages(to: ReplicationPeerID(number)) { message in
            if case .request(let request) = message { request.proof.block?.index } else { nil }
        }
    }

    /// The first peer answers its request for a block, and the answer is stored.
    private func answer(_ played: PlayedMachine, block index: UInt64) throws {
        let ids: [UInt64] = played.messages(to: ReplicationPeerID(1)) { message in
            if case .request(let request) = message, request.proof.block?.index == index { request.id } else { nil }
        }
        played.say(.block(index, answering: try #require(ids.first)))
        played.verified(played.applied)
    }
}
