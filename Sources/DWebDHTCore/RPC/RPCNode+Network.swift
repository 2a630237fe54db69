package import DWebBase
import HeapModule

/// A check in progress of whether the node can be reached and become persistent; spec 20 section 5.4.
struct NetworkUpdate {
    enum Continuation {
        case bootstrap
        case none
    }

    let isFirewallOnly: Bool
    /// The public address when the check began; it must not change meanwhile.
    let address: SocketAddress
    let continuation: Continuation
    var probe = FirewallProbe()
}

/// The nodes asked to answer to the server socket; spec 20 section 5.3.
struct FirewallProbe {
    struct Target {
        let address: SocketAddress
        /// Whether a datagram from its host came in on the server socket.
        var reachedServerSocket = false
    }

    var targets: [Target] = []
    var replies: [RPCReply] = []
    var missing = 0
}

/// How far the search for the node's own place has come; spec 20 section 5.2.
struct BootstrapProgress {
    var round = 0
    var awaitsFirstReply = false
    var hasPassedNATTest = false
}

/// A round of finding out the entry points' addresses.
struct BootstrapResolution {
    let sequence: UInt64
    var addresses: [SocketAddress?]
    /// Entry points that are being pinged, by index.
    var pings = 0
    /// Entry points whose name is being looked up, by index.
    var lookups: [(index: Int, host: String)] = []
    var queries: [QueryID] = []
    var isWantedByProbe = false
}

extension RPCNode {
    private static let resolutionTimeout = Duration.milliseconds(10000)

    // MARK: Bootstrap

    func startBootstrap(now: MonotonicTime) {
        bootstrap = BootstrapProgress()
        bootstrap.awaitsFirstReply =
            isFirewalled && configuration.isQuickFirewallTestEnabled && configuration.mode != .persistent
        startBackgroundQuery(target: table.id, owner: .bootstrap, now: now)
    }

    /// The first answer of all: asks its sender to answer to the server socket too.
    func noteBootstrapReply(_ reply: RPCReply, now: MonotonicTime) {
        guard bootstrap.awaitsFirstReply else { return }
        bootstrap.awaitsFirstReply = false
        startRequest(.pingNAT, value: portValue, to: reply.from, owner: .bootstrapNATTest, now: now)
    }

    /// A node reached the server socket, which had sent nothing to it: worth the whole test of the firewall.
    func natTestPassed(now: MonotonicTime) {
        bootstrap.hasPassedNATTest = true
        // In a small network the search is over before the answer is here.
        guard isBootstrapped, isFirewalled else { return }
        updateNetworkState(isFirewallOnly: true, continuation: .none, now: now)
    }

    func bootstrapQueryFinished(now: MonotonicTime) {
        let isForced = configuration.mode == .persistent
        guard !isBootstrapped, bootstrap.hasPassedNATTest || isForced else {
            finishBootstrap()
            return
        }
        updateNetworkState(isFirewallOnly: !isForced, continuation: .bootstrap, now: now)
    }

    private func bootstrapUpdateFinished(isChanged: Bool, now: MonotonicTime) {
        bootstrap.round += 1
        if isChanged, bootstrap.round < 2 {
            startBackgroundQuery(target: table.id, owner: .bootstrap, now: now)
        } else {
            finishBootstrap()
        }
    }

    private func finishBootstrap() {
        guard !isBootstrapped else { return }
        isBootstrapped = true
        outputs.append(.event(.bootstrapped))
    }

    // MARK: State

    /// Tests again whether strangers can reach the node, if it must assume that they cannot; spec 20 section 5.3.
    package func testReachability(now: MonotonicTime) {
        guard phase == .running else { return }
        updateNetworkState(isFirewallOnly: true, continuation: .none, now: now)
        settle(now: now)
    }

    /// Whether a test of the reachability runs.
    package var isTestingReachability: Bool { networkUpdate != nil }

    func checkStability(now: MonotonicTime) {
        let isSameHost =
            switch (sampler.address, lastCheckedAddress) {
            case (nil, nil): true
            case (let address?, let checked?): address.hasSameHost(as: checked)
            case (nil, _?), (_?, nil): false
            }
        if isSameHost {
            stableTicks = RPCConstants.moreStableTicks
        } else {
            updateNetworkState(isFirewallOnly: false, continuation: .none, now: now)
        }
    }

