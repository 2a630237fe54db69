public import DWebBase
import DWebCrypto
import DWebDatabase
public import DWebDrive
import DWebNetworker
import DWebStore
import DWebSwarm

extension Daemon {
    /// The daemon as a whole.
    public func status() async -> DaemonStatus {
        var status = DaemonStatus(publicKey: networker.keyPair.publicKey)
        let diagnostics = await networker.swarm.diagnostics
        status.localAddress = diagnostics.node.serverAddress
        status.publicAddress = diagnostics.node.publicAddress
        status.isOnline = diagnostics.node.isOnline
        status.isBootstrapped = diagnostics.node.isBootstrapped
        status.isFirewalled = diagnostics.node.isFirewalled
        status.routingTableCount = diagnostics.node.nodeCount
        status.connectedPeerCount = store.connectionCount
        status.connectingPeerCount = diagnostics.connectingCount
        status.seedCount = seeds.count
        status.completeSeedCount = seeds.values.count { $0.isWhole }
        status.topicCount = applied.values.count { $0.announce || $0.lookup }
        status.storedByteCount = seeds.values.reduce(0) { $0 &+ $1.storedByteCount }
        status.freeByteCount = freeByteCount
        status.downloadedByteCount = totals.downloadedByteCount
        status.uploadedByteCount = totals.uploadedByteCount
        status.downloadRate = totals.downloadRate
        status.uploadRate = totals.uploadRate
        status.openLogCount = store.openLogCount
        status.limits = await state.limits
        await addProblems(to: &status, isNetworkUsed: diagnostics.node.serverAddress != nil, diagnostics.node)
        return status
    }

    private func addProblems(to status: inout DaemonStatus, isNetworkUsed: Bool, _ node: DHTDiagnostics) async {
        if let failure = await state.failure {
            status.health = .readOnly
            status.problems.append(failure)
        }
        if let storeFailure {
            status.health = .readOnly
            status.problems.append("The store refused a write: \(storeFailure). Restart the daemon once it is mended")
        }
        if isPaused {
            status.problems.append("The disk is nearly full: nothing is downloaded until there is space")
        }
        if isNetworkUsed, !node.isOnline {
            status.problems.append("The network does not answer")
        } else if isNetworkUsed, node.isDegraded {
            status.problems.append("Most requests to the network go unanswered")
        }
        let evicted = seeds.values.count { $0.isResolved && !$0.isAdmitted }
        if evicted > 0 { status.problems.append("There is no room for \(evicted) of the seeds") }
        let failed = seeds.values.count { $0.problem != nil }
        if failed > 0 { status.problems.append("\(failed) of the seeds cannot be seeded") }
        if status.health == .healthy, !status.problems.isEmpty { status.health = .degraded }
    }

    /// What is done for every log that was configured or is seeded.
    public func topics() async -> [TopicStatus] {
        let statuses = await networker.statuses
        let keys = Set(configured.keys).union(seedTopics.keys).union(applied.keys)
        return keys.sorted().compactMap { key in
            guard let setting = setting(key) else { return nil }
            return TopicStatus(
                discoveryKey: key, setting: setting, isJoined: statuses[key]?.isJoined ?? false,
                isFlushed: statuses[key]?.isFlushed ?? false, seed: seedTopics[key])
        }
    }

    /// The seeds, in the order of their keys.
    ///
    /// - Parameter keys: Only these; nil for all.
    public func seedStatuses(_ keys: Set<PublicKey>? = nil) async -> [SeedStatus] {
        var result: [SeedStatus] = []
        for key in seeds.keys.sorted() where keys?.contains(key) ?? true {
            guard let seed = seeds[key] else { continue }
            var holders: [SeedHolder] = []
            if seed.logs.contains(where: { $0.database.peerCount > 0 }) { holders = await self.holders(of: seed) }
            let statistics = seed.logs.map(\.database.statistics)
            result.append(
                SeedStatus(
                    key: key, discoveryKey: seed.discoveryKey, kind: seed.kind, priority: seed.record.priority,
                    note: seed.record.note, state: seed.state(isPaused: isPaused), problem: seed.problem,
                    addedMilliseconds: seed.record.addedMilliseconds,
                    lastActiveMilliseconds: seed.record.lastActiveMilliseconds, isDirect: seed.record.isDirect,
                    lists: seed.record.lists, blockCount: seed.blockCount, storedBlockCount: seed.storedBlockCount,
                    byteCount: seed.byteCount, storedByteCount: seed.storedByteCount,
                    downloadedByteCount: statistics.reduce(0) { $0 + $1.downloadedByteCount },
                    uploadedByteCount: statistics.reduce(0) { $0 + $1.uploadedByteCount }, holders: holders))
        }
        return result
    }

