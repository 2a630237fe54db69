import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench`: figures of this machine, to compare with each other and with other runs.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure appending, reading and replication between two processes.",
        discussion: """
            Replication runs between two processes over UDX on loopback, with a private DHT in a third. Stores are on \
            disk unless --memory. Compare figures of one run with each other; machines and moments differ. Processor \
            time, all threads of the process together, depends little on what else the machine does, allocations not at \
            all (Tests/netlab/allocations counts them); between processes, both are the reader's. 'Signature and records \
            alone' is what appends cost without a log: the same records in a store of their own, and a signature for each.
            """,
        subcommands: [
            TransportCommand.self, BenchTreeCommand.self, BenchShareCommand.self, BenchTestnetCommand.self,
            BenchTopicsCommand.self, BenchIdleCommand.self, BenchDHTCommand.self, BenchNATCommand.self,
            BenchOpenCommand.self, BenchOpenCommand.Again.self, BenchPeerCommand.self, BenchFetchCommand.self,
        ])

    @Flag(help: "A tenth of the work.")
    var quick = false

    @Flag(help: "Keep the logs in memory.")
    var memory = false

    /// The measurements by name.
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case log, inside, small, large
    }

    @Option(
        help:
            """
            Measure only this: 'log' appends and reads, 'inside' replicates inside one process, 'small' blocks of 100 B \
            between two, 'large' blocks of 64 KiB.
            """)
    var only: Part?

    @OptionGroup var output: OutputOptions

    private struct Bootstrap: Decodable { let bootstrap: String }

    private struct Figure: Encodable {
        let name: String
        let value: Double
        let unit: String
    }

    func run() async throws {
        let console = output.console
        let scale: UInt64 = quick ? 10 : 1
        for part in only.map({ [$0] }) ?? Part.allCases {
            switch part {
            case .log: try await measureLocal(scale, console)
            case .small: try await measureReplication(count: 100_000 / scale, size: 100, console)
            case .large: try await measureReplication(count: 2_000 / scale, size: 65_536, console)
            case .inside:
                for (count, size) in [(100_000 / scale, 100), (2_000 / scale, 65_536)] {
                    let cost = try await BenchInside.cost(count: count, size: size, isMemory: memory)
                    report("replicate \(count) x \(size) B inside one process", count, size: size, cost, console)
                }
            }
        }
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ console: Console) {
        let figure = Figure(name: name, value: value, unit: unit)
        let padded = name.padded(to: 60)
        console.emit(figure, text: "\(padded) \(value.text(decimals: 1, width: 12)) \(unit)")
    }

    private func report(_ name: String, _ count: UInt64, size: Int? = nil, _ cost: BenchCost, _ console: Console) {
        report(name, Double(count) / cost.seconds, "blocks/s", console)
        if let size { report(name + ", payload", Double(count) * Double(size) / cost.seconds / 1e6, "MB/s", console) }
        report(name + ", processor time", cost.processorSeconds / Double(count) * 1e6, "us/block", console)
        if let allocations = cost.allocationCount {
            report(name + ", allocations", Double(allocations) / Double(count), "per block", console)
        }
    }

    private func measureLocal(_ scale: UInt64, _ console: Console) async throws {
        let isMemory = memory
        try await BenchStore.with(isMemory: isMemory) { runtime, store in
            // Measured on the runtime's own thread, where an application's work can run too.
            try await BenchStore.onLoop(of: runtime) {
                let block = [UInt8](repeating: 0x61, count: 100)
                let single = try await store.database(named: "single")
                let singleCount = 20_000 / scale
                let singleCost = try await BenchStore.cost {
                    for _ in 0..<singleCount { try await single.append(block) }
                }
                report("append, one by one", singleCount, singleCost, console)
                let batch = try await store.database(named: "batch")
                let batchCount = 500 / scale
                let blocks = [[UInt8]](repeating: block, count: 1_000)
                let batchCost = try await BenchStore.cost {
                    for _ in 0..<batchCount { try await batch.append(blocks) }
                }
                report("append, batches of 1,000", batchCount * 1_000, batchCost, console)
                let getCount = min(100_000 / scale, batch.length)
                let getCost = try await BenchStore.cost {
                    for index in 0..<getCount { _ = try await batch.block(at: index, .localOnly) }
                }
                report("get, sequential", getCount, getCost, console)
            }
        }
        if !isMemory { try await measureFloor(singleCount: 20_000 / scale, batchCount: 500 / scale, console) }
    }

    private func measureFloor(singleCount: UInt64, batchCount: UInt64, _ console: Console) async throws {
        let path = BenchStore.folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await BenchStore.with(MemoryStorage(), at: path) { runtime, _ in
            let store = try await RocksStorage().open(path, options: StorageOptions())
            try await BenchStore.onLoop(of: runtime) {
                var single = BenchFloor(blockByteCount: 100, pointer: 1)
                let singleCost = try await single.cost(singleCount, blockCount: 1, in: store)
                report("signature and records alone, one by one", singleCount, singleCost, console)
                var batch = BenchFloor(blockByteCount: 100, pointer: 2)
                let batchCost = try await batch.cost(batchCount, blockCount: 1_000, in: store)
                report("signature and records alone, batches of 1,000", batchCount * 1_000, batchCost, console)
            }
            await store.close()
        }
    }

    private func measureReplication(count: UInt64, size: Int, _ console: Console) async throws {
        let testnet = try ChildProgram(["testnet", "--nodes", "3", "--port", "0", "--json"], isSilent: true)
        defer { testnet.stop() }
        let bootstrap = try testnet.readValue(Bootstrap.self).bootstrap
        let peer = try ChildProgram(
            ["bench", "peer", "--count", "\(count)", "--size", "\(size)", "--bootstrap", bootstrap]
                + (memory ? ["--in-memory"] : []))
        defer { peer.stop() }
        let ready = try peer.readValue(BenchPeerCommand.Ready.self)
        let reader = try ChildProgram(
            ["bench", "fetch", "--key", ready.key, "--count", "\(count)", "--bootstrap", bootstrap]
                + (memory ? ["--in-memory"] : []))
        defer { reader.stop() }
        let fetched = try reader.readValue(BenchFetchCommand.Fetched.self)
        let label = "replicate \(count) x \(size) B"
        // Processor time and allocations are the reader's.
        report(label, count, size: size, fetched.cost, console)
        report(label + ", memory of the reader", Double(fetched.peakMemoryByteCount) / 1_048_576, "MiB", console)
        peer.stop()
        if let ended = try? peer.readValue(BenchPeerCommand.Ended.self) {
            report(label + ", memory of the writer", Double(ended.peakMemoryByteCount) / 1_048_576, "MiB", console)
        }
    }
}
