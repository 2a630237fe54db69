import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebPorts
import DWebStreamCore
import DWebWireCore
import DequeModule

// Carries out what the policy decides, and tells it what came of it. Both actors live on one loop, so that calls
// between
// them are plain calls.
extension DSwarm {
    /// Carries out all outputs and sets the timer. Begins once the node's sockets are bound.
    func drain() {
        guard !isDraining, phase == .running || phase == .closing else { return }
        guard dht.assumeIsolated({ $0.phase == .running || $0.phase == .suspended }) else { return }
        isDraining = true
        while let output = policy.pollOutput() { perform(output) }
        isDraining = false
        arm()
    }

    func note(_ event: RPCEvent) {
        guard event == .networkChanged else { return }
        policy.networkChanged(now: loop.now)
        drain()
        startLocalNetwork()
    }

    private func arm() {
        guard phase == .running, let deadline = policy.nextDeadline else { return }
        if let armedDeadline, armedDeadline <= deadline { return }
        timer?.cancel()
        armedDeadline = deadline
        timer = loop.schedule(at: deadline) { [weak self] in self?.assumeIsolated { $0.wake() } }
    }

    private func wake() {
        timer = nil
        armedDeadline = nil
        policy.wake(now: loop.now)
        drain()
        arm()
    }

    private func perform(_ output: SwarmOutput) {
        switch output {
        case .listen: beginListening()
        case .startRefresh(let id, let topic, let kind): start(id, topic: topic, kind)
        case .cancelRefresh(let id):
            if let operation = refreshes.removeValue(forKey: id) { dht.assumeIsolated { $0.cancel(operation) } }
        case .unannounce(let topic): withdraw(topic)
        case .connect(let id, let key, let relayAddresses, let forcesRelay):
            connect(id, Target(key: key, relayAddresses: relayAddresses, forcesRelay: forcesRelay))
        case .deliver(let id): deliver(id)
        case .close(let id, _): close(id)
        case .sendKeepAlive(let id):
            if case .connected(let link) = entries[id] { link.onKeepAliveNeeded?() }
        case .flushFinished(let id, let isFlushed): flushes[id]?.resolve(isFlushed)
        case .banned: break
        }
    }

    // MARK: Topics

    var topicDiagnostics: [TopicDiagnostics] {
        policy.topicStates.map {
            TopicDiagnostics(
                topic: Topic($0.topic), roles: $0.roles, isRefreshing: $0.isRefreshing, nextRefresh: $0.nextRefresh)
        }
    }

    private func start(_ id: SwarmRefreshID, topic: Bytes32, _ kind: SwarmRefreshKind) {
        refreshLocalTopic(topic)
        let (identity, server) = (identity, server)
        let operation = dht.assumeIsolated { node in
            node.refresh(topic, kind, as: identity, server: server) { [weak self] event in
                self?.assumeIsolated { $0.handle(event, of: id) }
            }
        }
        if let operation {
            refreshes[id] = operation
        } else {
            policy.finished(id, succeeded: false, now: loop.now)
        }
    }

    private func handle(_ event: HyperOperationEvent, of id: SwarmRefreshID) {
        guard refreshes[id] != nil else { return }
        switch event {
        case .peers(let reply, _):
            for peer in reply.peers {
                policy.found(peer.publicKey, relayAddresses: peer.relayAddresses, in: id, now: loop.now)
            }
        case .finished(let result):
            refreshes[id] = nil
            policy.finished(id, succeeded: result.error == nil, now: loop.now)
        case .peer, .mutable, .immutable, .pong: break
        }
        drain()
    }

    private func withdraw(_ topic: Bytes32) {
        // Thousands of topics may be left at once; each withdrawal is a query of its own.
        guard withdrawals.count < DSwarm.withdrawalLimit else {
            waitingWithdrawals.append(topic)
            return
        }
        startWithdrawal(topic)
    }

