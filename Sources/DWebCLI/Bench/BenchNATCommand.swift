import ArgumentParser
import DWeb
import DWebLab
import DWebEssentials

/// `dweb bench nat`: the table of `docs/nat.md` over many seeds.
struct BenchNATCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nat", abstract: "Connect peers behind every pair of translator kinds, in a simulator.",
        discussion: """
            Prints, per pair, how often the two came to the path that the table promises, and how long that took in \
            virtual time. A line that fell short names its seeds and what became of them. Nothing leaves this process.
            """)

    @Option(help: "The number of runs per pair.")
    var seeds: Int = 20

    @Option(help: "The first seed of the first pair; others follow, and each further pair begins a million later.")
    var firstSeed: UInt64 = 1_000

    @Option(help: "The share of packets lost on every link, 0 to 0.5.")
    var loss: Double = 0.02

    @Option(help: "The kind of network that the dialling side has; all kinds if left out.")
    var client: String?

    @Option(help: "The kind of network that the listening side has; all kinds if left out.")
    var server: String?

    @Flag(help: "Leave the relay out: pairs that need one then fail, the others must not.")
    var withoutRelay = false

    @OptionGroup var output: OutputOptions

    /// A run that did not come to the path of the table in time.
    private struct Shortfall: Encodable {
        let seed: UInt64
        /// The path that it had in the end; nil if it did not connect.
        let path: String?
        /// Whether every byte arrived all the same.
        let isIntact: Bool
        let error: String?

        var text: String {
            "seed \(seed): " + (error ?? "\(path ?? "no path"), \(isIntact ? "every byte arrived" : "bytes were lost")")
        }
    }

    private struct Line: Encodable {
        let client: String
        let server: String
        let way: String
        let runs: Int
        let reached: Int
        let medianSeconds: Double
        let slowestSeconds: Double
        let connectMedianSeconds: Double
        let shortfalls: [Shortfall]
    }

    func validate() throws {
        guard (1...100_000).contains(seeds) else { throw ValidationError("--seeds takes 1 to 100000.") }
        guard (0...0.5).contains(loss) else { throw ValidationError("--loss takes 0 to 0.5.") }
        for text in [client, server].compactMap({ $0 }) where NATKind(rawValue: text) == nil {
            let names = NATKind.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("'\(text)' is no kind of network. There are: \(names).")
        }
    }

    func run() async throws {
        let console = output.console
        let pairs = NATPair.all.filter { pair in
            (client == nil || pair.client.rawValue == client) && (server == nil || pair.server.rawValue == server)
        }
        for (index, pair) in pairs.enumerated() where !withoutRelay || pair.way != .relay {
            // Runs of their own for each cell; a cell alone is run from its own first seed.
            let line = try measure(pair, firstSeed: firstSeed &+ UInt64(index) &* BenchNATCommand.seedSpacing)
            let text =
                "\(line.client.padded(to: 18)) \(line.server.padded(to: 18)) \(line.way.padded(to: 10)) "
                + "\("\(line.reached)".aligned(to: 5)) of \("\(line.runs)".padded(to: 5)) "
                + "median \(line.medianSeconds.text(decimals: 2, width: 6)) s  "
                + "slowest \(line.slowestSeconds.text(decimals: 2, width: 6)) s  "
                + "connected \(line.connectMedianSeconds.text(decimals: 2, width: 6)) s"
            let suffix = line.shortfalls.prefix(5).map { "  " + $0.text }.joined(separator: ";")
            console.emit(line, text: text + suffix)
        }
    }

    private static let seedSpacing: UInt64 = 1_000_000

    private func measure(_ pair: NATPair, firstSeed: UInt64) throws -> Line {
        var times: [Double] = []
        var connects: [Double] = []
        var shortfalls: [Shortfall] = []
        for number in 0..<UInt64(seeds) {
            var setup = NATLab.Setup(seed: firstSeed &+ number)
            setup.loss = loss
            setup.hasRelay = !withoutRelay
            let result = try NATLab.run(pair, setup)
            if let time = result.finalTime, time <= pair.timeLimit, result.isIntact {
                times.append(time.seconds)
                connects.append(result.connectTime?.seconds ?? 0)
            } else {
                shortfalls.append(
                    Shortfall(
                        seed: setup.seed, path: (result.finalPath ?? result.firstPath)?.rawValue,
                        isIntact: result.isIntact, error: result.error))
            }
        }
        times.sort()
        connects.sort()
        return Line(
            client: pair.client.rawValue, server: pair.server.rawValue, way: pair.way.rawValue, runs: seeds,
            reached: times.count, medianSeconds: times.isEmpty ? 0 : times[times.count / 2],
            slowestSeconds: times.last ?? 0,
            connectMedianSeconds: connects.isEmpty ? 0 : connects[connects.count / 2], shortfalls: shortfalls)
    }
}
