import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench tree`: puts, gets and scans of a tree, and its memory.
struct BenchTreeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tree", abstract: "Measure puts, gets and scans of a tree in a process of its own.",
        discussion: "Keys of 16 bytes in scattered order, values of 64 bytes. The store is on disk unless --in-memory.")

    @Flag(help: "A tenth of the work.")
    var quick = false

    @Option(help: "How many keys the tree has that is filled in batches, read and scanned.")
    var keys = 200_000

    @Flag(help: "Keep the tree in memory.")
    var inMemory = false

    @OptionGroup var output: OutputOptions

    private struct Figure: Encodable {
        let name: String
        let value: Double
        let unit: String
    }

    private static let singleCount = 20_000
    private static let batchSize = 1_000
    private static let getCount = 100_000

    func validate() throws {
        guard (1_000...10_000_000).contains(keys) else { throw ValidationError("--keys takes 1,000 to 10,000,000.") }
    }

    func run() async throws {
        let console = output.console
        try await BenchStore.with(isMemory: inMemory) { runtime, store in
            try await BenchStore.onLoop(of: runtime) {
                // Each with a tree of its own, which has nothing in memory yet.
                try await putSingly(DTree(try await store.database(named: "single"), runtime: runtime))
                try await putBatches(DTree(try await store.database(named: "batch"), runtime: runtime))
                try await get(DTree(try await store.database(named: "batch"), runtime: runtime))
                try await scan(DTree(try await store.database(named: "batch"), runtime: runtime))
                report(
                    "tree, peak memory", Double(ProcessFigures.peakMemoryByteCount) / 1_048_576, "MiB", console)
            }
        }
    }

    private var scale: Int { quick ? 10 : 1 }
    private var keyCount: Int { keys / scale }

    private func putSingly(_ tree: DTree) async throws {
        let count = BenchTreeCommand.singleCount / scale
        try await measure("tree put, one by one", count, "puts", output.console) {
            for index in 0..<count { try await tree.put(Self.key(index, of: count), Self.value(index)) }
        }
    }

    private func putBatches(_ tree: DTree) async throws {
        try await measure("tree put, batches of 1,000", keyCount, "puts", output.console) {
            var index = 0
            while index < keyCount {
                let batch = tree.batch()
                for _ in 0..<min(BenchTreeCommand.batchSize, keyCount - index) {
                    try await batch.put(Self.key(index, of: keyCount), Self.value(index))
                    index += 1
                }
                try await batch.flush()
            }
        }
    }

    private func get(_ tree: DTree) async throws {
        let count = BenchTreeCommand.getCount / scale
        try await measure("tree get, scattered", count, "gets", output.console) {
            for index in 0..<count {
                let key = Self.key(index &* 7_919 % keyCount, of: keyCount)
                guard try await tree.get(key, .localOnly) != nil else {
                    throw CommandFailure(.failure, "A key that was put is not there.")
                }
            }
        }
    }

    private func scan(_ tree: DTree) async throws {
        var entryCount = 0
        try await measure("tree scan", keyCount, "entries", output.console) {
            for try await _ in tree.entries(.localOnly) { entryCount += 1 }
        }
        guard entryCount == keyCount else { throw CommandFailure(.failure, "The scan missed keys.") }
    }

    /// Reports how many a second passed, and how many a second of the processor would: what others do on the machine
    /// changes the first far more than the second.
    private func measure(
        _ name: String, _ count: Int, _ unit: String, _ console: Console, _ body: () async throws -> Void
    ) async throws {
        let processor = ProcessFigures.processorSeconds
        let seconds = try await BenchStore.seconds(body)
        let used = max(1e-9, ProcessFigures.processorSeconds - processor)
        report(name, Double(count) / seconds, "\(unit)/s", console)
        report(name + ", of the processor", Double(count) / used, "\(unit)/s", console)
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ console: Console) {
        let padded = name.padded(to: 48)
        console.emit(
            Figure(name: name, value: value, unit: unit),
            text: "\(padded) \(value.text(decimals: 1, width: 12)) \(unit)")
    }

    /// Sixteen bytes, in an order that jumps about.
    private static func key(_ index: Int, of count: Int) -> [UInt8] {
        // A prime far above the count: every index gives another key.
        let scattered = (index &* 2_654_435_761) % count
        let digits = Array(String(scattered).utf8)
        return Array("key-".utf8) + [UInt8](repeating: 0x30, count: 12 - digits.count) + digits
    }

    private static func value(_ index: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 64)
    }
}
