import ArgumentParser
import DWeb

/// `dweb dht find`: which nodes lead to a peer.
struct DHTFindCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find", abstract: "Find the DHT nodes that lead to a peer.",
        discussion: "Prints one node per line. Exit code 3: no node knows the peer.")

    @Argument(help: "The peer's key.")
    var key: String

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Found: Encodable {
        let node: String
    }

    func run() async throws {
        try await find()
    }

    private func find() async throws {
        let key = try PublicKey(text: key)
        let nodes = try await NetworkSession.with(network) { try await $0.joinedNetwork().findPeer(key) }
        for node in nodes { output.console.emit(Found(node: node.description), text: node.description) }
        guard !nodes.isEmpty else {
            throw CommandFailure(
                .unavailable, "No node knows this peer: it is not online, or has not announced itself yet.")
        }
    }
}

extension DHTNode {
    /// This node, once it has found its place.
    ///
    /// - Throws: A failure with status `network` if nobody answers.
    func joinedNetwork() async throws -> DHTNode {
        try await started()
        // A start without any answer takes that long; one with a silent entry point beside others need not.
        for round in 0..<400 {
            let state = diagnostics
            if state.isBootstrapped, state.nodeCount > 0 || state.responseCount > 0 { return self }
            if state.nodeCount > 0, round > 40 { return self }
            if state.isBootstrapped { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure(.network, "No node of the network answers. Try: dweb doctor, with the same --bootstrap.")
    }
}
