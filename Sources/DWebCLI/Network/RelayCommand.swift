import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb relay`: a blind relay that anyone can use.
struct RelayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay", abstract: "Run a relay for peers that cannot connect directly, until Ctrl-C.",
        discussion: """
            Prints the relay's key, which peers name by --relay. The relay passes encrypted packets on, of which it \
            can read nothing. Run it where strangers can reach it; dweb doctor says whether they can.
            """)

    @Option(help: "The most pairs of peers at a time.")
    var pairs: Int = 1_024

    @Option(help: "The most pairs that one peer has part in at a time.")
    var pairsPerPeer: Int = 64

    @Option(help: "The most bytes passed on per pair, after which it is ended. Default: any number.")
    var bytesPerPair: UInt64?

    @OptionGroup var secret: SecretOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Running: Encodable {
        let key: String
        let address: String?
    }

    func validate() throws {
        guard (1...100_000).contains(pairs) else { throw ValidationError("--pairs takes 1 to 100000.") }
        guard (1...100_000).contains(pairsPerPeer) else { throw ValidationError("--pairs-per-peer takes 1 to 100000.") }
    }

    func run() async throws {
        try await interruptionIsSuccess { try await serve() }
    }

    private func serve() async throws {
        guard network.relayTexts.isEmpty else { throw ValidationError("A relay uses no --relay itself.") }
        let keyPair = try secret.keyPair() ?? KeyPair(seed: SystemEntropy().seed())
        var options = BlindRelayOptions()
        options.pairLimit = pairs
        options.clientLimit = pairs * 2
        options.pairsPerClientLimit = pairsPerPeer
        options.pairByteLimit = bytesPerPair
        let settings = options
        let console = output.console
        try await NetworkSession.with(network) { node in
            let relay = try await node.joinedNetwork().relay(as: keyPair, options: settings)
            let running = Running(
                key: relay.publicKey.text, address: await node.diagnostics.openAddress?.description)
            console.emit(running, text: running.key)
            if running.address == nil {
                console.say("Strangers cannot reach this machine directly, so that most peers cannot use the relay.")
            }
            console.say("Relaying. Use: --relay \(running.key). Ctrl-C stops.")
            try await narrate(relay, console)
        }
    }

    /// Tells what the relay does, whenever that changed, until the task is cancelled.
    private func narrate(_ relay: BlindRelay, _ console: Console) async throws {
        var last = BlindRelayStatistics()
        while true {
            try await Task.sleep(for: .seconds(5))
            let now = await relay.statistics
            if now.pairCount != last.pairCount || now.totalPairCount != last.totalPairCount {
                console.say(
                    "\(now.pairCount) pairs now, \(now.totalPairCount) in all, "
                        + "\(Format.bytes(now.relayedByteCount)) passed on.")
            }
            last = now
        }
    }
}
