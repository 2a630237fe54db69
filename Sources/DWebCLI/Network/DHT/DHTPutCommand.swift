import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb dht put`: stores a small value.
struct DHTPutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Store a value of 1 to 1000 bytes in the DHT for about two days.",
        discussion: """
            Without --secret-file the value is immutable, and its hash is printed. With it the value goes under the \
            key pair of that file and can be replaced by one with a higher sequence number; the key is printed. \
            Exit code 6: no node stored it; 1: a newer value is there already.
            """)

    @Argument(help: "The value; - reads standard input.")
    var value: String

    @Option(help: "The value's sequence number. Default: one above the newest that is found.")
    var seq: UInt64?

    @OptionGroup var secret: SecretOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    private struct Stored: Encodable {
        let hash: String?
        let key: String?
        let seq: UInt64?
        let nodes: Int?
    }

    func run() async throws {
        try await put()
    }

    private func put() async throws {
        let bytes = try readValue()
        guard (1...1_000).contains(bytes.count) else {
            throw ValidationError("A value has 1 to 1000 bytes, this one \(bytes.count).")
        }
        let keyPair = try secret.keyPair()
        if keyPair == nil, seq != nil { throw ValidationError("--seq goes with --secret-file.") }
        let console = output.console
        let stored = try await NetworkSession.with(network) { node in
            let node = try await node.joinedNetwork()
            guard let keyPair else {
                let hash = try await node.putImmutable(bytes)
                return Stored(hash: PublicKey(hash).hex, key: nil, seq: nil, nodes: nil)
            }
            var sequence = seq
            if sequence == nil { sequence = try await node.getMutable(keyPair.publicKey).map { $0.sequence + 1 } ?? 1 }
            do {
                let receipt = try await node.putMutable(bytes, sequence: sequence!, as: keyPair)
                return Stored(hash: nil, key: keyPair.publicKey.text, seq: sequence, nodes: receipt.storedCount)
            } catch let error as DSwarmError where error.code == .notStored {
                guard let newer = try await node.getMutable(keyPair.publicKey), newer.sequence >= sequence! else {
                    throw error
                }
                throw CommandFailure(
                    .failure, "The value with sequence number \(newer.sequence) is there already; use a higher one.")
            }
        }
        console.emit(stored, text: stored.hash ?? stored.key ?? "")
        if let nodes = stored.nodes, let seq = stored.seq {
            console.say("Stored at \(nodes) nodes, sequence number \(seq).")
        }
    }

    private func readValue() throws -> [UInt8] {
        guard value == "-" else { return Array(value.utf8) }
        // One byte more than fits tells that it does not.
        return try FileDescriptor.standardInput.readUpTo(1_001)
    }
}
