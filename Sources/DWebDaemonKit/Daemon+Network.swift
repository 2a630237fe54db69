public import DWebBase
import DWebNetworker

extension Daemon {
    /// Sets what is done on the network for a log, by its discovery key. Neither to announce nor to look up means to
    /// leave it, unless it belongs to a seed.
    ///
    /// Returns once the setting is on the medium, if it is to be remembered; joining goes on afterwards.
    ///
    /// - Throws: ``DaemonError`` with code `limitReached`, `readOnly` or `closed`.
    public func configure(_ discoveryKey: DiscoveryKey, _ setting: TopicSetting) async throws(DaemonError) {
        try checkRunning()
        let isLeaving = !setting.announce && !setting.lookup
        if !isLeaving, configured[discoveryKey] == nil, configured.count >= DaemonConstants.topicCount {
            throw DaemonError(
                .limitReached, "\(DaemonConstants.topicCount) topics are configured, which is the limit")
        }
        try await state.setTopic(discoveryKey, isLeaving || !setting.remember ? nil : setting)
        configured[discoveryKey] = isLeaving ? nil : setting
        updateTopic(discoveryKey)
    }

    /// What is done for a log altogether: as configured, and as its seed needs it.
    func setting(_ discoveryKey: DiscoveryKey) -> TopicSetting? {
        var setting = configured[discoveryKey]
        if let key = seedTopics[discoveryKey], let seed = seeds[key], seed.wantsNetwork {
            setting = setting ?? TopicSetting(announce: false, lookup: false, remember: false)
            setting?.announce = true
            setting?.lookup = true
        }
        return setting
    }

    /// Makes the network do what is set for a log.
    func updateTopic(_ discoveryKey: DiscoveryKey) {
        guard setting(discoveryKey) != applied[discoveryKey] else { return }
        // One job per topic: it goes on until what is done is what is set.
        start(.join(discoveryKey)) { [weak self] in await self?.applyTopic(discoveryKey) }
    }

    private func applyTopic(_ discoveryKey: DiscoveryKey) async {
        var wait = DaemonConstants.retryInterval.first
        while !Task.isCancelled {
            let wanted = setting(discoveryKey)
            guard wanted != applied[discoveryKey] else {
                // In the same step, so that a change right after this one begins anew.
                work[.join(discoveryKey)] = nil
                return
            }
            var failure: SwarmNetworkerError?
            await withJoinPermit {
                do throws(SwarmNetworkerError) {
                    try await networker.configure(
                        discoveryKey, announce: wanted?.announce ?? false, lookup: wanted?.lookup ?? false)
                } catch {
                    failure = error
                }
            }
            if failure == nil {
                applied[discoveryKey] = wanted
            } else {
                await pause(wait)
                wait = min(wait * 2, DaemonConstants.retryInterval.last)
            }
        }
    }

    /// Passes on what the network tells.
    func note(_ event: SwarmNetworker.Event) {
        switch event {
        case .joined(let key): hub.send(.topicJoined(key))
        case .peerAdded(let peer): hub.send(.peerAdded(peer.publicKey))
        case .peerRemoved(let peer): hub.send(.peerRemoved(peer.publicKey))
        case .replicationError(let key, let reason):
            hub.send(.problem("The peer \(key.text.prefix(8)) was dropped: \(reason)"))
        case .flushed, .handshake, .streamClosed: break
        }
    }
}
