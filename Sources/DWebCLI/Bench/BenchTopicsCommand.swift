import ArgumentParser
import DWeb
import DWebEssentials
import Synchronization

/// `dweb bench topics`: many topics announced by one process, on a private DHT in another.
struct BenchTopicsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics", abstract: "Announce many topics from one process; count packets and memory.",
        discussion: """
            The DHT runs in a process of its own. Ends when every topic was announced once and --keep is over, or at \
            --limit. Some topics are then looked up: what is found is what was kept announced.
            """)

    @Option(help: "The number of topics.")
    var topics: Int = 10_000

    @Option(help: "The number of DHT nodes.")
    var nodes: Int = 200

    @Option(help: "The longest time to measure, in seconds.")
    var limit: Int = 4_000

    @Option(help: "How long to go on once every topic was announced, in seconds.")
    var keep: Int = 0

    @Option(help: "The number of topics that are looked up at the end.")
    var sample: Int = 200

    @OptionGroup var output: OutputOptions

    private struct Bootstrap: Decodable { let bootstrap: String }

    private struct Figures: Encodable {
        let topics: Int
        let announced: Int
        /// Until every topic was announced once; nil if that was not reached.
        let announceSeconds: Double?
        let seconds: Double
        let packetsSent: UInt64
        let mostPacketsPerSecond: UInt64
        /// Without answers to others.
        let mostRequestsPerSecond: UInt64
        let peakMemoryMiB: Double
        let cpuSeconds: Double
        let sampled: Int
        let found: Int
        /// Of the topics that were found, how many nodes answered with this peer, on the average.
        let meanHolderCount: Double
    }

    func validate() throws {
        guard (1...1_000_000).contains(topics) else { throw ValidationError("--topics takes 1 to 1000000.") }
        guard (3...1_000).contains(nodes) else { throw ValidationError("--nodes takes 3 to 1000.") }
        guard limit > 0, keep >= 0 else { throw ValidationError("--limit and --keep take seconds.") }
        guard sample >= 0 else { throw ValidationError("--sample takes a number of topics.") }
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
        var configuration = SwarmConfiguration.loopback(bootstrap: [bootstrap])
        configuration.withdrawalTimeLimit = .zero
        let swarm = DSwarm(
            identity: KeyPair(seed: Bytes32(repeating: 1)), runtime: runtime, configuration: configuration)
        let outcome: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await swarm.run() }
                _ = await swarm.dht.bootstrapped()
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

    /// The most packets in one second; where two looks lie further apart, the rate between them.
    private static func busiestSecond(_ counts: [(time: MonotonicTime, count: UInt64)]) -> UInt64 {
        var most: UInt64 = 0
        var first = 0
        for last in counts.indices.dropFirst() {
            while first + 1 < last, counts[last].time - counts[first].time > .seconds(1) { first += 1 }
            let seconds = max(1, (counts[last].time - counts[first].time).seconds)
            most = max(most, UInt64(Double(counts[last].count - counts[first].count) / seconds))
        }
        return most
    }

    private func observe(_ swarm: DSwarm) async throws {
        let console = output.console
        let start = ContinuousClock.now
        let cpu = ProcessFigures.processorSeconds
        let (begin, sentBefore, requestsBefore) = await swarm.dht.timedCounts
        for number in 0..<topics { try await swarm.join(topic(number), as: .announce) }
        // A count every tenth of a second, with its moment: a busy machine looks late.
        var counts: [(time: MonotonicTime, count: UInt64)] = [(begin, sentBefore)]
        var requestCounts: [(time: MonotonicTime, count: UInt64)] = [(begin, requestsBefore)]
        var announced = 0
        var announceTime: Duration?
        func isOver() -> Bool {
            let elapsed = ContinuousClock.now - start
            return elapsed > .seconds(limit) || announceTime.map { elapsed - $0 >= .seconds(keep) } ?? false
        }
        while !isOver() {
            try await Task.sleep(for: .milliseconds(100))
            let (time, count, requestCount) = await swarm.dht.timedCounts
            counts.append((time, count))
            requestCounts.append((time, requestCount))
            guard counts.count % 50 == 0 else { continue }
            announced = await swarm.announcedTopicCount
            if announced == topics, announceTime == nil { announceTime = ContinuousClock.now - start }
            console.showProgress("\(announced) of \(topics) topics, \(count - sentBefore) packets")
        }
        console.endProgress()
        let most = BenchTopicsCommand.busiestSecond(counts)
        let mostRequests = BenchTopicsCommand.busiestSecond(requestCounts)
        let seconds = (ContinuousClock.now - start).seconds
        let peakMemory = Double(ProcessFigures.peakMemoryByteCount) / 1_048_576
        let cpuSeconds = ProcessFigures.processorSeconds - cpu
        let holders = try await lookUpSample(swarm)
        let found = holders.filter { $0 > 0 }
        let figures = Figures(
            topics: topics, announced: announced, announceSeconds: announceTime?.seconds, seconds: seconds,
            packetsSent: counts[counts.count - 1].count - sentBefore, mostPacketsPerSecond: most,
            mostRequestsPerSecond: mostRequests, peakMemoryMiB: peakMemory, cpuSeconds: cpuSeconds,
            sampled: holders.count, found: found.count,
            meanHolderCount: Double(found.reduce(0, +)) / Double(max(1, found.count)))
        console.emit(
            figures,
            text: """
                \(figures.announced) of \(topics) topics in \(Int(figures.announceSeconds ?? seconds)) s
                measured               \(Int(seconds)) s
                packets sent           \(figures.packetsSent)
                most in one second     \(figures.mostPacketsPerSecond)
                without answers        \(figures.mostRequestsPerSecond)
                peak memory            \(figures.peakMemoryMiB.text(decimals: 1)) MiB
                CPU                    \(figures.cpuSeconds.text(decimals: 1)) s
                found at the end       \(figures.found) of \(figures.sampled), at \(figures.meanHolderCount.text(decimals: 1)) nodes each
                """)
    }

    private func topic(_ number: Int) -> Topic { Topic(hashing: "topic \(number)") }

    /// For topics from all over: the number of nodes that name this peer.
    private func lookUpSample(_ swarm: DSwarm) async throws -> [Int] {
        let key = swarm.identity.publicKey
        var counts: [Int] = []
        for number in stride(from: 0, to: topics, by: max(1, topics / max(1, sample))).prefix(sample) {
            let count = Mutex(0)
            try await swarm.dht.lookup(topic(number)) { peer in
                if peer.publicKey == key { count.withLock { $0 += 1 } }
            }
            counts.append(count.withLock { $0 })
        }
        return counts
    }
}
