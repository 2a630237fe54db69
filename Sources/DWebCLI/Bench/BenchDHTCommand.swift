import ArgumentParser
import DWeb
import DWebLab
import Foundation

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
        guard (1...100_000).contains(lookups) else { throw ValidationError("--lookups takes 1 to 100000.") }
    }

    func run() async throws {
        let console = output.console
        for count in nodes {
            let memoryBefore = ProcessFigures.residentByteCount
            let cpuBefore = ProcessFigures.processorSeconds
            var memory: UInt64 = 0
            let report = ScaleLab.run(
                nodeCount: count, seed: seed, lookupCount: lookups, includesPartition: !withoutPartition
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
            String(
                format: "  %-22@ success %5.1f %%  hops %4.2f  messages %5.1f  found %5.0f ms  99th %6.0f ms",
                name as NSString, figures.success * 100, figures.meanHopCount, figures.meanMessageCount,
                figures.medianMilliseconds, figures.slowMilliseconds)
        }
        let heal = report.healSeconds.map { String(format: "%.0f s", $0) } ?? "not measured, or not within 10 min"
        return [
            "\(report.nodeCount) nodes: \(line.bytesPerNode) bytes each, "
                + String(
                    format: "table %.0f, joining %.0f datagrams, idle %.2f datagrams/s, %.1f s CPU",
                    report.meanTableCount, report.joinMessageCount, report.idleMessageRate, line.cpuSeconds),
            lookups("healthy", report.healthy), lookups("a tenth vanished", report.afterTenth),
            lookups("half vanished", report.afterHalf), "  healed after a partition in \(heal)",
        ].joined(separator: "\n")
    }
}
