import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// Whatever peers say and whenever results come, nothing traps and nothing is asked of a peer that cannot answer.
@Suite struct ReplicationFuzzTests {
    private static let numbers: [UInt64] = [
        0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 100, 255, 256, 1 << 15, (1 << 15) + 1, 1 << 21, (1 << 21) - 32, 1 << 32,
        1 << 52, ByteReader.integerLimit - 31, ByteReader.integerLimit - 1, ByteReader.integerLimit,
    ]

    private func number(_ random: inout SecureRandom) -> UInt64 {
        Bool.random(using: &random)
            ? UInt64.random(in: 0...130, using: &random) : ReplicationFuzzTests.numbers.randomElement(using: &random)!
    }

    private func nodes(_ random: inout SecureRandom) -> [TreeNode] {
        (0..<Int.random(in: 0...3, using: &random)).map { _ in
            TreeNode(index: number(&random), size: number(&random), hash: .zero)
        }
    }

    private func message(_ random: inout SecureRandom, ids: [UInt64]) -> LogMessage {
        func chance() -> Bool { Bool.random(using: &random) }
        func id() -> UInt64 { chance() ? ids.randomElement(using: &random) ?? 1 : number(&random) }
        switch Int.random(in: 0..<10, using: &random) {
        case 0:
            return .sync(
                SyncMessage(
                    fork: chance() ? 0 : number(&random), length: number(&random), remoteLength: number(&random),
                    canUpgrade: chance(), uploading: chance(), downloading: chance(), hasManifest: chance(),
                    allowPush: chance()))
        case 1:
            var proof = ProofRequest()
            if chance() { proof.block = ProofRequest.Block(index: number(&random), nodes: number(&random)) }
            if chance() { proof.hash = ProofRequest.Hash(index: number(&random), nodes: number(&random)) }
            if chance() { proof.seek = ProofRequest.Seek(bytes: number(&random), padding: number(&random)) }
            if chance() { proof.upgrade = ProofRequest.Upgrade(start: number(&random), length: number(&random)) }
            return .request(
                RequestMessage(
                    id: number(&random), fork: chance() ? 0 : number(&random), proof: proof, manifest: chance(),
                    priority: number(&random)))
        case 2: return .cancel(CancelMessage(request: number(&random)))
        case 3, 4:
            var data = DataMessage(request: id(), fork: chance() ? 0 : number(&random))
            if chance() { data.block = DataMessage.Block(index: number(&random), value: [1], nodes: nodes(&random)) }
            if chance() { data.hash = DataMessage.Hash(index: number(&random), nodes: nodes(&random)) }
            if chance() { data.seek = DataMessage.Seek(bytes: number(&random), nodes: nodes(&random)) }
            if chance() {
                data.upgrade = DataMessage.Upgrade(
                    start: number(&random), length: number(&random), nodes: nodes(&random),
                    additionalNodes: nodes(&random), signature: [1])
            }
            return .data(data)
        case 5:
            return .noData(NoDataMessage(request: id(), reason: NoDataMessage.Reason(rawValue: number(&random))))
        case 6: return .want(WantMessage(start: number(&random), length: number(&random), any: chance()))
        case 7: return .unwant(WantMessage(start: number(&random), length: number(&random), any: chance()))
        case 8:
            return .bitfield(
                BitfieldMessage(
                    start: number(&random),
                    words: (0..<Int.random(in: 0...70, using: &random)).map { _ in
                        UInt32(truncatingIfNeeded: random.next())
                    }))
        default: return .range(RangeMessage(drop: chance(), start: number(&random), length: number(&random)))
        }
    }

