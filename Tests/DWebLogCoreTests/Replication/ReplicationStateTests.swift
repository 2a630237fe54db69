import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Logs with very many peers, with two histories, and with a lost tree.
@Suite struct ReplicationStateTests {
    @Test func manyPeersAreLookedAtInTurns() {
        let played = PlayedMachine(length: 1_000)
        let count = 130
        for number in 1...UInt64(count) {
            let id = played.connect(number)
            played.say(.sync(length: 1_000, remoteLength: 1_000), .range(0..<1_000), from: id)
        }
        played.requests = []
        played.sent = []
        // One block each: who is asked shows who was looked at.
        for index in 0..<200 as Range<UInt64> {
            played.machine.wantBlock(index, ticket: played.ticket(), now: played.now)
        }
        played.pump()
        let asked = Set(played.sent.compactMap { if case .request = $0.message { $0.peer } else { nil } })
        #expect(!asked.isEmpty && asked.count <= ReplicationLimits.peersPerPass)
        #expect(
            Set(played.requests.compactMap { $0.proof.block?.index }).count == 200,
            "nothing is left undone because of the turns")
        let deadline = played.machine.nextDeadline
        #expect(deadline != nil && deadline! <= played.now + .milliseconds(450))
        #expect(ReplicationLimits.fullPassDelay(peerCount: 41) == .milliseconds(100))
        #expect(ReplicationLimits.fullPassDelay(peerCount: 140) == .milliseconds(500))
        #expect(ReplicationLimits.fullPassDelay(peerCount: 10_000) == .seconds(3))
    }

    /// A block that only one of many peers has is found at the latest with the full pass.
    @Test func noPeerIsForgotten() {
        let played = PlayedMachine(length: 1_000)
        let count: UInt64 = 100
        for number in 1...count {
            let id = played.connect(number)
            played.say(.sync(length: 1_000, remoteLength: 1_000), .range(number..<number + 1), from: id)
        }
        played.requests = []
        for index in 1...count { played.machine.wantBlock(index, ticket: played.ticket(), now: played.now) }
        played.pump()
        let first = played.requests.compactMap { $0.proof.block?.index }
        #expect(first.count < Int(count))
        played.advance(.milliseconds(300))
        #expect(Set(played.requests.compactMap { $0.proof.block?.index }) == Set(1...count))
    }

    @Test func frozenLogsRefusePeers() {
        let played = PlayedMachine(length: 5, contiguous: 5, isFrozen: true)
        let peer = played.connect()
        #expect(played.closed == [peer] && played.sent.isEmpty)
        played.machine.unfreeze(now: played.now)
        played.connect(2)
        #expect(!played.syncs.isEmpty)
    }

    @Test func lostRootsAreAskedOfPeers() {
        let played = PlayedMachine(length: 6, contiguous: 3, isDamaged: true)
        played.connect()
        #expect(played.syncs.isEmpty && played.ranges.isEmpty)
        #expect(played.requests.count == 1 && played.requests[0].id == 0)
        #expect(played.requests[0].proof.upgrade == ProofRequest.Upgrade(start: 0, length: 6))
        // Nothing else is exchanged.
        played.get(1)
        played.get(4)
        played.say(
            .request(RequestMessage(id: 1, fork: 0, proof: ProofRequest(block: .init(index: 1, nodes: 0)))),
            .range(0..<6))
        #expect(played.requests.count == 1 && played.serves.isEmpty)
        #expect(played.sent.contains { if case .noData = $0.message { true } else { false } })
        // Proofs of other lengths or forks are of no use.
        func proof(_ length: UInt64, fork: UInt64 = 0, request: UInt64 = 0) -> LogMessage {
            .data(
                DataMessage(
                    request: request, fork: fork,
                    upgrade: DataMessage.Upgrade(
                        start: 0, length: length, nodes: [], additionalNodes: [], signature: [])))
        }
        played.say(proof(5), proof(6, fork: 1), proof(6, request: 3))
        #expect(played.verifications.isEmpty)
        played.say(proof(6))
        #expect(played.verifications.map(\.purpose) == [.repair])
        played.verified(.stale)
        played.say(proof(6))
        played.machine.verified(played.verifications.removeFirst().token, .sameHistory, now: played.now)
        played.machine.repaired(knowsManifest: true, offersManifest: true, now: played.now)
        played.pump()
        #expect(played.syncs.last?.length == 6)
        #expect(played.ranges.last == RangeMessage(start: 0, length: 3))
        played.say(.sync(length: 6, remoteLength: 6))
        #expect(played.requests.last?.proof.block?.index == 4)
    }

    @Test func repairProofsAreLimitedAndWrongOnesPause() {
        let played = PlayedMachine(length: 6, isDamaged: true)
        played.connect()
        let message = LogMessage.data(
            DataMessage(
                request: 0, fork: 0,
                upgrade: DataMessage.Upgrade(start: 0, length: 6, nodes: [], additionalNodes: [], signature: [])))
        for _ in 0..<ReplicationLimits.conflictChecksPerPeer + 5 { played.say(message) }
        #expect(played.verifications.count == ReplicationLimits.conflictChecksPerPeer)
        played.verified(.rejected(.invalidSignature))
        #expect(played.events.contains(.peerPaused(ReplicationPeerID(1))))
        while !played.verifications.isEmpty { played.verified(.stale) }
        // A peer that was behind is asked again once it is not.
        played.connect(2)
        let count = played.requests.count
        played.say(.sync(length: 4), from: ReplicationPeerID(2))
        #expect(played.requests.count == count)
        played.say(.sync(length: 7), from: ReplicationPeerID(2))
        #expect(played.requests.count == count + 1)
    }
}
