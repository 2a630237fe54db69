import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench transport listen`: the end that takes data in.
struct TransportListenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen", abstract: "Take in what 'send' sends, until interrupted.")

    struct Ready: Codable {
        let udx: String
        let tcp: String
    }

    @Option(help: "The address to listen at, as host:port.")
    var at = "127.0.0.1:0"

    @OptionGroup var output: OutputOptions

    func run() async throws {
        guard let address = SocketAddress(text: at) else {
            throw ValidationError("'\(at)' is no address of the form host:port.")
        }
        let console = output.console
        do {
            try await untilInterrupted { try await TransportListenCommand.listen(at: address, console) }
        } catch let failure as CommandFailure where failure.status == .interrupted {
            // A measurement ends by stopping this process.
        }
    }

    private static func listen(at address: SocketAddress, _ console: Console) async throws {
        let loop = PosixLoop()
        let end = TransportEnd(loop: loop)
        let outcome: Result<Void, any Error>
        do {
            let udx = try await end.bind(address)
            var tcp = udx
            if udx.family == .ipv4 { tcp.port = try TransportTCP.listen(at: udx) }
            console.emit(Ready(udx: udx.description, tcp: tcp.description), text: udx.description)
            while true { try await Task.sleep(for: .seconds(3_600)) }
        } catch {
            outcome = .failure(error)
        }
        await end.close()
        await loop.shutdown()
        try outcome.get()
    }
}
