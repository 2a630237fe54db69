import DWebBase
import DWebCrypto

/// One side's part in punching a path through two firewalls; spec 20 section 12.
///
/// It owns the punch sockets, learns how the network in front of them behaves, and sends the packets that open the
/// way. Rounds of talk between the two sides are the business of the connector and of the server's slot.
struct Puncher: Sendable {
    /// An address of the peer, and whether the peer proved to receive there.
    struct RemoteAddress: Sendable, Equatable {
        var address: SocketAddress
        var isVerified: Bool
    }

    /// What became of the puncher.
    enum Outcome: Sendable, Equatable {
        /// A packet came through.
        case connected(SocketID, SocketAddress)
        /// All packets are sent and none came.
        case exhausted
    }

    /// What the analysis of the networks says.
    enum Verdict: Sendable, Equatable {
        case pending
        case stable
        case unstable
    }

    private enum Plan: Sendable {
        case none
        case consistent(round: Int)
        case randomProbes(host: SocketAddress, left: Int)
        case birthdayOpening(remote: SocketAddress)
        case birthday(remote: SocketAddress, next: Int, left: Int, isFirstCycle: Bool)
    }

    private static let reopenLimit = 3
    // A busy machine wakes late: what is due then goes out at once, up to this much of it. The rest counts as sent, so that
    // a punch ends when it should.
    private static let catchUpLimit = Duration.milliseconds(400)
    // Opening all sockets of a birthday punch in one go would starve everything else on the loop.
    private static let birthdayBatchCount = 32

    let isInitiator: Bool
    private(set) var nat: NATView
    /// The socket that takes part in the rounds.
    private(set) var socket: SocketID
    private var extraSockets: [SocketID] = []
    private(set) var remoteFirewall: Firewall
    private(set) var remoteAddresses: [RemoteAddress] = []
    /// Whether the peer said that it punches.
    private(set) var isRemotePunching = false
    private(set) var isPunching = false
    private(set) var isConnected = false
    private(set) var isDestroyed = false
    private(set) var outcome: Outcome?
    private(set) var nextDeadline: MonotonicTime?
    private var plan = Plan.none
    private var reopenCount = 0
    private var isRandomized = false
    /// How this side punched, or ``PunchStrategy/passive`` if it has not begun.
    private(set) var strategy = PunchStrategy.passive

    init(isInitiator: Bool, remoteFirewall: Firewall, _ context: inout HyperContext) {
        self.isInitiator = isInitiator
        self.remoteFirewall = remoteFirewall
        nat = NATView(isFirewalled: context.isFirewalled)
        socket = context.bindSocket()
        sample(&context)
    }

    /// Whether nothing is left to do.
    var isDone: Bool { isConnected || isDestroyed }

    // MARK: Analysis

    /// A ping from a punch socket was answered, or not.
    mutating func sampled(_ socket: SocketID, reply: RPCReply?, _ context: inout HyperContext) {
        guard socket == self.socket, !isDestroyed else { return }
        if let reply { nat.add(reply.to, from: reply.from.address, isFirewalled: context.isFirewalled) }
        if nat.pingEnded() { sample(&context) }
    }

    /// `node` sees the punch socket at `address`.
    mutating func addSample(_ address: SocketAddress, from node: SocketAddress, _ context: HyperContext) {
        nat.add(address, from: node, isFirewalled: context.isFirewalled)
    }

    mutating func freeze() { nat.freeze() }

    private var isUnstable: Bool {
        remoteFirewall == .random && nat.firewall == .random || nat.firewall == .unknown
    }

