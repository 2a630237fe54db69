package import DWebBase

extension RPCNode {
    /// Adds a node known from elsewhere to the table, as if it had been heard now; its filter and full rows apply.
    package func addNode(_ address: SocketAddress) {
        let address = address.unmapped
        guard address.family == .ipv4, address.port != 0, accepts(address) else { return }
        _ = table.insert(TableNode(id: NodeID.of(address), address: address, tick: tick))
    }

    func accepts(_ address: SocketAddress) -> Bool { configuration.nodeFilter?(address) ?? true }

    // MARK: Learning

    /// Takes in what a message says about its sender and about us; spec 20 section 4.
    func learn(_ contact: RPCContact, seenAs to: SocketAddress, isExternal: Bool, now: MonotonicTime) {
        guard accepts(contact.address) else { return }
        guard let id = contact.id else {
            sampleBootstrapNode(contact.address, seenAs: to)
            return
        }
        guard let known = table.node(id) else {
            insert(contact, seenAs: to, now: now)
            return
        }
        let isSampled =
            !isExternal && (known.sampledTick == 0 || tick - known.sampledTick >= RPCConstants.oldTicks)
        table.update(id) {
            $0.pingedTick = tick
            $0.seenTick = tick
            if isSampled { $0.sampledTick = tick }
        }
        table.moveToLatest(id)
        if isSampled { addSample(to, from: contact.address) }
    }

    private func insert(_ contact: RPCContact, seenAs to: SocketAddress, now: MonotonicTime) {
        guard let id = contact.id, id != table.id else { return }
        guard table.insert(TableNode(id: id, address: contact.address, tick: tick)) else {
            swapIfStale(contact, id: id, seenAs: to, now: now)
            return
        }
        table.update(id) { $0.sampledTick = tick }
        addSample(to, from: contact.address)
    }

    /// A full row: asks its stalest node, so that the new one can have its place if it is gone.
    private func swapIfStale(_ contact: RPCContact, id: Bytes32, seenAs to: SocketAddress, now: MonotonicTime) {
        guard isBootstrapped, swapCount < RPCLimits.concurrentSwaps, !table.contains(id) else { return }
        var stalest: TableNode?
        for node in table.rowNodes(for: id) where node.pingedTick != tick {
            guard let best = stalest else {
                stalest = node
                continue
            }
            if (node.pingedTick, node.addedTick) < (best.pingedTick, best.addedTick) { stalest = node }
        }
        guard let stalest else { return }
        if tick - stalest.pingedTick < RPCConstants.recentTicks {
            // Whoever sends as much as it may does not ask for what it knows.
            if tick - stalest.addedTick > RPCConstants.oldTicks || pacer.isBusy(now: now) { return }
        }
        table.update(stalest.id) { $0.pingedTick = tick }
        swapCount += 1
        startRequest(
            .ping, to: RPCContact(address: stalest.address),
            owner: .swap(old: stalest.id, seenTick: stalest.seenTick, new: contact, newTo: to), now: now)
    }

    func swapFinished(
        old: Bytes32, seenTick: Int, new: RPCContact, newTo: SocketAddress, _ result: Result<RPCReply, RPCFailure>,
        now: MonotonicTime
    ) {
        if isStillSilent(old, since: seenTick, result) == false { return }
        table.remove(old)
        insert(new, seenAs: newTo, now: now)
    }

    /// Whether `node` was not heard since `seenTick`. A cancelled request says nothing about it: nil means leave it.
    private func isStillSilent(
        _ node: Bytes32, since seenTick: Int, _ result: Result<RPCReply, RPCFailure>
    ) -> Bool {
        switch result {
        case .success: return (table.node(node)?.seenTick ?? seenTick) <= seenTick
        case .failure(.timeout): return true
        case .failure: return false
        }
    }

    private func sampleBootstrapNode(_ address: SocketAddress, seenAs to: SocketAddress) {
        guard sampledBootstrapNodes.count < max(1, configuration.bootstrapNodes.count),
            !sampledBootstrapNodes.contains(address)
        else { return }
        sampledBootstrapNodes.append(address)
        addSample(to, from: address)
    }

