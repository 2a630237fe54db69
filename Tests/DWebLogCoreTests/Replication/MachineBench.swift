import DWebBase
import DWebCrypto
import DWebLogCore
import Testing

/// A bare machine with one or more hand-played peers.
final class PlayedMachine {
    let machine: LogReplicator
    var now = MonotonicTime.zero
    var sent: [(peer: ReplicationPeerID, message: LogMessage)] = []
    /// The requests among what was sent.
    var requests: [RequestMessage] = []
    var events: [ReplicationEvent] = []
    var outcomes: [ReplicationTicket: TicketOutcome] = [:]
    var verifications: [(token: VerificationToken, data: DataMessage, purpose: VerificationPurpose)] = []
    var serves: [(token: ServingToken, request: RequestMessage, kind: ServingKind)] = []
    var cancelledServes: [ServingToken] = []
    var faults: [PeerFault] = []
    var closed: [ReplicationPeerID] = []
    var reopened: [ReplicationPeerID] = []
    var applyingForks: [UInt64] = []
    private var ticketCount: UInt64 = 0

    init(
        length: UInt64 = 0, contiguous: UInt64 = 0, fork: UInt64 = 0, knowsManifest: Bool = true,
        isFrozen: Bool = false, isDamaged: Bool = false, options: ReplicationOptions = ReplicationOptions()
    ) {
        var local = LocalLogState(
            head: LogHead(fork: fork, length: length), contiguousLength: contiguous, knowsManifest: knowsManifest,
            offersManifest: knowsManifest)
        local.isFrozen = isFrozen
        local.isDamaged = isDamaged
        machine = LogReplicator(local: local, options: options, random: SecureRandom(seed: Bytes32(repeating: 3)))
    }

    @discardableResult
    func connect(_ number: UInt64 = 1, isUDX: Bool = false, roundTripTime: Duration? = nil) -> ReplicationPeerID {
        let id = ReplicationPeerID(number)
        machine.addPeer(id, transport: PeerTransport(isUDX: isUDX, roundTripTime: roundTripTime), now: now)
        machine.peerOpened(id, supportsSeeks: true, now: now)
        pump()
        return id
    }

    func say(_ messages: LogMessage..., from peer: ReplicationPeerID = ReplicationPeerID(1)) {
        for message in messages { machine.handle(message, from: peer, now: now) }
        pump()
    }

    func ticket() -> ReplicationTicket {
        ticketCount += 1
        return ReplicationTicket(ticketCount)
    }

    @discardableResult
    func get(_ index: UInt64) -> ReplicationTicket {
        let ticket = ticket()
        machine.wantBlock(index, ticket: ticket, now: now)
        pump()
        return ticket
    }

    @discardableResult
    func download(_ start: UInt64, _ end: UInt64?, isLinear: Bool = true) -> ReplicationTicket {
        let ticket = ticket()
        machine.wantRange(start: start, end: end, isLinear: isLinear, ticket: ticket, now: now)
        pump()
        return ticket
    }

    func advance(_ duration: Duration) {
        now = now + duration
        machine.wake(now: now)
        pump()
    }

    /// Reports the outcome of the oldest verification.
    func verified(_ outcome: VerificationOutcome) {
        machine.verified(verifications.removeFirst().token, outcome, now: now)
        pump()
    }

    func pump() {
        while let output = machine.pollOutput() {
            switch output {
            case .send(let peer, let message):
                sent.append((peer, message))
                if case .request(let request) = message { requests.append(request) }
            case .serve(let token, from: _, let request, let kind): serves.append((token, request, kind))
            case .cancelServe(let token):
                cancelledServes.append(token)
                serves.removeAll { $0.token == token }
            case .verify(let token, from: _, let data, let purpose): verifications.append((token, data, purpose))
            case .resolve(let ticket, let outcome): outcomes[ticket] = outcome
            case .closeChannel(let peer): closed.append(peer)
            case .reopenChannel(let peer): reopened.append(peer)
            case .destroyStream(_, let fault): faults.append(fault)
            case .event(let event): events.append(event)
            case .applyReorganisation(let fork): applyingForks.append(fork)
            case .seekProgress, .discardReorganisation, .extensionMessage: break
            }
        }
    }

    func messages<Value>(to peer: ReplicationPeerID? = nil, _ select: (LogMessage) -> Value?) -> [Value] {
        sent.filter { peer == nil || $0.peer == peer }.compactMap { select($0.message) }
    }

    var syncs: [SyncMessage] { messages { if case .sync(let sync) = $0 { sync } else { nil } } }
    var noData: [NoDataMessage] { messages { if case .noData(let message) = $0 { message } else { nil } } }
    var cancels: [UInt64] { messages { if case .cancel(let message) = $0 { message.request } else { nil } } }
    var wants: [WantMessage] { messages { if case .want(let message) = $0 { message } else { nil } } }
    var unwants: [WantMessage] { messages { if case .unwant(let message) = $0 { message } else { nil } } }
    var ranges: [RangeMessage] { messages { if case .range(let message) = $0 { message } else { nil } } }

    /// The outcome of a verification that stored everything.
    var applied: VerificationOutcome {
        .applied(machine.head, knowsManifest: true, offersManifest: true)
    }
}

extension LogMessage {
    /// A sync of a peer that uploads and downloads.
    static func sync(
        length: UInt64, remoteLength: UInt64 = 0, fork: UInt64 = 0, canUpgrade: Bool = true, downloading: Bool = true,
        uploading: Bool = true, hasManifest: Bool = true, allowPush: Bool = false
    ) -> LogMessage {
        .sync(
            SyncMessage(
                fork: fork, length: length, remoteLength: remoteLength, canUpgrade: canUpgrade, uploading: uploading,
                downloading: downloading, hasManifest: hasManifest, allowPush: allowPush))
    }

    /// An announcement.
    static func range(_ range: Range<UInt64>, drop: Bool = false) -> LogMessage {
        .range(RangeMessage(drop: drop, start: range.lowerBound, length: range.upperBound - range.lowerBound))
    }

    /// A block without its proof, which a played owner does not look at.
    static func block(_ index: UInt64, answering request: UInt64, fork: UInt64 = 0) -> LogMessage {
        .data(
            DataMessage(
                request: request, fork: fork, block: DataMessage.Block(index: index, value: [1, 2, 3], nodes: [])))
    }

    /// A request for a block.
    static func ask(_ index: UInt64, id: UInt64, fork: UInt64 = 0, priority: UInt64 = 0) -> LogMessage {
        .request(
            RequestMessage(
                id: id, fork: fork, proof: ProofRequest(block: ProofRequest.Block(index: index, nodes: 0)),
                priority: priority))
    }
}
