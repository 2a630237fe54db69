import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench idle`: what a joined node costs that does nothing.
struct BenchIdleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle", abstract: "Measure the CPU time and traffic of a joined node that does nothing.",
        discussion: "The node has announced one topic on a private DHT, which runs in a process of its own.")

    @Option(help: "How long to measure, in seconds.")
    var seconds: Int = 300

    @Option(help: "The number of DHT nodes.")
    var nodes: Int = 50

    @OptionGroup var output: OutputOptions

    private struct Bootstrap: Decodable { let bootstrap: String }

    private struct Figures: Encodable {
        let seconds: Double
        let cpuPercent: Double
        let sentBytesPerSecond: Double
        let receivedBytesPerSecond: Double
        let sentPacketsPerSecond: Double
        let memoryMiB: Double
    }

    func validate() throws {
        guard (1...86_400).contains(seconds) else { throw ValidationError("--seconds takes 1 to 86400.") }
        guard (3...1_000).contains(nodes) else { throw ValidationError("--nodes takes 3 to 1000.") }
    }

    func run() async throws {
        let command = self
        try await untilInterrupted { try await command.measure() }
    }

    private func measure() async throws {
        let testnet = try ChildProgram(["testnet", "--nodes", "\(nodes)", "--port", "0", "--json"], isSilent: true)
        defer { testnet.stop() }
        guard let bootstrap = SocketAddress(text: try testnet.readValue(Bootstrap.self).bootstrap) else {
            throw CommandFailure(.failure, "The private DHT did not start.")
        }
        let loop = PosixLoop()
        let runtime = DWebRuntime.posix(loop: loop, storage: MemoryStorage())
        let swarm = DSwarm(
            identity: KeyPair(seed: Bytes32(repeating: 1)), runtime: runtime,
            configuration: .loopback(bootstrap: [bootstrap]))
        let outcome: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await swarm.run() }
                try await swarm.join(Topic(hashing: "idle"))
                await swarm.flush()
                try await Task.sleep(for: .seconds(5))
                try await observe(swarm)
                await swarm.close()
                try await group.waitForAll()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await loop.shutdown()
        try outcome.get()
    }

    private func observe(_ swarm: DSwarm) async throws {
        let start = ContinuousClock.now
        let (cpu, before) = (ProcessFigures.processorSeconds, await swarm.dht.traffic)
        try await Task.sleep(for: .seconds(seconds))
        let time = (ContinuousClock.now - start).seconds
        let after = await swarm.dht.traffic
        let figures = Figures(
            seconds: time, cpuPercent: (ProcessFigures.processorSeconds - cpu) / time * 100,
            sentBytesPerSecond: Double(after.sentByteCount - before.sentByteCount) / time,
            receivedBytesPerSecond: Double(after.receivedByteCount - before.receivedByteCount) / time,
            sentPacketsPerSecond: Double(after.sentDatagramCount - before.sentDatagramCount) / time,
            memoryMiB: Double(ProcessFigures.residentByteCount) / 1_048_576)
        output.console.emit(
            figures,
            text: """
                measured for           \(figures.seconds.text(decimals: 0)) s
                CPU                    \(figures.cpuPercent.text(decimals: 3)) %
                sent                   \(figures.sentBytesPerSecond.text(decimals: 0)) B/s in \
                \(figures.sentPacketsPerSecond.text(decimals: 2)) packets/s
                received               \(figures.receivedBytesPerSecond.text(decimals: 0)) B/s
                resident memory        \(figures.memoryMiB.text(decimals: 1)) MiB
                """)
    }
}
