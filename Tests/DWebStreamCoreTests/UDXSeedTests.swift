import DWebBase
import DWebStreamFuzz
import Foundation
import Testing

@testable import DWebStreamCore

/// Whole transfers over every kind of bad path, in virtual time, with the invariants checked after every step.
///
/// A seed decides everything, and every failure names its own. `./test` runs a few dozen that are always the same and some
/// that are new; `DWEB_SEEDS=5000` or `DWEB_SEEDS=100...5000` runs others (`Tests/netlab/simulate`).
@Suite struct UDXSeedTests {
    /// Whether more was asked for than fits into every run of the tests.
    static let isThorough = ProcessInfo.processInfo.environment["DWEB_SEEDS"] != nil

    /// The seeds asked for; without a wish, `count` fixed ones and a fifth as many new ones.
    static func seeds(_ count: UInt64) -> [UInt64] {
        guard let text = ProcessInfo.processInfo.environment["DWEB_SEEDS"] else {
            return Array(1...count) + (0..<count / 5).map { _ in UInt64.random(in: 10_000..<1 << 32) }
        }
        let parts = text.split(separator: ".").compactMap { UInt64($0) }
        switch parts.count {
        case 1: return Array(1...max(1, parts[0]))
        case 2 where parts[0] <= parts[1]: return Array(parts[0]...parts[1])
        default: preconditionFailure("DWEB_SEEDS is a count or first...last")
        }
    }

    @Test(arguments: seeds(40)) func everyByteArrivesOnceAndInOrder(seed: UInt64) throws {
        try SeededTransfer(seed: seed).run()
    }
}

/// One transfer between two streams over a path that changes while it runs.
private final class SeededTransfer {
    private enum Mishap {
        case none
        case shrinkingPath
        case partition
        case clockJump
        case slowReader
        case changedRate
    }

    private static let stepLimit = 3_000_000
    private let seed: UInt64
    private var random: SplitMix64
    private let network: SimulatedNetwork
    private let left: UDXStream
    private let right: UDXStream
    private let forth: [UInt8]
    private let back: [UInt8]
    private let mishap: Mishap
    private let mishapTime: Int64
    private let mishapLength: Int64
    private var sequences: [UInt32]

    init(seed: UInt64) throws {
        self.seed = seed
        var random = SplitMix64(seed: seed &* 0x9e37)
        func pick<Value>(_ values: [Value]) -> Value { values[Int(random.next() % UInt64(values.count))] }
        var conditions = PathConditions(
            latency: pick([50_000, 5_000_000, 20_000_000, 100_000_000, 300_000_000]),
            jitter: pick([0, 0, 1_000_000, 20_000_000]), loss: pick([0, 0, 0.001, 0.01, 0.05, 0.1, 0.3]),
            duplication: pick([0, 0, 0.05, 0.3]), reordering: pick([0, 0, 0.05, 0.3]),
            reorderDelay: pick([500_000, 15_000_000]),
            bytesPerSecond: pick([nil, 30_000, 200_000, 2_000_000, 20_000_000]),
            queueByteCount: pick([6_000, 16_000, 100_000, 20_000_000]), mtu: pick([1_200, 1_280, 1_400, 1_500, 1_500]))
        if random.next() % 4 == 0 { conditions.bursts = (begin: 0.01, end: 0.2) }
        if random.next() % 3 == 0 { conditions.markQueueByteCount = conditions.queueByteCount / 4 }
        network = SimulatedNetwork(seed: seed, conditions: conditions)
        network.records = false
        _ = (network.addNode(), network.addNode())
        let sequence = pick([0, 0xffff_fff0, 0x7fff_fff0] as [UInt32])
        func options() -> UDXStreamOptions {
            var options = UDXStreamOptions()
            options.congestion = pick([.bbr, .bbr, .cubic])
            options.acknowledgesEveryPacket = pick([true, false])
            options.receiveWindowByteCount = pick([4 << 20, 4 << 20, 64_000, 5_000])
            options.phaseSeed = UInt32(truncatingIfNeeded: random.next())
            options.initialSequence = sequence
            options.initialAcknowledgement = sequence
            options.isECNEnabled = pick([true, false])
            options.sourcePolicy = pick([.any, .remote])
            options.keepAliveInterval = pick([nil, nil, .seconds(2)])
            options.idleTimeout = pick([nil, .seconds(120)])
            return options
        }
        (left, right) = try network.connectPair(options(), options())
        // A path of some kilobytes per second has little time for megabytes.
        let size = (conditions.bytesPerSecond ?? .infinity) < 100_000 || conditions.loss > 0.1 ? 40_000 : 400_000
        forth = testBytes(Int(random.next() % UInt64(size)), seed: seed)
        back = testBytes(Int(random.next() % UInt64(size / 4)), seed: seed + 1)
        mishap = pick([.none, .shrinkingPath, .partition, .clockJump, .slowReader, .changedRate])
        mishapTime = network.now + Int64(random.next() % 3_000_000_000)
        mishapLength = Int64(random.next() % 5_000_000_000)
        sequences = [left.machine.nextSequence, right.machine.nextSequence]
        self.random = random
    }

    private var streams: [UDXStream] { [left, right] }
    private var isDone: Bool { left.closeReason != nil && right.closeReason != nil }

    /// Whether the path may swallow one packet seven times, or be silent for longer than a stream waits.
    private var mayTimeOut: Bool { network.conditions.loss >= 0.1 || network.conditions.bursts != nil }