    func updateNetworkState(isFirewallOnly: Bool, continuation: NetworkUpdate.Continuation, now: MonotonicTime) {
        guard isEphemeral, networkUpdate == nil, !isFirewallOnly || isFirewalled else {
            endNetworkUpdate(continuation, isChanged: false, now: now)
            return
        }
        if !isFirewallOnly {
            stableTicks = RPCConstants.moreStableTicks
            lastCheckedAddress = sampler.address
        }
        guard let address = sampler.address, address.port != 0 else {
            endNetworkUpdate(continuation, isChanged: false, now: now)
            return
        }
        networkUpdate = NetworkUpdate(
            isFirewallOnly: isFirewallOnly, address: address, continuation: continuation)
        if isFirewalled {
            startFirewallProbe(now: now)
        } else {
            finishNetworkUpdate(probeSampler: nil, now: now)
        }
    }

    /// The node is reachable, if `probeSampler` is nil or agrees: adopts its address.
    private func finishNetworkUpdate(probeSampler: NATSampler?, now: MonotonicTime) {
        guard let update = networkUpdate else { return }
        networkUpdate = nil
        isFirewalled = false
        let newSampler = probeSampler ?? sampler
        guard isEphemeral, sampler.address == update.address, let address = newSampler.address, address.port != 0,
            address.hasSameHost(as: update.address)
        else {
            endNetworkUpdate(update.continuation, isChanged: false, now: now)
            return
        }
        if !update.isFirewallOnly { isEphemeral = false }
        if let probeSampler {
            sampledBootstrapNodes = []
            let before = sampler.address
            sampler = probeSampler
            if before != sampler.address { outputs.append(.event(.publicAddressChanged(sampler.address))) }
        }
        let newID = NodeID.of(address)
        if table.id != newID {
            table = table.rebuilt(around: newID)
            if isBootstrapped { refresh(now: now) }
        }
        if !isEphemeral { outputs.append(.event(.persistent)) }
        endNetworkUpdate(update.continuation, isChanged: true, now: now)
    }

    private func endNetworkUpdate(_ continuation: NetworkUpdate.Continuation, isChanged: Bool, now: MonotonicTime) {
        switch continuation {
        case .bootstrap: bootstrapUpdateFinished(isChanged: isChanged, now: now)
        case .none: break
        }
    }

    // MARK: Firewall

    private var portValue: [UInt8] { [UInt8(truncatingIfNeeded: serverPort), UInt8(serverPort >> 8)] }

    private func startFirewallProbe(now: MonotonicTime) {
        let known = table.latestNodes(limit: RPCConstants.firewallProbeNodes)
        networkUpdate!.probe.targets = known.map { FirewallProbe.Target(address: $0.address) }
        if known.count >= RPCConstants.firewallProbeNodes {
            askProbeTargets(now: now)
        } else {
            resolveBootstrapNodes(for: nil, now: now)
        }
    }

    private func askProbeTargets(now: MonotonicTime) {
        guard let probe = networkUpdate?.probe else { return }
        guard !probe.targets.isEmpty else {
            failNetworkUpdate(now: now)
            return
        }
        networkUpdate!.probe.missing = probe.targets.count
        for target in probe.targets {
            startRequest(
                .pingNAT, value: portValue, to: RPCContact(address: target.address), owner: .firewallProbe, now: now)
        }
    }

    /// Notes where datagrams on the server socket come from, which is what a firewall would prevent.
    func noteServerDatagram(from source: SocketAddress) {
        guard networkUpdate != nil else { return }
        for index in networkUpdate!.probe.targets.indices
        where networkUpdate!.probe.targets[index].address.hasSameHost(as: source) {
            networkUpdate!.probe.targets[index].reachedServerSocket = true
        }
    }

