import DWeb
import DWebEssentials

/// Announces a log, and says when its key is worth giving away.
struct Announcement: Sendable {
    /// How long nodes of the network get for their first word. One that is there answers within a second.
    private static let silenceLimit = Duration.seconds(1)
    private static let lookInterval = Duration.milliseconds(50)

    private enum Outcome: Sendable {
        case joined
        case silence
    }

    let discoveryKey: DiscoveryKey
    let networker: SwarmNetworker
    /// The daemon of this machine: it answers like any node, and is not the network.
    var neighbor: SocketAddress?

    /// Announces, and calls `ready` once: as soon as peers can find the log, or as soon as it is plain that no node of
    /// the network answers. Goes on announcing in that case, and returns when that is done.
    ///
    /// - Parameter ready: Gets whether peers can find the log through the network.
    /// - Throws: What the networker and `ready` throw.
    func make(_ console: Console, ready: @Sendable (Bool) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Outcome.self) { group in
            group.addTask {
                try await networker.join(discoveryKey, announce: true, lookup: false, flush: false)
                return .joined
            }
            group.addTask {
                try await noticeSilence()
                return .silence
            }
            defer { group.cancelAll() }
            let first = try await group.next() ?? .joined
            switch first {
            case .joined: try await ready(await hasNetwork)
            case .silence:
                try await ready(false)
                let who = await isAlone ? "nobody" : "only peers in the local network"
                console.say("No node of the network answers, so \(who) can find it yet: 'dweb doctor' says more.")
                _ = try await group.next()
                if await hasNetwork { console.say("The network answers: it can be found now.") }
            }
        }
    }

    /// Returns once it is plain that nobody answers; with the task cancelled, if somebody does.
    private func noticeSilence() async throws {
        _ = try await networker.swarm.started()
        let deadline = ContinuousClock.now + Announcement.silenceLimit
        while true {
            if await hasNetwork {
                // The other task ends this one.
                try await Task.sleep(for: .seconds(86_400))
            }
            let isHopeless = await isAlone
            if isHopeless || ContinuousClock.now >= deadline { return }
            try await Task.sleep(for: Announcement.lookInterval)
        }
    }

    /// Whether any node has answered but this machine's daemon.
    private var hasNetwork: Bool {
        get async { await networker.swarm.dht.diagnostics.natSamples.contains { !isNeighbor($0.node) } }
    }

    private func isNeighbor(_ node: SocketAddress) -> Bool {
        node.port == neighbor?.port
            && networker.swarm.dht.runtime.network.interfaceAddresses().contains {
                $0.address.family == .ipv4 && $0.address.ipv4Number == node.ipv4Number
            }
    }

    /// Whether this machine has no address but loopback, and the network is not there.
    private var isAlone: Bool {
        get async {
            let address = await networker.localAddress
            if let address, address.ipv4Number >> 24 == 127 { return false }
            return !networker.swarm.dht.runtime.network.interfaceAddresses().contains { !$0.isLoopback }
        }
    }
}
