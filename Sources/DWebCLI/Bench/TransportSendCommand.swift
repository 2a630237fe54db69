import ArgumentParser
import DWeb
import DWebStreamCore
import Foundation

/// `dweb bench transport send`: one upload to a listening end, with its figures.
struct TransportSendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send data to a listening end and print how it went.")

    enum Algorithm: String, ExpressibleByArgument, CaseIterable {
        case bbr
        case cubic
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

    @Option(help: "What either end holds unread at most, in KiB.")
    var window = 4_096

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
        let outcome = await end.upload(
            seconds == nil ? Int(megabytes * 1e6) : .max / 2, in: seconds.map { .seconds($0) }, through: stream,
            writeByteCount: write, isVerified: isVerified)
        guard let outcome else { return }
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
            text: String(
                format: "%@: %.1f Mbit/s, %.2f s, %d of %d packets sent again, %d timeouts, MTU %d",
                algorithm.rawValue, rate, outcome.seconds, statistics.retransmissions, statistics.packetsSent,
                statistics.retransmissionTimeouts, statistics.pathMTU))
        guard outcome.reason == .finished, (seconds != nil || byteCount == Int(megabytes * 1e6)),
            outcome.report?.byteCount == byteCount, outcome.report?.isIntact != false
        else { throw CommandFailure(.failure, "The transfer failed: \(outcome.reason).") }
    }
}