    @Test(arguments: 0..<30) func nothingTraps(seed: UInt8) {
        var random = SecureRandom(seed: Bytes32(repeating: seed))
        var options = ReplicationOptions()
        options.allowsPush = seed % 3 == 0
        options.isPushOnly = seed % 6 == 0
        let length: UInt64 = [0, 100, 70_000][Int(seed) % 3]
        let played = PlayedMachine(
            length: length, contiguous: length / 2, fork: seed % 5 == 0 ? 1 : 0, knowsManifest: seed % 4 != 0,
            options: options)
        var nextPeer: UInt64 = 1
        var peers: [ReplicationPeerID] = []
        var tickets: [ReplicationTicket] = []
        for _ in 0..<600 {
            played.now = played.now + .milliseconds(Int64.random(in: 0...50, using: &random))
            switch Int.random(in: 0..<20, using: &random) {
            case 0:
                peers.append(played.connect(nextPeer))
                nextPeer += 1
            case 1:
                if let peer = peers.randomElement(using: &random) {
                    played.machine.setPeer(peer, isDrained: Bool.random(using: &random), now: played.now)
                }
            case 2: tickets.append(played.get(number(&random)))
            case 3:
                let start = number(&random)
                tickets.append(
                    played.download(
                        start, Bool.random(using: &random) ? nil : start + number(&random),
                        isLinear: Bool.random(using: &random)))
            case 4:
                if let ticket = tickets.randomElement(using: &random) {
                    played.machine.cancel(ticket, now: played.now)
                }
            case 5:
                let ticket = played.ticket()
                tickets.append(ticket)
                let start = number(&random)
                played.machine.wantSeek(
                    bytes: number(&random), padding: 0, window: start..<start + 1, ticket: ticket, now: played.now)
            case 6:
                let ticket = played.ticket()
                tickets.append(ticket)
                played.machine.wantUpdate(ticket: ticket, now: played.now)
            case 7:
                guard !played.serves.isEmpty else { continue }
                let serve = played.serves.remove(at: Int.random(in: 0..<played.serves.count, using: &random))
                let outcomes: [ServingOutcome] = [
                    .unavailable, .invalidRequest, .data(DataMessage(request: serve.request.id, fork: 0)),
                ]
                played.machine.served(serve.token, outcomes.randomElement(using: &random)!, now: played.now)
            case 8, 9:
                guard !played.verifications.isEmpty else { continue }
                let failures: [VerificationFailure] = [
                    .invalidOperation, .invalidChecksum, .invalidProof, .invalidSignature,
                ]
                let failure = failures.randomElement(using: &random)!
                switch played.verifications[0].purpose {
                case .answer, .push:
                    var head = played.machine.head
                    if let upgrade = played.verifications[0].data.upgrade, upgrade.start == head.length,
                        upgrade.length < 1000
                    {
                        head.length += upgrade.length
                    }
                    let outcomes: [VerificationOutcome] = [
                        .stale, .storageFailed, .rejected(failure),
                        .applied(head, knowsManifest: true, offersManifest: true),
                        .applied(head, knowsManifest: true, offersManifest: true),
                    ]
                    played.verified(outcomes.randomElement(using: &random)!)
                case .reorganisation:
                    let outcomes: [VerificationOutcome] = [
                        .stale, .storageFailed, .rejected(failure), .reorganisationReady,
                        .searching(window: 0..<4, levelCount: 2),
                    ]
                    played.verified(outcomes.randomElement(using: &random)!)
                case .conflict, .repair:
                    let outcomes: [VerificationOutcome] = [.stale, .rejected(failure), .sameHistory]
                    played.verified(outcomes.randomElement(using: &random)!)
                }
            case 10:
                played.machine.wake(now: played.now)
                if let peer = peers.randomElement(using: &random), Int.random(in: 0..<4, using: &random) == 0 {
                    played.machine.removePeer(peer, now: played.now)
                }
            default:
                guard let peer = peers.randomElement(using: &random) else { continue }
                let ids = played.requests.suffix(5).map(\.id)
                // What cannot be encoded cannot arrive; what can is taken as it arrives.
                let sent = message(&random, ids: ids)
                var reader = ByteReader(sent.encoded)
                if let message = try? LogMessage.decode(type: sent.type, from: &reader) {
                    played.say(message, from: peer)
                }
            }
            played.pump()
        }
        for request in played.requests {
            if let upgrade = request.proof.upgrade { #expect(upgrade.length > 0) }
        }
        // Afterwards an honest peer gets through, unless the log was found to be in conflict.
        for peer in peers { played.machine.removePeer(peer, now: played.now) }
        while !played.verifications.isEmpty {
            switch played.verifications[0].purpose {
            case .answer, .push, .reorganisation: played.verified(.stale)
            case .conflict, .repair: played.verified(.stale)
            }
        }
        for serve in played.serves { played.machine.served(serve.token, .unavailable, now: played.now) }
        for ticket in tickets { played.machine.cancel(ticket, now: played.now) }
        played.pump()
        let head = played.machine.head
        if options.isPushOnly == false, head.length > played.machine.contiguousLength, played.applyingForks.isEmpty {
            played.requests = []
            let honest = played.connect(nextPeer)
            played.say(
                .sync(length: head.length, remoteLength: head.length, fork: head.fork), .range(0..<head.length),
                from: honest)
            played.download(played.machine.contiguousLength, played.machine.contiguousLength + 1)
            #expect(!played.requests.isEmpty, "seed \(seed)")
        }
    }
}