    /// Who exchanges a seed, and what they hold of it.
    private func holders(of seed: ActiveSeed) async -> [SeedHolder] {
        var stored: [PublicKey: (blocks: UInt64, completeLogs: Int)] = [:]
        for log in seed.logs {
            for peer in (try? await log.database.peers()) ?? [] {
                guard let key = peer.publicKey else { continue }
                var entry = stored[key] ?? (0, 0)
                entry.blocks += peer.contiguousLength
                if peer.isKnown, peer.contiguousLength >= log.database.length { entry.completeLogs += 1 }
                stored[key] = entry
            }
        }
        return stored.keys.sorted().prefix(DaemonConstants.holderCount).map { key in
            let entry = stored[key] ?? (0, 0)
            return SeedHolder(
                publicKey: key, storedBlockCount: entry.blocks,
                isComplete: seed.isResolved && entry.completeLogs == seed.logs.count)
        }
    }

    /// The peers that are connected or known, connected ones first, each in the order of keys.
    public func peers() async -> [DaemonPeer] {
        let streams = await networker.streams
        let known = await networker.swarm.peers
        var result: [PublicKey: DaemonPeer] = [:]
        for peer in known {
            result[peer.publicKey] = DaemonPeer(
                publicKey: peer.publicKey, address: nil, isInitiator: false, state: peer.status.description,
                lastFailure: peer.lastFailure, topics: peer.topics.map { DiscoveryKey($0.bytes32) })
        }
        for stream in streams {
            let key = stream.peer.publicKey
            result[key] = DaemonPeer(
                publicKey: key, address: stream.peer.address, isInitiator: stream.isInitiator,
                state: stream.isInitiator ? "connected, dialled by this node" : "connected, dialled by the peer",
                lastFailure: nil, topics: result[key]?.topics ?? [])
        }
        for seed in seeds.values {
            for log in seed.logs where log.database.peerCount > 0 {
                for peer in (try? await log.database.peers()) ?? [] {
                    guard let key = peer.publicKey, var known = result[key] else { continue }
                    known.downloadedByteCount += peer.statistics.downloadedByteCount
                    known.uploadedByteCount += peer.statistics.uploadedByteCount
                    known.roundTripTime = known.roundTripTime ?? peer.roundTripTime
                    result[key] = known
                }
            }
        }
        return result.values.sorted {
            $0.isConnected != $1.isConnected ? $0.isConnected : $0.publicKey < $1.publicKey
        }
    }

    /// What moved lately.
    public var trafficHistory: TrafficHistory { history }

    /// What happens from now on. A consumer that falls too far behind misses the oldest.
    public nonisolated func events() -> DaemonEvents { hub.listen() }

    /// A seeded drive, to be read; nil if the key is no drive that is seeded, or not known to be one yet.
    public func drive(_ key: PublicKey) -> DDrive? { seeds[key]?.drive }

    // MARK: Limits

    /// The limits.
    public var limits: SeedLimits { get async { await state.limits } }

    /// Changes the limits; returns once the change is on the medium.
    ///
    /// A smaller limit of bytes gives up seeds at once, those of the lowest priority first.
    ///
    /// - Throws: ``DaemonError`` with code `invalidArgument`, `readOnly` or `closed`.
    public func setLimits(_ limits: SeedLimits) async throws(DaemonError) {
        try checkRunning()
        guard (1...100_000).contains(limits.peerCount) else {
            throw DaemonError(.invalidArgument, "The number of peers is from 1 to 100000")
        }
        guard (0...1_000_000).contains(limits.seedCount) else {
            throw DaemonError(.invalidArgument, "The number of seeds is from 0 to 1000000")
        }
        try await state.setLimits(limits)
        totals.limits = limits
        replan()
    }
}
