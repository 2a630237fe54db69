import ArgumentParser
import DWeb
import DWebLab
import DWebEssentials

/// `dweb bench dht`: lookups in simulated networks of any size.
struct BenchDHTCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dht", abstract: "Measure lookups in a simulated DHT of many nodes.",
        discussion: "Everything runs in this process on virtual time. 100,000 nodes take some gigabytes and minutes.")

    @Option(help: "The number of nodes; repeatable.")
    var nodes: [Int] = [1_000]

    @Option(help: "Everything random follows from it.")
    var seed: UInt64 = 1

    @Option(help: "Lookups per measurement.")
    var lookups: Int = 200

    @Option(help: "How long the network is parted in two halves, in seconds.")
    var partition: Int = 300

    @Flag(help: "Leave the partition out, which takes most of the time.")
    var withoutPartition = false

    @OptionGroup var output: OutputOptions

    private struct Line: Encodable {
        let report: ScaleReport
        let bytesPerNode: UInt64
        let cpuSeconds: Double
    }

    func validate() throws {
        guard !nodes.isEmpty, nodes.allSatisfy({ (50...1_000_000).contains($0) }) else {
            throw ValidationError("--nodes takes 50 to 1000000.")
        }
        guard (1...86_400).contains(partition) else { throw ValidationError("--partition takes 1 to 86400.") }
        guard (1...100_000).contains(lookups) else { throw ValidationError("--lookups takes 1 to 100000.") }
    }

    func run() async throws {
        let console = output.console
        for count in nodes {
            let memoryBefore = ProcessFigures.residentByteCount
            let cpuBefore = ProcessFigures.processorSeconds
            var memory: UInt64 = 0
            let report = ScaleLab.run(
                nodeCount: count, seed: seed, lookupCount: lookups,
                partitionTime: withoutPartition ? nil : .seconds(partition)
            ) { stage in
                if stage == "built" { memory = ProcessFigures.residentByteCount }
                console.say("\(count) nodes: \(stage)")
            }
            let line = Line(
                report: report, bytesPerNode: memory > memoryBefore ? (memory - memoryBefore) / UInt64(count) : 0,
                cpuSeconds: ProcessFigures.processorSeconds - cpuBefore)
            console.emit(line, text: text(line))
        }
    }

    private func text(_ line: Line) -> String {
        let report = line.report
        func lookups(_ name: String, _ figures: LookupFigures) -> String {
            "  \(name.padded(to: 22)) success \((figures.success * 100).text(decimals: 1, width: 5)) %"
                + "  hops \(figures.meanHopCount.text(decimals: 2, width: 4))"
                + "  messages \(figures.meanMessageCount.text(decimals: 1, width: 5))"
                + "  found \(figures.medianMilliseconds.text(decimals: 0, width: 5)) ms"
                + "  99th \(figures.slowMilliseconds.text(decimals: 0, width: 6)) ms"
        }
        let heal = report.healSeconds.map { $0.text(decimals: 0) + " s" } ?? "not measured, or not within 10 min"
        return [
            "\(report.nodeCount) nodes: \(line.bytesPerNode) bytes each, "
                + "table \(report.meanTableCount.text(decimals: 0)), "
                + "joining \(report.joinMessageCount.text(decimals: 0)) datagrams, "
                + "idle \(report.idleMessageRate.text(decimals: 2)) datagrams/s, "
                + "\(line.cpuSeconds.text(decimals: 1)) s CPU",
            lookups("healthy", report.healthy), lookups("a tenth vanished", report.afterTenth),
            lookups("half vanished", report.afterHalf), "  healed after a partition in \(heal)",
        ].joined(separator: "\n")
    }
}