    func run() throws {
        try write(forth, to: left)
        try write(back, to: right)
        network.check = { [unowned self] in checkInvariants() }
        defer { network.check = nil }
        // Shared by both directions of the path, so that one of them may be cut.
        network.drops = { [unowned self] datagram in
            mishap == .partition && datagram.time >= mishapTime && datagram.time < mishapTime + mishapLength
                && datagram.source == network.nodes[Int(seed % 2)].addresses[0]
        }
        if mishap == .slowReader { network.nodes[1].readsAutomatically = false }
        let begin = network.now
        if network.run(for: .nanoseconds(mishapTime - network.now), until: { self.isDone }) == false { happen() }
        let limit = network.now + 1_500_000_000_000
        while network.now < limit, !isDone, network.stepCount < Self.stepLimit {
            network.run(for: mishap == .slowReader ? .milliseconds(300) : .seconds(1_500)) { [unowned self] in
                isDone || network.stepCount >= Self.stepLimit
            }
            if mishap == .slowReader { read(right, on: 1) }
        }
        if mishap == .slowReader { read(right, on: 1) }
        check(begin)
    }

    private func happen() {
        switch mishap {
        case .none, .partition, .slowReader: break
        case .shrinkingPath: network.conditions.mtu = seed % 2 == 0 ? 1_200 : 1_280
        case .clockJump: network.jump(by: seed % 2 == 0 ? .seconds(20) : .seconds(90))
        case .changedRate: network.conditions.bytesPerSecond = seed % 2 == 0 ? 100_000 : 50_000_000
        }
    }

    private func read(_ stream: UDXStream, on index: Int) {
        network.nodes[index].received[stream.localID, default: []] += stream.readAll()
    }

    private func write(_ bytes: [UInt8], to stream: UDXStream) throws {
        var offset = 0
        while offset < bytes.count {
            let count = min(bytes.count - offset, 1 + Int(random.next() % 5_000))
            try stream.write(Array(bytes[offset..<offset + count]))
            offset += count
        }
        try stream.end()
    }

    private func check(_ begin: Int64) {
        let conditions = network.conditions
        if mayTimeOut, streams.contains(where: { $0.closeReason == .timedOut }) {
            // A timeout is not announced: an end that has nothing outstanding learns of it from its owner.
            for stream in streams where stream.closeReason == nil && !stream.machine.isOutstanding { stream.destroy() }
        }
        #expect(isDone, "seed \(seed): neither end closed; \(mishap), \(conditions)")
        #expect(network.stepCount < Self.stepLimit, "seed \(seed): something goes round in circles")
        let reasons = [left.closeReason, right.closeReason]
        let received = [network.nodes[1].received[2] ?? [], network.nodes[0].received[1] ?? []]
        let isWhole = received == [forth, back]
        // Who has closed answers a late end for 20 s, which a jump of the clock takes away. If the last acknowledgement was lost
        // before, the other end finds nobody any more; every byte has arrived then.
        let isForgotten =
            mishap == .clockJump && isWhole && reasons.contains(.finished) && reasons.contains(.timedOut)
        if reasons == [.finished, .finished] {
            #expect(isWhole, "seed \(seed): \(received.map(\.count)) of \([forth, back].map(\.count))")
        } else if !isForgotten {
            #expect(mayTimeOut, "seed \(seed): \(reasons); \(mishap), \(conditions)")
            let isPrefix = forth.starts(with: received[0]) && back.starts(with: received[1])
            #expect(isPrefix, "seed \(seed)")
        }
        // Every packet has its reason: data at most some times over, one answer each, and timers once in a while.
        let packetCount = (forth.count + back.count) / 1_000 + 200
        let seconds = Int((network.now - begin) / 1_000_000_000) + 1
        #expect(network.sentCount < packetCount * 40 + seconds * 40, "seed \(seed): \(network.sentCount) packets")
        // Nothing stays behind: no timers, no streams, no memory.
        network.run(for: .seconds(60))
        for node in network.nodes {
            #expect(node.multiplexer.streamCount == 0)
            #expect(node.multiplexer.nextDeadline == nil)
        }
        for stream in streams {
            #expect(stream.machine.writing.unacknowledgedCount == 0)
            #expect(stream.machine.receiving.waitingByteCount == 0)
        }
    }

    private func checkInvariants() {
        for (index, stream) in streams.enumerated() where stream.closeReason == nil {
            let inFlight = stream.machine.packets.inFlight.count
            let window = max(1, stream.machine.peerWindow / stream.machine.payloadByteCount)
            // What was sent new was allowed; only a probe goes beyond, and a window that shrank leaves what is there.
            let newCount = stream.machine.nextSequence &- sequences[index]
            sequences[index] = stream.machine.nextSequence
            let isProbeOnly = newCount == 1 && stream.machine.tailLossProbe?.endMark == sequences[index] &- 1
            if newCount > 0, !isProbeOnly {
                let probe = stream.machine.tailLossProbe == nil ? 0 : 1
                #expect(
                    inFlight <= min(stream.machine.congestionWindow, window) + probe,
                    "seed \(seed): \(inFlight) in flight, window \(stream.machine.congestionWindow), \(window), \(stream.machine.phase)"
                )
            }
            let problem = stream.brokenInvariant
            #expect(problem == nil, "seed \(seed)")
            // Nobody here disregards the window, so that what is in order stays within it.
            #expect(
                stream.machine.receiving.unreadCount <= stream.machine.receiveLimit,
                "seed \(seed): \(stream.machine.receiving.unreadCount) unread")
        }
    }
}
