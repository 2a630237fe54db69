package import DWebBase
import DWebCrypto
import DWebDHTCore
import DWebPorts

/// The sockets and the machine by which a swarm finds peers in its local network. Used on the loop only.
struct LocalNetwork {
    var discovery: LocalDiscovery
    /// One per interface and family, with the group it is a member of.
    var sockets: [(socket: any DatagramSocket, group: SocketAddress)]
    var interfaces: [InterfaceAddress]
    var timer: (any LoopTimer)?
    var armedDeadline: MonotonicTime?
}

// A source of peers beside the DHT: multicast DNS on every interface. Where there is no multicast, there is no such
// source, and nothing else changes.
extension DSwarm {
    /// Begins, once the node's sockets are bound; and again with other interfaces after a change of the network.
    func startLocalNetwork() {
        guard configuration.isLocalDiscoveryEnabled, phase == .running, !policy.isSuspended else { return }
        let interfaces = multicastInterfaces
        guard interfaces != localNetwork?.interfaces ?? [] else { return noteLocalChange() }
        stopLocalNetwork(saysGoodbye: false)
        guard !interfaces.isEmpty else { return }
        localGeneration += 1
        let generation = localGeneration
        dht.assumeIsolated { $0.add(.ask { await self.joinLocalGroup(on: interfaces, generation: generation) }) }
    }

    /// Ends it; other hosts forget this one if it says goodbye.
    func stopLocalNetwork(saysGoodbye: Bool) {
        localGeneration += 1
        guard localNetwork != nil else { return }
        if saysGoodbye {
            localNetwork!.discovery.close()
            drainLocalNetwork()
        }
        localNetwork?.timer?.cancel()
        for entry in localNetwork?.sockets ?? [] { entry.socket.close() }
        localNetwork = nil
    }

    /// The topics changed.
    func noteLocalTopics() {
        guard localNetwork != nil else { return }
        let states = policy.topicStates
        localNetwork!.discovery.setTopics(
            announced: states.filter { $0.roles.contains(.announce) }.map(\.topic),
            wanted: states.filter { $0.roles.contains(.lookup) }.map(\.topic), now: loop.now)
        drainLocalNetwork()
    }

    /// A topic's peers are of interest again.
    func refreshLocalTopic(_ topic: Bytes32) {
        guard localNetwork != nil else { return }
        localNetwork!.discovery.refresh(topic, now: loop.now)
        drainLocalNetwork()
    }

    /// The peers of a joined topic that were found in the local network, without the DHT; empty if that is switched off.
    package func localPeers(of topic: Topic) -> [PublicKey] {
        localNetwork?.discovery.peers(of: topic.bytes32).map(\.key) ?? []
    }

    /// Asks the whole local network who is there, and waits for the answers.
    ///
    /// - Returns: The number of peers that answered or are known; nil if the local network is not used.
    func countLocalPeers() async -> Int? {
        guard configuration.isLocalDiscoveryEnabled else { return nil }
        // The groups may just be being joined.
        let deadline = loop.now + DSwarm.localAnswerTime
        while localNetwork == nil, loop.now < deadline, !multicastInterfaces.isEmpty, !Task.isCancelled {
            await pause(for: .milliseconds(20))
        }
        guard localNetwork != nil else { return 0 }
        localNetwork!.discovery.askAround()
        drainLocalNetwork()
        await pause(for: DSwarm.localAnswerTime)
        guard let discovery = localNetwork?.discovery else { return 0 }
        return max(discovery.presentCount, discovery.peerCount)
    }

    private func pause(for duration: Duration) async {
        let promise = Promise<Void>()
        let timer = loop.schedule(at: loop.now + duration) { promise.resolve(()) }
        await promise.value(onCancel: ())
        timer.cancel()
    }

    // Answers wait 120 ms at most: RFC 6762 section 6. Some of it is for machines that are busy.
    private static let localAnswerTime = Duration.milliseconds(700)

    private func noteLocalChange() {
        guard let interfaces = localNetwork?.interfaces else { return }
        localNetwork!.discovery.networkChanged(hosts: interfaces.map(\.address), now: loop.now)
        drainLocalNetwork()
    }

