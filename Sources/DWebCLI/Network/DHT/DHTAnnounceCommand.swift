import ArgumentParser
import DWeb

/// `dweb dht announce`: be found under a topic.
struct DHTAnnounceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "announce", abstract: "Be found under a log's key or a topic, until Ctrl-C.",
        discussion: """
            Prints this peer's key once others can find it, and says who connects; connections are closed again. \
            Announces anew every ten minutes and withdraws the announcement at the end.
            """)

    @OptionGroup var topic: TopicOptions
    @OptionGroup var secret: SecretOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Announced: Encodable {
        let key: String
        let topic: String
    }

    func run() async throws {
        try await interruptionIsSuccess { try await announce() }
    }

    private func announce() async throws {
        let topic = try topic.value()
        let identity = try secret.keyPair() ?? KeyPair(seed: SystemEntropy().seed())
        let console = output.console
        var configuration = DSwarm.Configuration()
        configuration.dht = try network.dhtConfiguration()
        configuration.isLocalDiscoveryEnabled = !network.isLocalNetworkOff
        let settings = configuration
        try await NetworkSession.withRuntime { runtime in
            let swarm = DSwarm(identity: identity, runtime: runtime, configuration: settings)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await swarm.run() }
                group.addTask {
                    let outcome: Result<Void, any Error>
                    do {
                        outcome = .success(
                            try await untilInterrupted { try await serve(swarm, topic, console) })
                    } catch {
                        outcome = .failure(error)
                    }
                    await swarm.close()
                    try outcome.get()
                }
                try await group.waitForAll()
            }
        }
    }

    private func serve(_ swarm: DSwarm, _ topic: Topic, _ console: Console) async throws {
        try await swarm.started()
        let discovery = try await swarm.join(topic, as: .announce)
        guard await discovery.flushed() else {
            throw CommandFailure(.network, "No node took the announcement. Try: dweb doctor.")
        }
        let key = swarm.identity.publicKey.text
        console.emit(Announced(key: key, topic: topic.text), text: key)
        console.say("Announced. Ctrl-C stops.")
        for await connection in swarm.connections {
            console.say("Peer \(connection.remotePublicKey) connected \(await connection.path.words).")
            connection.abort()
        }
        try Task.checkCancellation()
    }
}
