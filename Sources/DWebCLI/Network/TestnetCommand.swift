import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb testnet`: a private DHT on this machine.
struct TestnetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "testnet", abstract: "Run a private DHT on this machine, for trying things out.",
        discussion: """
            Prints the address to give to --bootstrap, and stays until Ctrl-C. The nodes listen on loopback unless told \
            otherwise, on the port given and those after it.
            """)

    @Option(help: "The number of nodes.")
    var nodes: Int = 10

    @Option(help: "The port of the first node; the others take the ones after it. 0 takes free ones.")
    var port: UInt16 = 49_737

    @Option(help: "The local address of the nodes; with one that is not of loopback, --port must be given.")
    var host: String = "127.0.0.1"

    @OptionGroup var output: OutputOptions

    private struct Running: Encodable {
        let bootstrap: String
        let nodes: [String]
    }

    func validate() throws {
        guard (1...1_000).contains(nodes) else { throw ValidationError("--nodes takes 1 to 1000.") }
        guard let address = SocketAddress(text: "\(host):1") else { throw ValidationError("'\(host)' is no address.") }
        guard port != 0 || address.ipv4Number >> 24 == 127 else {
            throw ValidationError("Nodes that are not on loopback need a port.")
        }
        guard Int(port) + nodes <= 65_536 else { throw ValidationError("There are not that many ports after \(port).") }
    }

    func run() async throws {
        let command = self
        try await servingUntilInterrupted { try await command.serve() }
    }

    private func serve() async throws {
        let console = output.console
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: MemoryStorage())
        let outcome: Result<Void, any Error>
        do {
            let places = try await places(runtime)
            let testnet = TestNet(places: places)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await testnet.run() }
                group.addTask {
                    guard await testnet.ready() else { return }
                    ProcessMemory.giveBackUnused()
                    let running = Running(
                        bootstrap: places[0].address.description, nodes: places.map(\.address.description))
                    console.emit(running, text: running.bootstrap)
                    console.say("\(places.count) nodes are up. Use: --bootstrap \(running.bootstrap). Ctrl-C stops.")
                }
                try await group.waitForAll()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        try outcome.get()
    }

    /// Where the nodes live: on the ports asked for, or on as many free ones.
    private func places(_ runtime: DWebRuntime) async throws -> [(runtime: DWebRuntime, address: SocketAddress)] {
        guard port != 0 else { return try await TestNet.freePlaces(runtime: runtime, nodeCount: nodes) }
        guard let host = SocketAddress(text: "\(host):1") else { return [] }
        return (0..<nodes).map { (runtime: runtime, address: host.with(port: port + UInt16($0))) }
    }
}