    /// Whether the two networks can be punched through; tries up to three other sockets if `allowsReopening`.
    mutating func verdict(allowsReopening: Bool, _ context: inout HyperContext) -> Verdict {
        guard nat.isAnalyzed else { return .pending }
        // A socket whose samples got lost is replaced too: that the next one turns out random is no reason to give up,
        // as long as the peer's side is not random as well.
        guard isUnstable else { return .stable }
        guard allowsReopening, !isPunching, !isDone, reopenCount < Puncher.reopenLimit else { return .unstable }
        reopenCount += 1
        context.actions.append(.releaseSocket(socket))
        socket = context.bindSocket()
        nat = NATView(isFirewalled: context.isFirewalled)
        sample(&context)
        return nat.isAnalyzed ? verdict(allowsReopening: true, &context) : .pending
    }

    private mutating func sample(_ context: inout HyperContext) {
        while !nat.isAnalyzed {
            let nodes = nat.nextNodes(among: context.recentNodes)
            for node in nodes {
                context.actions.append(.call(.natSample(socket), .ping(node, socket: socket, retryCount: 0)))
            }
            if !nodes.isEmpty { return }
        }
    }

    // MARK: Talk

    /// The peer described itself; `verifiedHost` is an address of it whose token it echoed.
    mutating func updateRemote(
        isPunching: Bool, firewall: Firewall, addresses: [SocketAddress]?, verified: SocketAddress?
    ) {
        let known = remoteAddresses
        remoteAddresses = (addresses ?? []).prefix(HyperLimits.peerAddressCount).map { address in
            let isVerified =
                verified?.hasSameHost(as: address) == true
                || known.contains { $0.isVerified && $0.address.hasSameHost(as: address) }
            return RemoteAddress(address: address, isVerified: isVerified)
        }
        remoteFirewall = firewall
        isRemotePunching = isPunching
    }

    func ping(_ address: SocketAddress, _ context: inout HyperContext) {
        context.punch(address, from: socket, isLowTimeToLive: false)
    }

    func openSession(_ address: SocketAddress, _ context: inout HyperContext) {
        context.punch(address, from: socket, isLowTimeToLive: true)
    }

    // MARK: Punching

    /// Starts to punch. Returns whether that is possible at all.
    mutating func punch(_ context: inout HyperContext) -> Bool {
        if isPunching { return true }
        guard !isDone, !remoteAddresses.isEmpty else { return false }
        let remote = Puncher.coerced(remoteFirewall)
        let verified = remoteAddresses.first { $0.isVerified }?.address
        switch (Puncher.coerced(nat.firewall), remote) {
        case (.consistent, .consistent):
            plan = .consistent(round: 0)
            strategy = .consistent
            // The server just answered with a ping of its own.
            nextDeadline = isInitiator ? context.now : context.now + HyperTimes.consistentPunchInterval
        case (.consistent, .random):
            guard let verified else { return false }
            plan = .randomProbes(host: verified, left: HyperLimits.randomPunchPacketCount)
            strategy = .randomProbes
            nextDeadline = context.now
            beginRandomized(&context)
        case (.random, .consistent):
            guard let verified else { return false }
            plan = .birthdayOpening(remote: verified)
            strategy = .birthday
            nextDeadline = context.now
            beginRandomized(&context)
        case (.random, _), (_, .unknown), (.unknown, _), (.open, _), (_, .open):
            return false
        }
        isPunching = true
        wake(&context)
        return true
    }

    mutating func wake(_ context: inout HyperContext) {
        while let due = nextDeadline, due <= context.now, isPunching { step(due, &context) }
    }

    /// When the packet after the one due at `due` is due, and how many could not be sent in time.
    private static func next(after due: MonotonicTime, _ context: HyperContext) -> (time: MonotonicTime, lost: Int) {
        let interval = HyperTimes.randomPunchPacketInterval
        let lag = context.now - due - catchUpLimit
        let lost = lag > .zero ? Int(lag.wholeNanoseconds / interval.wholeNanoseconds) : 0
        return (due + interval * (lost + 1), lost)
    }

