import ArgumentParser
import DWeb
import DWebStreamCore
import DWebEssentials

/// `dweb bench transport loopback`: the stream transport between two processes on loopback, next to plain TCP.
struct TransportLoopbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loopback", abstract: "Measure streams between two processes of this machine. The default.",
        discussion: """
            Plain streams over loopback, without encryption, beside one TCP connection with the same write sizes in the \
            same run; compare ratios, since machines and moments differ.
            """)

    @Flag(help: "A tenth of the work.")
    var quick = false

    @Option(help: "Megabytes per transfer.")
    var megabytes = 2_000

    @Option(help: "Transfers of each kind; the median counts.")
    var rounds = 5

    @OptionGroup var output: OutputOptions

    private struct Figure: Encodable {
        let name: String
        let value: Double
        let unit: String
    }

    private static let writeByteCount = 65_536
    private static let openingCount = 200
    private static let idleCount = 1_000

    func run() async throws {
        let console = output.console
        let child = try ChildProgram(["bench", "transport", "listen", "--at", "127.0.0.1:0", "--json"])
        defer { child.stop() }
        let ready = try child.readValue(TransportListenCommand.Ready.self)
        guard let udx = SocketAddress(text: ready.udx), let tcp = SocketAddress(text: ready.tcp) else {
            throw CommandFailure(.failure, "The listening process has no address.")
        }
        let loop = PosixLoop()
        let end = TransportEnd(loop: loop)
        let outcome: Result<Void, any Error>
        do {
            _ = try await end.bind(SocketAddress(ipv4: 127, 0, 0, 1, port: 0))
            try await measureThroughput(end, udx: udx, tcp: tcp, console)
            try await measureOpening(end, udx, console)
            try await measureIdle(end, udx, console)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await end.close()
        await loop.shutdown()
        try outcome.get()
    }

    private func report(_ name: String, _ value: Double, _ unit: String, _ console: Console) {
        let figure = Figure(name: name, value: value, unit: unit)
        let padded = name.padded(to: 48)
        console.emit(figure, text: "\(padded) \(value.text(decimals: 3, width: 12)) \(unit)")
    }

    private func measureThroughput(
        _ end: TransportEnd, udx: SocketAddress, tcp: SocketAddress, _ console: Console
    ) async throws {
        let byteCount = megabytes * 1_000_000 / (quick ? 10 : 1)
        let size = TransportLoopbackCommand.writeByteCount
        var tcpRates: [Double] = []
        var outcomes: [[TransportEnd.Outcome]] = [[], []]
        for _ in 0..<max(1, rounds) {
            let seconds = try TransportTCP.upload(byteCount, to: tcp, writeByteCount: size)
            tcpRates.append(Double(byteCount) / seconds / 1e6)
            for (index, algorithm) in [CongestionAlgorithm.bbr, .cubic].enumerated() {
                let stream = try await end.open(to: udx) { $0.algorithm = algorithm }
                let outcome = await end.upload(byteCount, through: stream, writeByteCount: size, isVerified: false)
                guard let outcome, outcome.reason == .finished, outcome.report?.byteCount == byteCount else {
                    throw CommandFailure(.failure, "A transfer did not finish.")
                }
                outcomes[index].append(outcome)
            }
        }
        report("TCP, one connection", TransportDistribution(tcpRates).median, "MB/s", console)
        let megabyteCount = Double(byteCount) / 1e6
        for (name, runs) in zip(["BBR", "CUBIC"], outcomes) {
            func median(_ value: (TransportEnd.Outcome) -> Double) -> Double {
                TransportDistribution(runs.map(value)).median
            }
            report("UDX \(name)", median { megabyteCount / $0.seconds }, "MB/s", console)
            let ratios = zip(runs, tcpRates).map { megabyteCount / $0.seconds / $1 }
            report("UDX \(name), share of TCP", TransportDistribution(ratios).median * 100, "%", console)
            report(
                "UDX \(name), sender's processor time", median { $0.cpuSeconds * 1e6 / megabyteCount }, "us/MB", console
            )
            report(
                "UDX \(name), receiver's processor time",
                median { ($0.report?.cpuSeconds ?? 0) * 1e6 / megabyteCount }, "us/MB", console)
            if runs.allSatisfy({ $0.allocations != nil }) {
                report(
                    "UDX \(name), sender's allocations", median { Double($0.allocations ?? 0) / megabyteCount },
                    "per MB", console)
                report(
                    "UDX \(name), receiver's allocations",
                    median { Double($0.report?.allocations ?? 0) / megabyteCount }, "per MB", console)
            }
            report("UDX \(name), retransmitted", median { Double($0.statistics.retransmissions) }, "packets", console)
        }
    }

    private func measureOpening(_ end: TransportEnd, _ udx: SocketAddress, _ console: Console) async throws {
        var delays: [Double] = []
        for _ in 0..<TransportLoopbackCommand.openingCount {
            let stream = try await end.open(to: udx) { $0.mode = .echo }
            delays.append(try await end.firstByteDelay(through: stream).seconds * 1e3)
            await end.destroy(stream)
        }
        let distribution = TransportDistribution(delays)
        report("First byte there and back, median", distribution.median, "ms", console)
        report("First byte there and back, 99 of 100", distribution.quantile(0.99), "ms", console)
    }

    private func measureIdle(_ end: TransportEnd, _ udx: SocketAddress, _ console: Console) async throws {
        let before = TransportFigures.residentByteCount
        for _ in 0..<TransportLoopbackCommand.idleCount {
            let stream = try await end.open(to: udx) { $0.mode = .echo }
            _ = try await end.firstByteDelay(through: stream)
        }
        let after = TransportFigures.residentByteCount
        try await Task.sleep(for: .seconds(1))
        let cpu = TransportFigures.cpuSeconds
        try await Task.sleep(for: .seconds(quick ? 2 : 10))
        let used = TransportFigures.cpuSeconds - cpu
        let count = await end.streamCount
        report("Idle streams", Double(count), "streams", console)
        if let before, let after {
            report("Idle streams, memory they added", Double(after - before) / 1_048_576, "MiB", console)
        }
        report("Idle streams, share of one processor", used / (quick ? 2 : 10) * 100, "%", console)
    }
}
