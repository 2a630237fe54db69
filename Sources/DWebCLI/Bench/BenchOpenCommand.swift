import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb bench open`: how long a long log takes to open, and what it keeps in memory.
struct BenchOpenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Measure opening a long log.",
        discussion: "Fills a log on disk first: 100 million blocks take some minutes and 20 GB in the temporary folder."
    )

    @Option(help: "Blocks of one byte in the log.")
    var blocks: UInt64 = 1_000_000

    @OptionGroup var output: OutputOptions

    private struct Figures: Codable {
        let blocks: UInt64
        let storeMilliseconds: Double
        let logMilliseconds: Double
        let firstBlockMilliseconds: Double
        let memoryBeforeMiB: Double
        let memoryAfterMiB: Double
    }

    func run() async throws {
        let console = output.console
        let folder = BenchStore.folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blocks = blocks
        try await untilInterrupted {
            try await BenchStore.with(RocksStorage(), at: folder) { _, store in
                let log = try await store.database(named: "bench")
                while log.length < blocks {
                    let count = min(10_000, blocks - log.length)
                    try await log.append([[UInt8]](repeating: [0x61], count: Int(count)))
                    console.showProgress("\(Format.count(log.length)) of \(Format.count(blocks)) blocks")
                }
                console.endProgress()
            }
        }
        // Figures of a process that only opens, not of the one that wrote.
        let child = try ChildProgram(["bench", "open-again", "--folder", folder, "--json"])
        defer { child.stop() }
        let figures = try child.readValue(Figures.self)
        console.emit(
            figures,
            text: """
                blocks                 \(Format.count(figures.blocks))
                store opened in        \(figures.storeMilliseconds.text(decimals: 1)) ms
                log opened in          \(figures.logMilliseconds.text(decimals: 1)) ms
                a block in the middle  \(figures.firstBlockMilliseconds.text(decimals: 1)) ms
                memory before, after   \(figures.memoryBeforeMiB.text(decimals: 1)), \
                \(figures.memoryAfterMiB.text(decimals: 1)) MiB
                """)
    }

    /// `dweb bench open-again`: the process that opens what the other one wrote.
    struct Again: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "open-again", abstract: "Open a log for a measurement.", shouldDisplay: false)

        @Option var folder: String
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let console = output.console
            let clock = ContinuousClock()
            let start = clock.now
            try await BenchStore.with(RocksStorage(), at: folder) { _, store in
                let storeMilliseconds = (clock.now - start).milliseconds
                let memory = ProcessFigures.residentByteCount
                let opening = clock.now
                let log = try await store.database(named: "bench")
                let logMilliseconds = (clock.now - opening).milliseconds
                let reading = clock.now
                _ = try await log.block(at: log.length / 2, .localOnly)
                console.emit(
                    Figures(
                        blocks: log.length, storeMilliseconds: storeMilliseconds, logMilliseconds: logMilliseconds,
                        firstBlockMilliseconds: (clock.now - reading).milliseconds,
                        memoryBeforeMiB: Double(memory) / 1_048_576,
                        memoryAfterMiB: Double(ProcessFigures.residentByteCount) / 1_048_576), text: "")
            }
        }
    }
}
