import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb dht get`: fetches a small value.
struct DHTGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Fetch a value from the DHT and verify it.",
        discussion: """
            Writes the value's bytes to standard output as they are; --json puts them into base64. Exit code 3: no \
            node has the value.
            """)

    @Argument(help: "The value's hash; with --mutable the key that it is stored under.")
    var name: String

    @Flag(help: "Fetch the newest value under a key.")
    var mutable = false

    @Option(help: "With --mutable: the lowest sequence number of interest.")
    var seq: UInt64 = 0

    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Value: Encodable {
        let value: String
        let seq: UInt64?
    }

    func run() async throws {
        try await get()
    }

    private func get() async throws {
        let name = try PublicKey(text: name)
        if seq > 0, !mutable { throw ValidationError("--seq goes with --mutable.") }
        let (bytes, sequence) = try await NetworkSession.with(network) { node -> ([UInt8]?, UInt64?) in
            let node = try await node.joinedNetwork()
            guard mutable else { return (try await node.getImmutable(name.bytes32), nil) }
            let found = try await node.getMutable(name, minimumSequence: seq)
            return (found?.value, found?.sequence)
        }
        guard let bytes else {
            throw CommandFailure(
                .unavailable, mutable ? "No node has a value under this key." : "No node has a value with this hash.")
        }
        let console = output.console
        if output.json {
            console.emit(Value(value: Data(bytes).base64EncodedString(), seq: sequence), text: "")
        } else {
            console.write(bytes, to: .standardOutput)
        }
        if let sequence { console.say("Sequence number \(sequence).") }
    }
}
