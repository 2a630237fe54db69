import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench testnet`: a private DHT of real sockets in this process.
struct BenchTestnetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "testnet", abstract: "Measure a private DHT on loopback: start, queries, announcements, connects.")

    @Option(help: "The number of nodes.")
    var nodes: Int = 200

    @Option(help: "Repetitions of each measurement.")
    var rounds: Int = 200

    @Option(help: "Threads of the nodes, beside the one of who uses them. 0: all of it runs on one thread.")
    var threads: Int = 1

    @OptionGroup var output: OutputOptions

    private struct Figure: Encodable {
        let name: String
        let median: Double
        let slow: Double
        let unit: String
    }

    func validate() throws {
        guard (3...1_000).contains(nodes) else { throw ValidationError("--nodes takes 3 to 1000.") }
        guard (0...64).contains(threads) else { throw ValidationError("--threads takes 0 to 64.") }
        guard (1...100_000).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100000.") }
    }

    func run() async throws {
        let command = self
        try await untilInterrupted { try await command.measure() }
    }

    private func measure() async throws {
        let console = output.console
        let loops = (0...threads).map { _ in PosixLoop() }
        let runtimes = loops.map { DWebRuntime.posix(loop: $0, storage: MemoryStorage()) }
        let user = runtimes[0]
        let outcome: Result<Void, any Error>
        do {
            ProcessMemory.giveBackUnused()
            let before = ProcessFigures.residentByteCount
            let places = try await TestNet.freePlaces(runtime: user, nodeCount: nodes)
            let net = TestNet(
                places: places.enumerated().map { index, place in
                    (threads == 0 ? user : runtimes[1 + index % threads], place.address)
                })
            let start = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await net.run() }
                guard await net.ready() else { throw CommandFailure(.failure, "The network did not start.") }
                let started = ContinuousClock.now - start
                report("start of \(nodes) nodes", [started.seconds], "s", console)
                // As `dweb testnet` does.
                ProcessMemory.giveBackUnused()
                let memory = Double(ProcessFigures.residentByteCount) / 1_048_576
                report("memory of this process", [memory], "MiB", console)
                report(
                    "memory of the nodes", [memory - Double(before) / 1_048_576], "MiB", console)
                try await BenchStore.onLoop(of: user) { try await measureUse(net, user, console) }
                await net.close()
                try await group.waitForAll()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        for loop in loops { await loop.shutdown() }
        try outcome.get()
    }

    private func measureUse(_ net: TestNet, _ runtime: DWebRuntime, _ console: Console) async throws {
        let server = DHTNode(runtime: runtime, configuration: .loopback(bootstrap: net.bootstrap))
        let client = DHTNode(runtime: runtime, configuration: .loopback(bootstrap: net.bootstrap))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in [server, client] { group.addTask { try await node.run() } }
            for node in [server, client] { _ = await node.bootstrapped() }
            try await report("find-node query", console) { index in
                _ = try await client.findNodes(near: Topic(hashing: "\(index)").bytes32)
            }
            try await report("lookup", console) { index in
                _ = try await client.lookup(Topic(hashing: "nobody \(index)"))
            }
            try await report("announce", console) { index in
                _ = try await client.announce(Topic(hashing: "\(index)"), as: KeyPair(seed: Bytes32(repeating: 1)))
            }
            let listener = try await server.listen(as: KeyPair(seed: Bytes32(repeating: 2)))
            try await report("connect by key", console) { _ in
                let connection = try await client.connect(
                    to: listener.publicKey, as: KeyPair(seed: Bytes32(repeating: 1)))
                var iterator = listener.connections.makeAsyncIterator()
                // As seen by both: the listening side has it too.
                let incoming = await iterator.next()
                connection.abort()
                incoming?.abort()
            }
            for node in [server, client] { await node.close() }
            try await group.waitForAll()
        }
    }

    private func report(
        _ name: String, _ console: Console, _ body: (Int) async throws -> Void
    ) async throws {
        for index in 0..<10 { try await body(1_000_000 + index) }
        var times: [Double] = []
        for index in 0..<rounds {
            let start = ContinuousClock.now
            try await body(index)
            times.append((ContinuousClock.now - start).seconds * 1_000)
        }
        report(name, times, "ms", console)
    }

    private func report(_ name: String, _ values: [Double], _ unit: String, _ console: Console) {
        let sorted = values.sorted()
        let figure = Figure(
            name: name, median: sorted[sorted.count / 2], slow: sorted[min(sorted.count - 1, sorted.count * 99 / 100)],
            unit: unit)
        let text = "\(name.padded(to: 32)) \(figure.median.text(decimals: 3, width: 9)) \(unit)"
        let slow = "   99th \(figure.slow.text(decimals: 3, width: 9)) \(unit)"
        console.emit(figure, text: sorted.count == 1 ? text : text + slow)
    }
}
