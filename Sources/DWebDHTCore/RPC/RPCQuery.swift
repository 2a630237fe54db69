package import DWebBase

/// What happens once a query has found its closest nodes.
package enum RPCQueryCommit: Equatable, Sendable {
    /// Nothing.
    case none
    /// The same request again to each of them, with the token it gave.
    case automatic
    /// The upper layer is asked for each of them; see ``RPCOutput/commitNeeded(_:_:)``.
    case delegated
}

/// How a query runs; spec 20 section 6.
package struct RPCQueryOptions: Sendable {
    /// Nodes to begin with, nearest first. With fewer than 20 the table and the entry points are used as well.
    package var startNodes: [SocketAddress] = []
    /// Whether only ``startNodes`` are asked, and nodes they name are not.
    package var visitsOnlyStartNodes = false
    /// Whether the entry points are asked as well, even if there are nodes enough to begin with.
    package var asksEntryPoints = false
    /// Requests at a time; nil for the configuration's.
    package var concurrency: Int?
    /// Repetitions of each request.
    package var retries = RPCConstants.queryRetryCount
    /// Whether requests go out once, even while the congestion window is full.
    package var isForced = false
    /// Whether its requests are paced; see ``RPCRequestOptions/isPaced``.
    package var isPaced = false
    /// Whether they wait in front of the other paced ones; see ``RPCRequestOptions/isHurried``.
    package var isHurried = false
    /// What happens at the end.
    package var commit = RPCQueryCommit.none
    /// The most nodes that it is done at, the closest ones.
    package var commitLimit = RPCConstants.k
    /// A group to cancel its requests with; nil for one of its own, which ends with the query.
    package var session: RPCSessionID?

    /// The usual options.
    package init() {}
}

/// The search for the nodes closest to a target: whom to ask next and what was found; spec 20 section 6.
final class RPCQuery {
    enum Owner {
        case application
        case bootstrap
        case refresh
    }

    private struct Visit {
        /// The node's id, which its address implies; kept because most addresses are named often.
        let id: Bytes32
        var state: State
    }

    private enum State {
        /// Planned or asked; the last of ``referrals`` that named it, and how many did.
        case open(last: Int32, count: UInt8)
        case answered
        case down
    }

    /// One node named another: a link of a chain, since most addresses are named often and nobody asks by whom.
    private struct Referral {
        /// An index of ``referrers``.
        let referrer: Int32
        /// The referral of the same address before this one.
        let previous: Int32
    }

    private static let noReferral: Int32 = -1

    let id: QueryID
    let owner: Owner
    let target: Bytes32
    let command: RPCCommand
    let value: [UInt8]?
    let options: RPCQueryOptions
    let session: RPCSessionID
    var concurrency: Int

    var inFlightCount = 0
    var slowCount = 0
    var isSlowedDown = false
    var hasUsedTable = false
    var isResolving = false
    var isCommitting = false
    private(set) var successCount = 0
    private(set) var errorCount = 0
    private(set) var closest: [RPCReply] = []
    private var pending: [RPCContact] = []
    private var visits: [SocketAddress: Visit] = [:]
    private var referrers: [RPCContact] = []
    private var referrals: [Referral] = []

    var pendingCommits = 0
    var commitCount = 0

    init(
        id: QueryID, owner: Owner, target: Bytes32, command: RPCCommand, value: [UInt8]?, options: RPCQueryOptions,
        session: RPCSessionID, concurrency: Int
    ) {
        self.id = id
        self.owner = owner
        self.target = target
        self.command = command
        self.value = value
        self.options = options
        self.session = session
        self.concurrency = concurrency
        // Reversed, because the last one added is visited first.
        for address in options.startNodes.reversed() {
            let address = address.unmapped
            _ = plan(address, id: NodeID.of(address), referrer: nil, isStart: true)
        }
    }

    var ownsSession: Bool { options.session == nil }
    var pendingCount: Int { pending.count }

    /// The number of requests that may be in flight now.
    var requestLimit: Int { (isSlowedDown ? RPCConstants.slowdownConcurrency : concurrency) + slowCount }