    private func addSample(_ to: SocketAddress, from node: SocketAddress) {
        let before = sampler.address
        natSamples.removeAll { $0.node == node }
        if natSamples.count == NATSampler.capacity { natSamples.removeFirst() }
        natSamples.append(NATSample(node: node, observed: to))
        sampler.add(to)
        if sampler.address != before { outputs.append(.event(.publicAddressChanged(sampler.address))) }
    }

    // MARK: Checking

    /// Asks whether `node` is still there and drops it if not.
    func check(_ node: TableNode, now: MonotonicTime) {
        table.update(node.id) { $0.pingedTick = tick }
        checkCount += 1
        startRequest(
            .ping, to: RPCContact(address: node.address), owner: .check(node.id, seenTick: node.seenTick), now: now)
    }

    func checkFinished(_ node: Bytes32, seenTick: Int, _ result: Result<RPCReply, RPCFailure>) {
        if isStillSilent(node, since: seenTick, result) { table.remove(node) }
    }

    /// A peer says that the node at `address`, which we told it about, is down.
    func checkHinted(_ address: SocketAddress, now: MonotonicTime) {
        guard checkCount < RPCLimits.concurrentChecks, let node = table.node(NodeID.of(address)),
            node.pingedTick < tick || node.downHintCount == 0
        else { return }
        table.update(node.id) { $0.downHintCount += 1 }
        check(node, now: now)
    }

    private func pingSome(now: MonotonicTime) {
        guard let oldest = table.oldest else {
            refresh(now: now)
            return
        }
        var limit = requests.count > 2 ? 3 : 5
        if tick - oldest.pingedTick < RPCConstants.recentTicks { limit = 2 }
        for node in table.oldestNodes(limit: limit) where node.pingedTick != tick { check(node, now: now) }
    }

    // MARK: Ticks

    func tickOver(now: MonotonicTime) {
        if now - lastTick > RPCConstants.sleepDetection {
            noteWakeUp()
        } else {
            tick += 1
        }
        lastTick = now
        guard isBootstrapped else { return }
        if configuration.mode == .adaptive, isEphemeral {
            stableTicks -= 1
            if stableTicks <= 0 { checkStability(now: now) }
        }
        if tick % 8 == 0 { pingSome(now: now) }
        refreshTicks -= 1
        if (tick % 64 == 0 && table.count < RPCConstants.k) || refreshTicks <= 0 { refresh(now: now) }
        entryPointTicks -= 1
        if entryPointTicks <= 0 { visitEntryPoints(now: now) }
        downHintCount = 0
        let isChange = health.update(
            responseCount: statistics.responseCount, timeoutCount: statistics.timeoutCount)
        if isChange { outputs.append(.event(.networkUpdated)) }
    }

    /// The machine slept: everything known is old, and the network may be another one.
    func noteWakeUp() {
        tick += 2 * RPCConstants.oldTicks
        // A series of pings in two ticks, when the network had time to come back.
        tick += 8 - (tick % 8) - 2
        stableTicks = RPCConstants.moreStableTicks
        refreshTicks = 1
        lastCheckedAddress = nil
        if health.reset() { outputs.append(.event(.networkUpdated)) }
        if configuration.mode == .adaptive, !isEphemeral {
            isEphemeral = true
            outputs.append(.event(.ephemeral))
        }
        outputs.append(.event(.wokeUp))
    }

    /// Searches for its own place from where everybody begins: there, parts of the network that lost sight of each other
    /// meet again.
    private func visitEntryPoints(now: MonotonicTime) {
        entryPointTicks = RPCConstants.entryPointTicks
        guard !configuration.bootstrapNodes.isEmpty else { return }
        startBackgroundQuery(target: table.id, owner: .refresh, asksEntryPoints: true, now: now)
    }

    /// Searches around a random known node, so that the table stays full.
    func refresh(now: MonotonicTime) {
        let target = table.randomNode(&random)?.id ?? table.id
        startBackgroundQuery(target: target, owner: .refresh, now: now)
    }
}