    private func startWithdrawal(_ topic: Bytes32) {
        let identity = identity
        let operation = dht.assumeIsolated { node in
            node.refresh(topic, .lookupAndUnannounce, as: identity, server: nil) { [weak self] event in
                guard case .finished = event else { return }
                self?.assumeIsolated { $0.finishWithdrawal(of: topic) }
            }
        }
        if let operation {
            withdrawals[topic] = operation
        } else {
            finishWithdrawal(of: topic)
        }
    }

    func giveUpWithdrawal(of topic: Bytes32) {
        if let index = waitingWithdrawals.firstIndex(of: topic) {
            waitingWithdrawals.remove(at: index)
            abandonedWithdrawalCount += 1
            return finishWithdrawal(of: topic)
        }
        guard let operation = withdrawals[topic] else { return }
        abandonedWithdrawalCount += 1
        dht.assumeIsolated { $0.cancel(operation) }
        finishWithdrawal(of: topic)
    }

    private func finishWithdrawal(of topic: Bytes32) {
        withdrawals[topic] = nil
        if withdrawals.count < DSwarm.withdrawalLimit, let next = waitingWithdrawals.popFirst() {
            startWithdrawal(next)
        }
        policy.unannounceFinished(topic: topic, now: loop.now)
        for promise in leaveWaiters.removeValue(forKey: topic) ?? [] { promise.resolve(()) }
        drain()
    }

    // MARK: Listening

    func beginListening() {
        if server != nil {
            if isAnnounced { reportListening(true) }
            return
        }
        let handlers = ListenHandlers(
            admit: { [weak self] handshake in self?.assumeIsolated { $0.decide(handshake) } },
            connected: { [weak self] link in
                if let self { self.assumeIsolated { $0.arrive(link) } } else { link.stream.destroy() }
            },
            announced: { [weak self] _ in self?.assumeIsolated { $0.reportListening(true) } })
        server = dht.assumeIsolated { $0.startListening(as: identity, handlers) }
        if server == nil { reportListening(false) }
    }

    private func reportListening(_ succeeded: Bool) {
        isAnnounced = succeeded
        let error = DSwarmError(.alreadyListening, "The key \(identity.publicKey) cannot listen at this node")
        for promise in listenWaiters { promise.resolve(succeeded ? nil : error) }
        listenWaiters = []
        policy.listening(succeeded, now: loop.now)
        drain()
    }

    private func decide(_ handshake: IncomingHandshake) {
        let key = handshake.remotePublicKey
        guard phase == .running, !policy.isSuspended, policy.admits(key), queue.hasRoom else {
            return dht.assumeIsolated { $0.refuse(handshake.connection) }
        }
        guard let admits = configuration.admits else { return dht.assumeIsolated { $0.accept(handshake) } }
        dht.assumeIsolated { node in
            node.add(
                .ask {
                    let isAdmitted = await admits(key)
                    await self.answer(handshake, isAdmitted: isAdmitted)
                })
        }
    }

    private func answer(_ handshake: IncomingHandshake, isAdmitted: Bool) {
        if isAdmitted, phase == .running {
            dht.assumeIsolated { $0.accept(handshake) }
        } else {
            dht.assumeIsolated { $0.refuse(handshake.connection) }
            if !isAdmitted { policy.firewallRefused(handshake.remotePublicKey) }
            drain()
        }
    }

    // MARK: Connections

    /// Whom the policy wants dialled, and how.
    private struct Target {
        let key: PublicKey
        let relayAddresses: [SocketAddress]
        let forcesRelay: Bool
    }

    private func connect(_ id: SwarmConnectionID, _ target: Target) {
        guard let admits = configuration.admits else { return dial(id, target) }
        entries[id] = .asking
        dht.assumeIsolated { node in
            node.add(
                .ask {
                    let isAdmitted = await admits(target.key)
                    await self.dial(id, target, isAdmitted: isAdmitted)
                })
        }
    }

