import ArgumentParser
import DWeb
import DWebStreamCore
import DWebEssentials

/// `dweb bench transport send`: one upload to a listening end, with its figures.
struct TransportSendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send data to a listening end and print how it went.")

    enum Algorithm: String, ExpressibleByArgument, CaseIterable {
        case bbr
        case cubic
    }

    /// What a stream looks like while it runs.
    private struct Moment: Encodable {
        let second: Double
        let megabitsPerSecond: Double
        let bytesAcknowledged: Int
        let roundTripMilliseconds: Double
        let congestionWindow: Int
        let packetsInFlight: Int
        let pacingMegabitsPerSecond: Double
        let peerWindowByteCount: Int
        let retransmissions: Int
        let pathMTU: Int
    }

    private struct Figures: Encodable {
        let algorithm: String
        let reason: String
        let byteCount: Int
        let seconds: Double
        let megabitsPerSecond: Double
        let isIntact: Bool?
        let packetsSent: Int
        let retransmissions: Int
        let retransmissionTimeouts: Int
        let tailLossProbes: Int
        let roundTripMilliseconds: Double
        let minimumRoundTripMilliseconds: Double
        let pathMTU: Int
        let pathMTUFallbacks: Int
        let congestionMarks: Int
        let senderCPUSeconds: Double
        let receiverCPUSeconds: Double?
    }

    @Option(help: "The listening end's address, as host:port.")
    var to: String

    @Option(help: "The local address to send from.")
    var from = "0.0.0.0:0"

    @Option(help: "Megabytes to send.")
    var megabytes = 100.0

    @Option(help: "Send for so many seconds, whatever that makes.")
    var seconds: Double?

    @Option(help: "Print the stream's state every so many seconds while it runs.")
    var every: Double?

    @Option(help: "What either end holds unread at most, in KiB.")
    var window = 16_384

    @Option(help: "Bytes per write.")
    var write = 65_536

    @Option(help: "The congestion controller: bbr or cubic.")
    var congestion = Algorithm.bbr

    @Option(help: "The largest IP packet of the link, in bytes.")
    var linkMTU = 1_500

    @Option(help: "Streams that send at the same time, each its own megabytes.")
    var streams = 1

    @Flag(help: "Use explicit congestion notification, if the path does.")
    var ecn = false

    @Flag(help: "Let the listening end compare every byte.")
    var verify = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...TransportPattern.chunkLimit).contains(write) else {
            throw ValidationError("--write takes 1 to \(TransportPattern.chunkLimit).")
        }
        guard (64...65_535).contains(window) else { throw ValidationError("--window takes 64 to 65535.") }
        guard every.map({ (0.01...3_600).contains($0) }) ?? true else {
            throw ValidationError("--every takes 0.01 to 3600.")
        }
        guard (1...1_000).contains(streams) else { throw ValidationError("--streams takes 1 to 1000.") }
    }

    func run() async throws {
        guard let target = SocketAddress(text: to), let local = SocketAddress(text: from) else {
            throw ValidationError("An address has the form host:port.")
        }
        let command = self
        let console = output.console
        try await untilInterrupted {
            let loop = PosixLoop()
            let end = TransportEnd(loop: loop)
            let outcome: Result<Void, any Error>
            do {
                _ = try await end.bind(local)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<command.streams {
                        group.addTask { try await command.send(from: end, to: target, console) }
                    }
                    try await group.waitForAll()
                }
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            await end.close()
            await loop.shutdown()
            try outcome.get()
        }
    }

    private func send(from end: TransportEnd, to target: SocketAddress, _ console: Console) async throws {
        let (algorithm, isVerified, isECNEnabled, linkMTU, window) = (congestion, verify, ecn, linkMTU, window)
        let stream = try await end.open(to: target) { invitation in
            invitation.algorithm = algorithm == .bbr ? .bbr : .cubic
            invitation.isVerified = isVerified
            invitation.isECNEnabled = isECNEnabled
            invitation.linkMTU = linkMTU
            invitation.windowKibibyteCount = window
        }
        let (byteCount, duration) = (seconds == nil ? Int(megabytes * 1e6) : .max / 2, seconds.map(Duration.seconds))
        let (writeByteCount, every) = (write, every)
        let outcome = await withTaskGroup(of: TransportEnd.Outcome?.self) { group in
            if let every {
                group.addTask {
                    await TransportSendCommand.watch(stream, of: end, every: every, console)
                    return nil
                }
            }
            group.addTask {
                await end.upload(
                    byteCount, in: duration, through: stream, writeByteCount: writeByteCount, isVerified: isVerified)
            }
            // The watcher only ends with the stream, or by being cancelled.
            var outcome: TransportEnd.Outcome?
            while outcome == nil, let next = await group.next() { outcome = next }
            group.cancelAll()
            return outcome
        }
        guard let outcome else { return }
        try report(outcome, console)
    }

    /// Prints the state of a stream until it is gone.
    private static func watch(_ stream: UInt32, of end: TransportEnd, every: Double, _ console: Console) async {
        let start = ContinuousClock.now
        var last = (second: 0.0, byteCount: 0)
        while (try? await Task.sleep(for: .seconds(every))) != nil, let now = await end.statistics(of: stream) {
            let second = (ContinuousClock.now - start).seconds
            let rate = Double(now.bytesAcknowledged - last.byteCount) * 8 / max(1e-6, second - last.second) / 1e6
            last = (second, now.bytesAcknowledged)
            let moment = Moment(
                second: second, megabitsPerSecond: rate, bytesAcknowledged: now.bytesAcknowledged,
                roundTripMilliseconds: (now.roundTripTime ?? .zero).seconds * 1e3,
                congestionWindow: now.congestionWindow, packetsInFlight: now.packetsInFlight,
                pacingMegabitsPerSecond: Double(now.pacingBytesPerSecond) * 8 / 1e6,
                peerWindowByteCount: now.peerWindowByteCount, retransmissions: now.retransmissions,
                pathMTU: now.pathMTU)
            console.emit(
                moment,
                text: "\(second.text(decimals: 1, width: 6)) s: \(rate.text(decimals: 1, width: 8)) Mbit/s, "
                    + "rtt \(moment.roundTripMilliseconds.text(decimals: 1, width: 6)) ms, "
                    + "window \(moment.congestionWindow), in flight \(moment.packetsInFlight), "
                    + "sent again \(moment.retransmissions)")
        }
    }

    private func report(_ outcome: TransportEnd.Outcome, _ console: Console) throws {
        let algorithm = congestion
        let statistics = outcome.statistics
        let byteCount = statistics.bytesAcknowledged
        let rate = Double(byteCount) * 8 / outcome.seconds / 1e6
        let figures = Figures(
            algorithm: algorithm.rawValue, reason: "\(outcome.reason)", byteCount: byteCount, seconds: outcome.seconds,
            megabitsPerSecond: rate, isIntact: outcome.report?.isIntact, packetsSent: statistics.packetsSent,
            retransmissions: statistics.retransmissions, retransmissionTimeouts: statistics.retransmissionTimeouts,
            tailLossProbes: statistics.tailLossProbes,
            roundTripMilliseconds: (statistics.roundTripTime ?? .zero).seconds * 1e3,
            minimumRoundTripMilliseconds: (statistics.minimumRoundTripTime ?? .zero).seconds * 1e3,
            pathMTU: statistics.pathMTU, pathMTUFallbacks: statistics.pathMTUFallbacks,
            congestionMarks: statistics.congestionMarks, senderCPUSeconds: outcome.cpuSeconds,
            receiverCPUSeconds: outcome.report?.cpuSeconds)
        console.emit(
            figures,
            text: "\(algorithm.rawValue): \(rate.text(decimals: 1)) Mbit/s, "
                + "\(outcome.seconds.text(decimals: 2)) s, \(statistics.retransmissions) of "
                + "\(statistics.packetsSent) packets sent again, \(statistics.retransmissionTimeouts) timeouts, "
                + "MTU \(statistics.pathMTU)")
        guard outcome.reason == .finished, (seconds != nil || byteCount == Int(megabytes * 1e6)),
            outcome.report?.byteCount == byteCount, outcome.report?.isIntact != false
        else { throw CommandFailure(.failure, "The transfer failed: \(outcome.reason).") }
    }
}