    /// The interfaces on which there may be peers: not loopback, on which nobody else is; and only the one that the
    /// node is bound to, if it is bound to one.
    private var multicastInterfaces: [InterfaceAddress] {
        let host = SocketAddress(host: configuration.dht.host, port: 0)
        let all = dht.runtime.network.interfaceAddresses().filter { !$0.isLoopback }
        let chosen = all.filter { interface in
            guard interface.address.family == .ipv4 else { return false }
            guard let host, host.ipv4Number != 0 else { return true }
            return interface.address.hasSameHost(as: host)
        }.sorted { ($0.name, $0.address.ipv4Number) < ($1.name, $1.address.ipv4Number) }
        // Peers connect over IPv4; messages go over both, because some networks carry multicast of one family only.
        var names: Set<String> = []
        let linkLocal = all.filter { interface in
            interface.address.isLinkLocal6 && chosen.contains { $0.name == interface.name }
                && names.insert(interface.name).inserted
        }.sorted { $0.name < $1.name }
        return chosen + linkLocal
    }

    private func joinLocalGroup(on interfaces: [InterfaceAddress], generation: Int) async {
        var sockets: [(socket: any DatagramSocket, group: SocketAddress)] = []
        for interface in interfaces {
            let group = interface.address.family == .ipv4 ? LocalLimits.group : LocalLimits.group6
            let options = MulticastOptions(group: group, interface: interface)
            // An interface without multicast, such as a tunnel, leaves the others.
            let socket = try? await dht.runtime.network.join(options) { [weak self] batch in
                self?.assumeIsolated { $0.receiveLocally(batch) }
            }
            if let socket { sockets.append((socket, group)) }
        }
        let port = await dht.localAddress?.port
        guard generation == localGeneration, phase == .running, let port, !sockets.isEmpty else {
            for entry in sockets { entry.socket.close() }
            return
        }
        let discovery = LocalDiscovery(
            publicKey: identity.publicKey, port: port, hosts: interfaces.map(\.address),
            random: SecureRandom(seed: dht.runtime.entropy.seed()))
        localNetwork = LocalNetwork(discovery: discovery, sockets: sockets, interfaces: interfaces)
        noteLocalTopics()
    }

    private func receiveLocally(_ batch: DatagramBatch) {
        guard localNetwork != nil else { return }
        for entry in batch.entries {
            localNetwork!.discovery.handle(batch.payload(of: entry), from: entry.address, now: loop.now)
        }
        drainLocalNetwork()
    }

    private func drainLocalNetwork() {
        var hasFound = false
        while let output = localNetwork?.discovery.pollOutput() {
            switch output {
            case .send(let bytes):
                for (socket, group) in localNetwork?.sockets ?? [] {
                    var batch = DatagramBatch()
                    batch.append(bytes, address: group)
                    socket.send(batch)
                }
            case .found(let key, let address, let topic):
                policy.foundNearby(key, at: address, topic: topic, now: loop.now)
                hasFound = true
            }
        }
        if hasFound { drain() }
        armLocalTimer()
    }

    private func armLocalTimer() {
        guard let deadline = localNetwork?.discovery.nextDeadline else { return }
        if let armed = localNetwork?.armedDeadline, armed <= deadline { return }
        localNetwork?.timer?.cancel()
        localNetwork?.armedDeadline = deadline
        localNetwork?.timer = loop.schedule(at: deadline) { [weak self] in
            self?.assumeIsolated { swarm in
                swarm.localNetwork?.timer = nil
                swarm.localNetwork?.armedDeadline = nil
                swarm.localNetwork?.discovery.wake(now: swarm.loop.now)
                swarm.drainLocalNetwork()
            }
        }
    }
}

extension SocketAddress {
    /// Whether this is an IPv6 address that every interface has for its own link: fe80::/10.
    fileprivate var isLinkLocal6: Bool { family == .ipv6 && hostWords.high >> 54 == 0x3fa }
}