    private func dial(_ id: SwarmConnectionID, _ target: Target, isAdmitted: Bool) {
        guard case .asking = entries[id] else { return }
        entries[id] = nil
        if isAdmitted {
            dial(id, target)
        } else {
            policy.firewallRefused(target.key)
            policy.closed(id, now: loop.now)
        }
        drain()
    }

    private func dial(_ id: SwarmConnectionID, _ target: Target) {
        let connection = dht.assumeIsolated { node in
            node.dial(
                target.key, as: identity, relayAddresses: target.relayAddresses,
                relayChoice: target.forcesRelay ? .forced : .configured
            ) { [weak self] result in
                guard let self else { return }
                self.assumeIsolated { $0.dialled(id, result) }
            }
        }
        if let connection { entries[id] = .dialling(connection) }
    }

    private func dialled(_ id: SwarmConnectionID, _ result: Result<StreamLink, ConnectError>) {
        entries[id] = nil
        switch result {
        case .success(let link):
            if let address = link.stream.remoteAddress, policy.isNearby(link.handshake.remotePublicKey, address) {
                link.kind = .localNetwork
            }
            adopt(link, as: id)
            policy.opened(id, now: loop.now)
        case .failure(let error):
            let failure = SwarmFailure(
                error.description, isAvoidableByRelay: error.isAvoidableByRelay, error: error)
            policy.closed(id, failure: failure, now: loop.now)
        }
        drain()
    }

    private func arrive(_ link: StreamLink) {
        let key = link.handshake.remotePublicKey
        var isEstablished = false
        if let existing = policy.connection(with: key), case .connected(let other) = entries[existing] {
            isEstablished = other.isEstablished
        }
        // A relay's address says nothing about the peer's.
        let address = link.relay == nil ? link.stream.remoteAddress : nil
        let id = policy.arrived(
            from: key, isExistingEstablished: isEstablished, address: address, now: loop.now)
        adopt(link, as: id)
        drain()
    }

    private func adopt(_ link: StreamLink, as id: SwarmConnectionID) {
        entries[id] = .connected(link)
        link.onClose = { [weak self, queue] in
            queue.remove(link)
            self?.assumeIsolated { $0.forget(id) }
        }
    }

    private func forget(_ id: SwarmConnectionID) {
        guard entries.removeValue(forKey: id) != nil else { return }
        policy.closed(id, now: loop.now)
        drain()
    }

    private func deliver(_ id: SwarmConnectionID) {
        guard case .connected(let link) = entries[id], !link.isClosed else { return }
        let topics = policy.topics(of: link.handshake.remotePublicKey)
        // A connection that finds no room is dropped, and thereby closed.
        _ = queue.add(SwarmConnection(link: link, node: dht, topics: topics))
    }

    private func close(_ id: SwarmConnectionID) {
        switch entries[id] {
        case .connected(let link):
            // The close is reported by the stream's event, which the node's pump finds.
            link.stream.destroy()
            dht.assumeIsolated { $0.settleLater() }
        case .dialling(let connection):
            entries[id] = nil
            dht.assumeIsolated { $0.cancel(connection) }
            policy.closed(id, now: loop.now)
        case .asking:
            entries[id] = nil
            policy.closed(id, now: loop.now)
        case nil:
            policy.closed(id, now: loop.now)
        }
    }
}

extension ConnectError {
    /// Whether a blind relay would have helped; spec 30 section G.3.
    var isAvoidableByRelay: Bool {
        switch self {
        case .holepunchAborted, .doubleRandomizedNATs, .remoteNotHolepunchable: true
        case .peerNotFound, .peerConnectionFailed, .serverIncompatible, .serverError, .cannotHolepunch,
            .holepunchInvalid, .badHolepunchReply, .holepunchProbeTimeout, .remoteAborted, .remoteNotHolepunching,
            .relayAborted, .suspended, .destroyed:
            false
        }
    }
}
