import DWebBase
import DWebCrypto

/// Keeps one listening key pair announced at three nodes near its hash, which forward to it; spec 20 section 15.
struct Announcer: Sendable {
    private enum Phase: Sendable {
        case idle
        /// The query for the closest nodes runs.
        case searching
        /// ANNOUNCE requests are out.
        case announcing(pending: Int)
        /// The relays are being pinged.
        case pinging(pending: Int, answered: Int)
        case pausing(until: MonotonicTime)
        /// The network is down.
        case offline
        case suspended
        case stopped
    }

    private static let relayCount = 3
    /// With fewer relays than wanted, the next announcement comes sooner.
    private static let hurriedRoundCount = 10

    let server: ServerID
    let keyPair: KeyPair
    let target: Bytes32
    /// The relays and our address as they see it, for hole punching.
    private(set) var relays: [RelayPath] = []
    /// The relays' addresses, to tell clients.
    private(set) var relayAddresses: [SocketAddress] = []
    // The last three generations of relays, newest last: an older one may still forward to us.
    private var generations: [[SocketAddress]] = [[], [], []]
    private var closestNodes: [SocketAddress] = []
    private var candidates: [RPCReply] = []
    private var newRelays: [RelayPath] = []
    private var newAddresses: [SocketAddress] = []
    private var leaving: Set<SocketAddress> = []
    private var phase = Phase.idle
    private var round = 0
    private var wantsRefresh = false
    private var isClosing = false

    init(server: ServerID, keyPair: KeyPair, target: Bytes32) {
        self.server = server
        self.keyPair = keyPair
        self.target = target
    }

    var nextDeadline: MonotonicTime? {
        if case .pausing(let until) = phase { until } else { nil }
    }

    /// Whether messages from `address` come through one of our relays.
    func isRelay(_ address: SocketAddress) -> Bool { generations.contains { $0.contains(address) } }

    // MARK: Life

    mutating func start(_ context: inout HyperContext) { update(&context) }

    /// Announces again soon.
    mutating func refresh(_ context: inout HyperContext) {
        switch phase {
        case .pausing, .offline: update(&context)
        case .idle, .searching, .announcing, .pinging: wantsRefresh = true
        case .suspended, .stopped: break
        }
    }

    mutating func networkChanged(_ context: inout HyperContext) {
        if case .offline = phase, context.isOnline { update(&context) }
    }

    mutating func suspend(_ context: inout HyperContext) {
        if case .stopped = phase { return }
        phase = .suspended
        leaving = []
        context.actions.append(.cancelAll)
    }

    mutating func resume(_ context: inout HyperContext) {
        if case .suspended = phase { update(&context) }
    }

    /// Withdraws the announcements; reports ``HyperOutput/serverClosed(_:)`` when that is done.
    mutating func stop(_ context: inout HyperContext) {
        guard !isClosing else { return }
        isClosing = true
        let isSuspended = if case .suspended = phase { true } else { false }
        phase = .stopped
        context.actions.append(.cancelAll)
        leaving = []
        if !isSuspended { leave(generations[2], &context) }
        finishClosing(&context)
    }

    mutating func wake(_ context: inout HyperContext) {
        guard case .pausing(let until) = phase, until <= context.now else { return }
        let limit =
            relays.count < Announcer.relayCount ? Announcer.hurriedRoundCount : HyperTimes.announceRoundCount
        if wantsRefresh || round >= limit { update(&context) } else { ping(&context) }
    }

    // MARK: Update

    private mutating func update(_ context: inout HyperContext) {
        wantsRefresh = false
        generations = [generations[1], generations[2], []]
        phase = .searching
        context.actions.append(
            .findPeer(target: target, nodes: closestNodes, retryCount: RPCConstants.queryRetryCount))
    }