    /// What became of naming a node to the query.
    enum Plan {
        /// It is as close as it must be: go on with the next one.
        case closer
        /// It is not: the rest of the list is not either.
        case notCloser
        /// As ``closer``, and it is known to be down, which its referrer should hear.
        case down
    }

    /// Plans a visit to the node at `address`, whose id is `id`, unless there was one.
    func plan(_ address: SocketAddress, id: Bytes32, referrer: RPCContact?, isStart: Bool = false) -> Plan {
        guard isStart || !options.visitsOnlyStartNodes else { return .notCloser }
        guard address.family == .ipv4, address.port != 0 else { return .closer }
        let isCloser = isCloser(id)
        switch visits[address]?.state {
        case .answered:
            return isCloser ? .closer : .notCloser
        case .down:
            if referrer != nil { return isCloser ? .down : .notCloser }
            return isCloser ? .closer : .notCloser
        case .open(let last, let count):
            if let referrer, count < RPCLimits.referrersPerAddress {
                visits[address]!.state = .open(last: refer(referrer, after: last), count: count + 1)
            }
            return isCloser ? .closer : .notCloser
        case nil:
            guard isCloser else { return .notCloser }
            guard visits.count < RPCLimits.addressesPerQuery else { return .closer }
            let none = RPCQuery.noReferral
            visits[address] = Visit(
                id: id,
                state: .open(
                    last: referrer.map { refer($0, after: none) } ?? none, count: referrer == nil ? 0 : 1))
            pending.append(RPCContact(address: address, id: id))
            return .closer
        }
    }

    /// The id of the node at `address` if it was named before.
    func knownID(of address: SocketAddress) -> Bytes32? { visits[address]?.id }

    private func refer(_ referrer: RPCContact, after previous: Int32) -> Int32 {
        // One answer names many nodes.
        if referrers.last != referrer { referrers.append(referrer) }
        referrals.append(Referral(referrer: Int32(referrers.count - 1), previous: previous))
        return Int32(referrals.count - 1)
    }

    /// The next node to visit, or nil.
    func nextVisit() -> RPCContact? {
        while let contact = pending.popLast() {
            if let id = contact.id, !isCloser(id) { continue }
            return contact
        }
        return nil
    }

    /// Whether a node with `id` would be among the closest.
    func isCloser(_ id: Bytes32) -> Bool {
        guard closest.count >= RPCConstants.k, let last = closest.last?.from.id else { return true }
        return id ^ target < last ^ target
    }

    /// Takes an answer of the node visited at `address`.
    func noteReply(_ reply: RPCReply, from address: SocketAddress) {
        visits[address]?.state = .answered
        guard !isCommitting else { return }
        guard reply.error == .ok else {
            errorCount += 1
            return
        }
        successCount += 1
        guard let id = reply.from.id, isCloser(id) else { return }
        let distance = id ^ target
        var low = 0
        var high = closest.count
        while low < high {
            let middle = (low + high) / 2
            if (closest[middle].from.id ?? .zero) ^ target < distance { low = middle + 1 } else { high = middle }
        }
        if low < closest.count, closest[low].from.id == id { return }
        // Whom it named is planned by then.
        closest.insert(reply.withoutCloserNodes, at: low)
        if closest.count > RPCConstants.k { closest.removeLast() }
    }

    /// Takes the failure of the visit to `address`; returns who named it if it is down.
    func noteFailure(_ failure: RPCFailure, at address: SocketAddress) -> [RPCContact] {
        errorCount += 1
        guard failure == .timeout else { return [] }
        let state = visits[address]?.state
        visits[address]?.state = .down
        guard case .open(var next, _) = state else { return [] }
        var found: [RPCContact] = []
        while next != RPCQuery.noReferral {
            let referral = referrals[Int(next)]
            found.append(referrers[Int(referral.referrer)])
            next = referral.previous
        }
        // The first who named it hears of it first.
        return found.reversed()
    }

    /// Takes note of one request that has its result.
    func noteRequestEnded(wasSlow: Bool) {
        inFlightCount -= 1
        if wasSlow { slowCount -= 1 }
    }
}
