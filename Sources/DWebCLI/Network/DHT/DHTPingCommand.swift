import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb dht ping`: asks one node for a sign of life.
struct DHTPingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping", abstract: "Ask one DHT node for a sign of life.",
        discussion: """
            Prints the time to the node and back, and the address under which it sees this machine. Exit code 3: it \
            does not answer.
            """)

    @Argument(help: "The node, as host:port.")
    var address: String

    @Option(help: "The number of pings.")
    var count: Int = 1

    @Option(help: "The local address to bind. Default: all; loopback if the node is there.")
    var host: String?

    @OptionGroup var output: OutputOptions

    private struct Pong: Encodable {
        let address: String
        let milliseconds: Double
        let nodeID: String?
        let seesUsAs: String
    }

    func validate() throws {
        guard (1...1_000).contains(count) else { throw ValidationError("--count takes 1 to 1000.") }
    }

    func run() async throws {
        try await ping()
    }

    private func ping() async throws {
        try await NetworkSession.withRuntime { runtime in
            let target = try await resolve(runtime)
            var configuration = DHTConfiguration(bootstrap: [], port: 0)
            configuration.host = host ?? (target.ipv4Number >> 24 == 127 ? "127.0.0.1" : "0.0.0.0")
            let node = DHTNode(runtime: runtime, configuration: configuration)
            let console = output.console
            let answerCount = try await NetworkSession.run(node) { node in
                var answerCount = 0
                for round in 0..<count {
                    if round > 0 { try await Task.sleep(for: .milliseconds(200)) }
                    do {
                        let reply = try await node.ping(target, retryCount: count == 1 ? 3 : 0)
                        answerCount += 1
                        let pong = Pong(
                            address: reply.address.description, milliseconds: reply.roundTripTime.milliseconds,
                            nodeID: reply.nodeID?.description, seesUsAs: reply.observedAddress.description)
                        console.emit(
                            pong,
                            text: "\(pong.address) answered in \(pong.milliseconds.text(decimals: 1)) ms "
                                + "and sees us as \(pong.seesUsAs)"
                                + (pong.nodeID == nil ? "; it is a guest of the DHT" : ""))
                    } catch let error as DSwarmError where error.code == .timedOut {
                        console.say("\(error.detail).")
                    }
                }
                return answerCount
            }
            guard answerCount > 0 else {
                throw CommandFailure(.unavailable, "The node at \(target) did not answer.")
            }
        }
    }

    private func resolve(_ runtime: DWebRuntime) async throws -> SocketAddress {
        if let address = SocketAddress(text: address), address.port > 0 {
            guard address.family == .ipv4 else { throw ValidationError("The DHT knows IPv4 addresses only.") }
            return address
        }
        guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]),
            port > 0
        else { throw ValidationError("'\(address)' is no address of the form host:port.") }
        let name = String(address[..<colon])
        guard let first = try await runtime.network.resolve(host: name).first else {
            throw CommandFailure(.network, "There is no host called \(name).")
        }
        return first.with(port: port)
    }
}
