import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb dht peers`: who announces a topic, and whether each can be connected.
struct DHTPeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "Look up who announces a log or a topic, and connect to each once.",
        discussion: """
            Prints one peer per line with the way to it, or the reason why there is none. Exit code 3: nobody \
            announces it, or nobody could be connected.
            """)

    @OptionGroup var topic: TopicOptions

    @Option(help: "The most peers to connect to.")
    var limit: Int = 16

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...32).contains(limit) else { throw ValidationError("--limit takes 1 to 32.") }
    }

    func run() async throws {
        try await connect()
    }

    private func connect() async throws {
        let topic = try topic.value()
        let console = output.console
        let isAnyConnected = try await NetworkSession.with(network) { node in
            let found = try await node.joinedNetwork().lookup(topic).map(\.publicKey)
            guard !found.isEmpty else { throw CommandFailure(.unavailable, "Nobody announces this topic.") }
            let report = try await node.diagnose(
                peers: Array(found.prefix(limit)), as: KeyPair(seed: SystemEntropy().seed()))
            for peer in report.peers {
                console.emit(DoctorOutput.Peer(peer), text: "\(peer.publicKey)  \(DHTPeersCommand.summary(of: peer))")
            }
            return report.peers.contains { $0.connection != nil }
        }
        guard isAnyConnected else { throw CommandFailure(.unavailable, "None of the peers could be connected.") }
    }

    private static func summary(of peer: PeerReport) -> String {
        guard let connection = peer.connection else {
            return peer.failure?.description ?? "not connected"
        }
        var text = "connected \(connection.path.words)"
        if let address = connection.address { text += " at \(address)" }
        if let time = connection.roundTripTime { text += ", \(time.milliseconds.text(decimals: 1)) ms" }
        return text
    }
}
