import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench fetch`: the reader that `dweb bench` starts as a process of its own.
struct BenchFetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Fetch made-up blocks for a measurement.", shouldDisplay: false)

    struct Fetched: Codable {
        let cost: BenchCost
        let peakMemoryByteCount: UInt64
    }

    @Option var key: String
    @Option var count: UInt64
    @Flag(name: .customLong("in-memory")) var memory = false
    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let key = try PublicKey(text: key)
        let count = count
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = try network.bootstrapAddresses()
        configuration.host = try network.bindHost()
        let settings = configuration
        let isMemory = memory
        let cost = try await untilInterrupted {
            try await BenchStore.with(isMemory: isMemory) { _, store in
                try await SwarmNetworker.withNetworker(store: store, configuration: settings) { networker in
                    let database = try await store.database(key: key)
                    try await networker.join(database.discoveryKey, announce: false, lookup: true)
                    while database.length < count {
                        _ = try await database.update(upTo: .seconds(1))
                        try await Task.sleep(for: .milliseconds(5))
                    }
                    return try await BenchStore.cost { try await database.download(0..<count) }
                }
            }
        }
        let fetched = Fetched(
            cost: cost, peakMemoryByteCount: ProcessFigures.peakMemoryByteCount)
        Console(isJSON: true, isQuiet: true).emit(fetched, text: "")
    }
}