    mutating func queryFinished(_ result: RPCQueryResult, _ context: inout HyperContext) {
        guard case .searching = phase else { return }
        closestNodes = result.closestReplies.map(\.from.address)
        newRelays = []
        newAddresses = context.publicAddress.map { [$0] } ?? []
        candidates = result.closestReplies.filter { $0.token != nil && $0.from.id != nil }
        candidates = Array(candidates.prefix(Announcer.relayCount))
        guard !candidates.isEmpty else { return finishUpdate(&context) }
        phase = .announcing(pending: candidates.count)
        for (index, reply) in candidates.enumerated() {
            guard let token = reply.token, let nodeID = reply.from.id else { continue }
            let value = Announcement.signed(
                .announce, target: target, nodeID: nodeID, token: token, relayAddresses: [], keyPair: keyPair)
            context.actions.append(
                .call(
                    .announce(index),
                    .external(
                        .announce, to: reply.from.address, target: target, token: token, value: value.encoded)))
        }
    }

    mutating func announced(_ index: Int, reply: RPCReply?, _ context: inout HyperContext) {
        guard case .announcing(let pending) = phase, candidates.indices.contains(index) else { return }
        if let reply, reply.error == .ok {
            let node = candidates[index].from.address
            newRelays.append(RelayPath(relayAddress: node, peerAddress: candidates[index].to))
            if newAddresses.count < Announcer.relayCount { newAddresses.append(node) }
            generations[2].append(node)
        }
        phase = .announcing(pending: pending - 1)
        if pending == 1 { finishUpdate(&context) }
    }

    private mutating func finishUpdate(_ context: inout HyperContext) {
        relays = newRelays
        relayAddresses = newAddresses
        context.actions.append(.output(.announced(server, relayAddresses: relayAddresses)))
        leave(generations[1].filter { !generations[2].contains($0) }, &context)
        round = 0
        if context.isOnline {
            phase = .pausing(until: context.now + HyperTimes.announcePause)
        } else {
            phase = .offline
        }
    }

    // MARK: Upkeep

    private mutating func ping(_ context: inout HyperContext) {
        round += 1
        let nodes = generations[2]
        guard !nodes.isEmpty else {
            phase = .pausing(until: context.now + HyperTimes.announcePause)
            return
        }
        phase = .pinging(pending: nodes.count, answered: 0)
        for (index, node) in nodes.enumerated() {
            context.actions.append(.call(.relayPing(index), .ping(node)))
        }
    }

    mutating func pinged(_ reply: RPCReply?, _ context: inout HyperContext) {
        guard case .pinging(let pending, let answered) = phase else { return }
        let count = answered + (reply == nil ? 0 : 1)
        guard pending == 1 else {
            phase = .pinging(pending: pending - 1, answered: count)
            return
        }
        if count < min(generations[2].count, Announcer.relayCount) || wantsRefresh {
            update(&context)
        } else {
            phase = .pausing(until: context.now + HyperTimes.announcePause)
        }
    }

    // MARK: Withdrawal

    private mutating func leave(_ nodes: [SocketAddress], _ context: inout HyperContext) {
        for node in nodes where leaving.insert(node).inserted {
            context.actions.append(.call(.leaving(node), .external(.findPeer, to: node, target: target)))
        }
    }

    /// A relay that is to be left told its token, or did not answer.
    mutating func left(_ node: SocketAddress, token reply: RPCReply?, _ context: inout HyperContext) {
        guard leaving.contains(node) else { return }
        guard let reply, let token = reply.token, let nodeID = reply.from.id, reply.value != nil else {
            return left(node, &context)
        }
        let value = Announcement.signed(
            .unannounce, target: target, nodeID: nodeID, token: token, relayAddresses: [], keyPair: keyPair)
        context.actions.append(
            .call(.left(node), .external(.unannounce, to: node, target: target, token: token, value: value.encoded)))
    }

    /// A relay is left, as far as that can be known.
    mutating func left(_ node: SocketAddress, _ context: inout HyperContext) {
        leaving.remove(node)
        finishClosing(&context)
    }

    private func finishClosing(_ context: inout HyperContext) {
        if isClosing, leaving.isEmpty { context.actions.append(.output(.serverClosed(server))) }
    }
}
