import ArgumentParser
import DWeb

/// `dweb dht lookup`: who announces a topic.
struct DHTLookupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup", abstract: "Look up who announces a log or a topic.",
        discussion: "Prints one peer per line, each once. Exit code 3: nobody announces it.")

    @OptionGroup var topic: TopicOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Found: Encodable {
        let key: String
        let relays: [String]
        let source: String
    }

    func run() async throws {
        try await lookup()
    }

    private func lookup() async throws {
        let topic = try topic.value()
        let peers = try await NetworkSession.with(network) { try await $0.joinedNetwork().lookup(topic) }
        for peer in peers {
            let found = Found(
                key: peer.publicKey.text, relays: peer.relayAddresses.map(\.description),
                source: peer.source.description)
            output.console.emit(found, text: found.key)
        }
        guard !peers.isEmpty else { throw CommandFailure(.unavailable, "Nobody announces this topic.") }
    }
}
