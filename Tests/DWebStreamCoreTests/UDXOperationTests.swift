import DWebBase
import DWebStreamFuzz
import Testing

@testable import DWebStreamCore

/// Arbitrary sequences of everything that an owner can call, with hosts that come and go and packets that are bent.
@Suite struct UDXOperationTests {
    @Test(arguments: UDXSeedTests.seeds(10)) func anySequenceOfCallsHolds(seed: UInt64) throws {
        try OperationFuzz(seed: seed, bendsPackets: false).run(operationCount: 400)
    }

    @Test(arguments: UDXSeedTests.seeds(10)) func bentPacketsDoNoHarm(seed: UInt64) throws {
        try OperationFuzz(seed: seed, bendsPackets: true).run(operationCount: 400)
    }
}

private final class OperationFuzz {
    private struct Pair {
        let streams: [UDXStream]
        var written: [[UInt8]] = [[], []]
    }

    private let seed: UInt64
    private let bendsPackets: Bool
    private var random: SplitMix64
    private let network: SimulatedNetwork
    private var pairs: [Pair] = []
    private var nextID: UInt32 = 1
    private var recent: [SentDatagram] = []

    init(seed: UInt64, bendsPackets: Bool) {
        self.seed = seed
        self.bendsPackets = bendsPackets
        random = SplitMix64(seed: seed &* 0x51ed)
        network = SimulatedNetwork(
            seed: seed,
            conditions: PathConditions(
                latency: 3_000_000, jitter: 2_000_000, loss: seed % 2 == 0 ? 0 : 0.05, duplication: 0.02,
                bytesPerSecond: 3_000_000, queueByteCount: 60_000, mtu: seed % 3 == 0 ? 1_280 : 1_500))
        network.records = false
        _ = (network.addNode(socketCount: 2), network.addNode(socketCount: 2))
    }

    private func pick(_ count: Int) -> Int { Int(random.next() % UInt64(max(1, count))) }

    func run(operationCount: Int) throws {
        network.drops = { [unowned self] datagram in
            if recent.count >= 64 { recent.removeFirst() }
            recent.append(datagram)
            return false
        }
        network.check = { [unowned self] in checkBounds() }
        defer {
            network.check = nil
            network.drops = nil
        }
        for _ in 0..<operationCount {
            try operate()
            if bendsPackets, pick(3) == 0 { bend() }
            if pick(3) == 0 { network.run(for: .microseconds(pick(20_000))) }
        }
        network.run(for: .seconds(40))
        for (index, pair) in pairs.enumerated() where !bendsPackets { checkBytes(pair, index) }
        for pair in pairs { for stream in pair.streams { stream.destroy() } }
        network.run(for: .seconds(60))
        for node in network.nodes {
            #expect(node.multiplexer.streamCount == 0, "seed \(seed)")
            #expect(node.multiplexer.nextDeadline == nil, "seed \(seed)")
        }
    }

    private func operate() throws {
        if pairs.isEmpty || (pairs.count < 12 && pick(20) == 0) { return try addPair() }
        let index = pick(pairs.count)
        let side = pick(2)
        let stream = pairs[index].streams[side]
        let peer = pairs[index].streams[1 - side]
        switch pick(100) {
        case ..<45:
            let bytes = testBytes(1 + pick(20_000), seed: random.next())
            guard stream.unacknowledgedByteCount < 500_000 else { return }
            if (try? stream.write(bytes)) != nil { pairs[index].written[side] += bytes }
        case ..<60: network.nodes[side].received[stream.localID, default: []] += stream.readAll()
        case ..<65: network.nodes[side].readsAutomatically.toggle()
        case ..<72: _ = try? stream.sendMessage(testBytes(pick(stream.messageByteLimit)))
        case ..<76: try? stream.end()
        case ..<78: if pick(3) == 0 { stream.destroy() }
        case ..<86:
            // Another socket of the same host on either side.
            let own = network.nodes[side].sockets[pick(2)]
            let address = network.nodes[1 - side].addresses[pick(2)]
            try? stream.changeRemote(on: own, remoteID: peer.localID, address: address)
        case ..<88: network.jump(by: .milliseconds(pick(30_000)))
        case ..<90: network.conditions.mtu = [1_200, 1_280, 1_500][pick(3)]
        case ..<92: network.conditions.bytesPerSecond = [50_000, 3_000_000, 30_000_000][pick(3)]
        case ..<94:
            let other = pairs[pick(pairs.count)].streams[side]
            // Only one host relays: two that relay to each other pass packets round for ever, as the protocol has it.
            if other !== stream, bendsPackets, side == 0 { try? stream.relay(to: other) }
        default: _ = stream.statistics
        }
    }

    private func addPair() throws {
        let ids = [nextID, nextID + 1]
        nextID += 2
        var options = UDXStreamOptions()
        let sequence = UInt32(truncatingIfNeeded: random.next())
        options.initialSequence = sequence
        options.initialAcknowledgement = sequence
        options.congestion = pick(2) == 0 ? .bbr : .cubic
        options.receiveWindowByteCount = [4 << 20, 20_000][pick(2)]
        options.acknowledgesEveryPacket = pick(2) == 0
        options.isECNEnabled = pick(2) == 0
        options.keepAliveInterval = pick(3) == 0 ? .seconds(1) : nil
        options.idleTimeout = pick(3) == 0 ? .seconds(30) : nil
        let streams = try (0..<2).map { side in
            try network.nodes[side].multiplexer.createStream(localID: ids[side], options: options) { _ in .accept }
        }
        for side in 0..<2 where pick(10) != 0 {
            try streams[side].connect(
                on: network.nodes[side].sockets[0], remoteID: ids[1 - side],
                address: network.nodes[1 - side].addresses[0])
        }
        pairs.append(Pair(streams: streams))
    }

    /// Sends a packet of before again with something changed in it.
    private func bend() {
        guard let original = recent.isEmpty ? nil : recent[pick(recent.count)] else { return }
        var bytes = original.bytes
        for _ in 0...pick(3) where !bytes.isEmpty {
            switch pick(4) {
            // DESTROY would end most streams at once.
            case 0: if bytes.count > 2 { bytes[2] = UInt8(truncatingIfNeeded: random.next()) & 0xef }
            case 1: bytes[pick(min(bytes.count, 40))] ^= UInt8(truncatingIfNeeded: 1 << pick(8))
            case 2: bytes.removeLast(pick(bytes.count))
            default: bytes += testBytes(pick(60), seed: random.next())
            }
        }
        network.inject(bytes, from: original.source, to: original.destination)
    }

    /// What one side read is the beginning of what the other wrote, and all of it if both finished.
    private func checkBytes(_ pair: Pair, _ index: Int) {
        for side in 0..<2 {
            let reader = pair.streams[1 - side]
            let received = network.nodes[1 - side].received[reader.localID, default: []] + reader.readAll()
            let isPrefix = pair.written[side].starts(with: received)
            #expect(isPrefix, "seed \(seed), pair \(index), side \(side): \(received.count)")
            if pair.streams.allSatisfy({ $0.closeReason == .finished }) {
                #expect(received.count == pair.written[side].count, "seed \(seed), pair \(index), side \(side)")
            }
        }
    }

    private func checkBounds() {
        for pair in pairs {
            for stream in pair.streams {
                let problem = stream.brokenInvariant
                #expect(problem == nil, "seed \(seed)")
            }
        }
    }
}
