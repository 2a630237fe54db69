import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb dht node`: a standing node.
struct DHTNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Run a node of the DHT until Ctrl-C.",
        discussion: """
            Prints the node's address and says on standard error when its standing in the network changes. A node \
            that can be reached by strangers serves everybody; any other is a guest.
            """)

    @Flag(help: "Serve as soon as the address is known, instead of after twenty minutes.")
    var persistent = false

    @OptionGroup var knownNodes: KnownNodesOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await interruptionIsSuccess { try await serve() }
    }

    private func serve() async throws {
        let console = output.console
        try await NetworkSession.with(network) { configuration in
            if persistent { configuration.mode = .persistent }
            configuration.knownNodesFile = knownNodes.file
        } _: { node in
            try await node.started()
            _ = await node.bootstrapped()
            try await StandingNode(node: node, console: console).narrate()
        }
    }
}

/// `dweb dht bootstrap`: an entry point for others.
struct DHTBootstrapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bootstrap", abstract: "Run an entry point of a DHT of your own until Ctrl-C.",
        discussion: """
            The first node of a network: it needs no other, and everybody else names it by --bootstrap. Strangers must \
            be able to reach it at the address given.
            """)

    @Argument(help: "The address at which others reach it, as ip:port.")
    var address: String

    @Option(
        help: "The local address to bind, where the public one is not this machine's own. Default: the address given.")
    var host: String?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await interruptionIsSuccess { try await serve() }
    }

    private func serve() async throws {
        guard let address = SocketAddress(text: address), address.port > 0, address.family == .ipv4 else {
            throw ValidationError("'\(address)' is no address of the form ip:port.")
        }
        var configuration = DHTConfiguration.entryPoint(at: address)
        if let host { configuration.host = host }
        let settings = configuration
        let console = output.console
        try await NetworkSession.withRuntime { runtime in
            try await NetworkSession.run(DHTNode(runtime: runtime, configuration: settings)) { node in
                try await node.started()
                _ = await node.bootstrapped()
                console.say("Use: --bootstrap \(address). Ctrl-C stops.")
                try await StandingNode(node: node, console: console).narrate()
            }
        }
    }
}

/// Tells how a node that stays is doing.
private struct StandingNode {
    let node: DHTNode
    let console: Console

    private struct State: Encodable, Equatable {
        let address: String?
        let publicAddress: String?
        let id: String?
        let isGuest: Bool
        let nat: String
        let nodes: Int
    }

    /// Prints the state once, and says what changes until the task is cancelled.
    func narrate() async throws {
        var last = await state()
        console.emit(last, text: last.publicAddress ?? last.address ?? "")
        console.say(sentence(last))
        while true {
            try await Task.sleep(for: .seconds(5))
            let now = await state()
            if now.isGuest != last.isGuest || now.nat != last.nat || now.publicAddress != last.publicAddress {
                if console.isJSON { console.emit(now, text: "") }
                console.say(sentence(now))
            }
            console.showProgress("\(now.nodes) nodes known")
            last = now
        }
    }

    private func state() async -> State {
        let diagnostics = await node.diagnostics
        return State(
            address: diagnostics.serverAddress?.description,
            publicAddress: (diagnostics.openAddress ?? diagnostics.publicAddress)?.description,
            id: diagnostics.nodeID?.description, isGuest: diagnostics.isEphemeral, nat: diagnostics.nat.rawValue,
            nodes: diagnostics.nodeCount)
    }

    private func sentence(_ state: State) -> String {
        let standing = state.isGuest ? "A guest of the DHT" : "A node of the DHT"
        return "\(standing) at \(state.publicAddress ?? state.address ?? "no address"), NAT \(state.nat), "
            + "\(state.nodes) nodes known."
    }
}
