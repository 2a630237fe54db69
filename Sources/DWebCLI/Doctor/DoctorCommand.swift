import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb doctor`: says whether peers can connect, and if not, why.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say whether this machine can connect to peers, and if not, why.",
        discussion: """
            Looks at the network interfaces, asks the entry points of the network, finds out what kind of firewall or \
            NAT is in the way, and with a key tries to connect: to everybody who announces that log, or to the peer \
            with that key. Every finding is one sentence on standard output. Exit code 0: connecting is possible; \
            3: the network works, but no peer of the key can be reached; 6: the network cannot be reached.
            """)

    @Argument(help: "A log's key or a peer's key to try. Default: only this machine's network is examined.")
    var key: String?

    @Option(
        name: .customLong("store"),
        help: "Connect as the identity of the store in this directory. Default: as a peer that nobody knows.")
    var directory: String?

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    /// Peers tried of those that announce a log.
    static let peerLimit = 8

    func run() async throws {
        try await examine()
    }

    private func examine() async throws {
        let key = try key.map { try PublicKey(text: $0) }
        let relays = try network.relays()
        let identity = try await identity()
        let console = output.console
        console.say("Examining the network ...")
        let (report, search) = try await NetworkSession.withSwarm(network, as: identity) { swarm in
            try await swarm.started()
            var search: DoctorOutput.Search?
            var peers: [PublicKey] = []
            if let key {
                // Whoever is in the local network is asked meanwhile.
                try await swarm.join(Topic(key.discoveryKey), as: .lookup)
                _ = await joined(swarm.dht)
                (peers, search) = await find(key, swarm, console)
            }
            let report = try await swarm.diagnose(peers: peers, relays: relays)
            return (report, search)
        }
        let result = DoctorOutput(report, search: search)
        console.emit(result, text: result.lines.joined(separator: "\n"))
        guard report.isNetworkJoined || report.canConnect else {
            throw CommandFailure(.network, "The network cannot be reached.")
        }
        guard result.canConnect else {
            throw CommandFailure(.unavailable, "The network works, but no peer of this key can be reached.")
        }
    }

    private func identity() async throws -> KeyPair {
        guard let directory else { return KeyPair(seed: SystemEntropy().seed()) }
        return try await Node.withStore(path: directory, createIfMissing: false) { _, store in
            SwarmNetworker.identity(of: store)
        }
    }

    /// Waits a few seconds for the node to find its place.
    private func joined(_ node: DHTNode) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await node.bootstrapped() }
            group.addTask {
                try? await Task.sleep(for: .seconds(8))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// Who to connect to for a key: those who announce the log, or the peer itself.
    private func find(
        _ key: PublicKey, _ swarm: DSwarm, _ console: Console
    ) async -> ([PublicKey], DoctorOutput.Search) {
        console.say("Looking for peers of \(key.text) ...")
        let topic = Topic(key.discoveryKey)
        let announced = ((try? await swarm.dht.lookup(topic)) ?? []).map(\.publicKey)
        let leading = (try? await swarm.dht.findPeer(key)) ?? []
        let isPeer = !leading.isEmpty
        let local = await swarm.localPeers(of: topic)
        var known: Set<PublicKey> = []
        let peers = ((isPeer ? [key] : []) + local + announced).filter { known.insert($0).inserted }
        let search = DoctorOutput.Search(
            key: key.text, announcedPeers: announced.count, localPeers: local.count, isPeerKey: isPeer)
        return (Array(peers.prefix(DoctorCommand.peerLimit)), search)
    }
}