    private mutating func step(_ due: MonotonicTime, _ context: inout HyperContext) {
        switch plan {
        case .none:
            nextDeadline = nil
        case .consistent(let round):
            guard round < HyperTimes.consistentPunchRoundCount else { return exhaust(&context) }
            for remote in remoteAddresses where remote.isVerified || (round + 1) & 3 == 0 {
                context.punch(remote.address, from: socket, isLowTimeToLive: false)
            }
            plan = .consistent(round: round + 1)
            nextDeadline = context.now + HyperTimes.consistentPunchInterval
        case .randomProbes(let host, let left):
            guard left > 0 else { return exhaust(&context) }
            let port = UInt16.random(in: 1000...65535, using: &context.random)
            context.punch(host.with(port: port), from: socket, isLowTimeToLive: false)
            let (time, lost) = Puncher.next(after: due, context)
            plan = .randomProbes(host: host, left: left - 1 - lost)
            nextDeadline = time
        case .birthdayOpening(let remote):
            for _ in 0..<Puncher.birthdayBatchCount
            where extraSockets.count + 1 < HyperLimits.birthdaySocketCount {
                let extra = context.bindSocket()
                extraSockets.append(extra)
                context.punch(remote, from: extra, isLowTimeToLive: true)
            }
            if extraSockets.count + 1 < HyperLimits.birthdaySocketCount {
                nextDeadline = context.now + HyperTimes.randomPunchPacketInterval
            } else {
                plan = .birthday(
                    remote: remote, next: 0, left: HyperLimits.randomPunchPacketCount, isFirstCycle: true)
                nextDeadline = context.now + HyperTimes.birthdayPause
            }
        case .birthday(let remote, var next, let left, var isFirstCycle):
            guard left > 0 else { return exhaust(&context) }
            if next > extraSockets.count {
                next = 0
                isFirstCycle = false
            }
            let from = next == 0 ? socket : extraSockets[next - 1]
            context.punch(remote, from: from, isLowTimeToLive: isFirstCycle)
            let (time, lost) = Puncher.next(after: due, context)
            plan = .birthday(remote: remote, next: next + 1, left: left - 1 - lost, isFirstCycle: isFirstCycle)
            nextDeadline = time
        }
    }

    /// Whether `socket` is one of the punch sockets.
    func owns(_ socket: SocketID) -> Bool {
        !isDestroyed && (socket == self.socket || extraSockets.contains(socket))
    }

    /// A one-byte packet arrived on one of the punch sockets.
    mutating func punched(on socket: SocketID, from address: SocketAddress, _ context: inout HyperContext) {
        guard owns(socket) else { return }
        guard isInitiator else {
            context.punch(address, from: socket, isLowTimeToLive: false)
            return
        }
        guard !isConnected else { return }
        isConnected = true
        stop(&context)
        outcome = .connected(socket, address)
    }

    /// Ends everything and releases all sockets but `kept`, which now belongs to the stream.
    mutating func destroy(keeping kept: SocketID? = nil, _ context: inout HyperContext) {
        guard !isDestroyed else { return }
        stop(&context)
        isDestroyed = true
        for one in [socket] + extraSockets {
            context.actions.append(one == kept ? .handOverSocket(one) : .releaseSocket(one))
        }
        extraSockets = []
    }

    /// Takes the outcome, once.
    mutating func takeOutcome() -> Outcome? {
        defer { outcome = nil }
        return outcome
    }

    private mutating func exhaust(_ context: inout HyperContext) {
        stop(&context)
        outcome = .exhausted
    }

    private mutating func stop(_ context: inout HyperContext) {
        isPunching = false
        plan = .none
        nextDeadline = nil
        if isRandomized {
            isRandomized = false
            context.randomPunches.end(now: context.now)
        }
    }

    private mutating func beginRandomized(_ context: inout HyperContext) {
        isRandomized = true
        context.randomPunches.begin()
    }

    private static func coerced(_ firewall: Firewall) -> Firewall { firewall == .open ? .consistent : firewall }
}
