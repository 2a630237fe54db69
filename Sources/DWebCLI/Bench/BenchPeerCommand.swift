import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench peer`: the writer that `dweb bench` starts as a process of its own.
struct BenchPeerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer", abstract: "Serve made-up blocks for a measurement.", shouldDisplay: false)

    struct Ready: Codable { let key: String }
    struct Ended: Codable { let peakMemoryByteCount: UInt64 }

    @Option var count: UInt64
    @Option var size: Int
    @Flag(name: .customLong("in-memory")) var memory = false
    @OptionGroup var network: NetworkOptions

    func run() async throws {
        let command = self
        let console = Console(isJSON: true, isQuiet: true)
        do {
            try await untilInterrupted { try await command.serve(console) }
        } catch let failure as CommandFailure where failure.status == .interrupted {
            // The measurement ends by stopping this process.
        }
        console.emit(Ended(peakMemoryByteCount: ProcessFigures.peakMemoryByteCount), text: "")
    }

    private func serve(_ console: Console) async throws {
        var configuration = SwarmNetworker.Configuration()
        configuration.bootstrap = try network.bootstrapAddresses()
        configuration.host = try network.bindHost()
        let settings = configuration
        let (count, size) = (count, size)
        try await BenchStore.with(isMemory: memory) { _, store in
            let database = try await store.database(named: "bench")
            try await BenchStore.fill(database, count: count, size: size)
            // As a publisher does, between filling its log and serving it.
            ProcessMemory.giveBackUnused()
            try await SwarmNetworker.withNetworker(store: store, configuration: settings) { networker in
                try await networker.join(database.discoveryKey, announce: true, lookup: false)
                console.emit(Ready(key: database.key.text), text: "")
                while true { try await Task.sleep(for: .seconds(3_600)) }
            }
        }
    }
}