    func firewallProbeFinished(_ result: Result<RPCReply, RPCFailure>, now: MonotonicTime) {
        guard networkUpdate != nil else { return }
        if case .success(let reply) = result { networkUpdate!.probe.replies.append(reply) }
        networkUpdate!.probe.missing -= 1
        guard networkUpdate!.probe.missing == 0, let probe = networkUpdate?.probe else { return }
        var probeSampler = NATSampler()
        var count = 0
        for reply in probe.replies
        where probe.targets.contains(where: {
            $0.reachedServerSocket && $0.address.hasSameHost(as: reply.from.address)
        }) {
            count += 1
            probeSampler.add(reply.to)
        }
        let needed = probe.targets.count >= RPCConstants.firewallProbeNodes ? 3 : 1
        guard count >= needed, let address = probeSampler.address, let own = sampler.address,
            address.hasSameHost(as: own), address.port == serverPort
        else {
            failNetworkUpdate(now: now)
            return
        }
        finishNetworkUpdate(probeSampler: probeSampler, now: now)
    }

    private func failNetworkUpdate(now: MonotonicTime) {
        guard let update = networkUpdate else { return }
        networkUpdate = nil
        endNetworkUpdate(update.continuation, isChanged: false, now: now)
    }

    // MARK: Entry points

    /// Finds out the entry points' addresses for a query, or for the firewall test if nil.
    func resolveBootstrapNodes(for query: QueryID?, now: MonotonicTime) {
        if resolution == nil { beginResolution(now: now) }
        if let query { resolution!.queries.append(query) } else { resolution!.isWantedByProbe = true }
        endResolutionIfComplete(now: now)
    }

    private func beginResolution(now: MonotonicTime) {
        let sequence = makeSequence()
        var begun = BootstrapResolution(
            sequence: sequence, addresses: Array(repeating: nil, count: configuration.bootstrapNodes.count))
        for (index, node) in configuration.bootstrapNodes.enumerated() {
            guard let host = node.host else {
                begun.addresses[index] = node.address
                continue
            }
            if let address = node.address {
                begun.pings += 1
                startRequest(
                    .ping, to: RPCContact(address: address), owner: .bootstrapPing(index: index), now: now)
            } else {
                begun.lookups.append((index, host))
                outputs.append(.resolveHost(host))
            }
        }
        resolution = begun
        limitResolutionTime(now: now)
    }

    private func limitResolutionTime(now: MonotonicTime) {
        guard let resolution, !resolution.lookups.isEmpty else { return }
        timers.insert(
            RPCTimer(
                deadline: now + RPCNode.resolutionTimeout, sequence: makeSequence(),
                kind: .hostResolution(resolution.sequence)))
    }

    func bootstrapPingFinished(
        _ index: Int, destination: RPCContact, _ result: Result<RPCReply, RPCFailure>, now: MonotonicTime
    ) {
        guard resolution != nil, resolution!.addresses.indices.contains(index) else { return }
        resolution!.pings -= 1
        switch result {
        case .success:
            resolution!.addresses[index] = destination.address
        case .failure:
            if let host = configuration.bootstrapNodes[index].host {
                resolution!.lookups.append((index, host))
                outputs.append(.resolveHost(host))
                limitResolutionTime(now: now)
            }
        }
        endResolutionIfComplete(now: now)
    }

    /// Answers ``RPCOutput/resolveHost(_:)``; no addresses for a name that was not found.
    package func hostResolved(_ host: String, addresses: [SocketAddress], now: MonotonicTime) {
        guard resolution != nil else { return }
        let address = addresses.first { $0.family == .ipv4 }
        for (index, name) in resolution!.lookups where name == host {
            resolution!.addresses[index] = address?.with(port: configuration.bootstrapNodes[index].port)
        }
        resolution!.lookups.removeAll { $0.host == host }
        endResolutionIfComplete(now: now)
        settle(now: now)
    }

    func resolutionTimedOut(now: MonotonicTime) {
        resolution?.lookups.removeAll()
        endResolutionIfComplete(now: now)
    }

    private func endResolutionIfComplete(now: MonotonicTime) {
        guard let ended = resolution, ended.pings == 0, ended.lookups.isEmpty else { return }
        resolution = nil
        let addresses = ended.addresses.compactMap { $0 }
        for query in ended.queries { addBootstrapNodes(addresses, to: query, now: now) }
        if ended.isWantedByProbe, networkUpdate != nil {
            networkUpdate!.probe.targets += addresses.map { FirewallProbe.Target(address: $0) }
            askProbeTargets(now: now)
        }
    }
}
