import DWebBase
import DWebStreamFuzz

@testable import DWebStreamCore

/// A small generator with a seed, so that every run is the same.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True with the probability `share`.
    mutating func happens(_ share: Double) -> Bool { Double(next() >> 11) / Double(1 << 53) < share }
}

/// What a simulated path does to datagrams, in each direction.
struct PathConditions {
    var latency: Int64 = 10_000_000
    var jitter: Int64 = 0
    var loss = 0.0
    var duplication = 0.0
    var reordering = 0.0
    var reorderDelay: Int64 = 5_000_000
    /// Bytes per second of IP packets; nil unlimited.
    var bytesPerSecond: Double?
    var queueByteCount = 256 * 1_024
    /// Packets that wait longer than this many bytes are marked, if they may be; nil never.
    var markQueueByteCount: Int?
    /// The largest IP packet that passes in one piece.
    var mtu = 1_500
    /// Losses in bursts: the probability that a burst begins and ends with a packet; nil none.
    var bursts: (begin: Double, end: Double)?
}

/// A datagram as it was sent.
struct SentDatagram {
    let time: Int64
    let source: SocketAddress
    let destination: SocketAddress
    let bytes: [UInt8]
    var mark = CongestionMark.notCapable
    var isFragmentable = false

    var header: UDXHeader? { UDXHeader(bytes, in: 0..<bytes.count) }
    var flags: UDXPacketFlags { header?.flags ?? [] }
    var isNumbered: Bool { !flags.isDisjoint(with: [.data, .end]) }
}

/// A host: one multiplexer with its sockets, and what its streams reported.
final class SimulatedNode {
    let multiplexer = UDXMultiplexer()
    fileprivate(set) var sockets: [SocketID] = []
    fileprivate(set) var addresses: [SocketAddress] = []
    var received: [UInt32: [UInt8]] = [:]
    var log: [UInt32: [UDXEvent]] = [:]
    var plainCount = 0
    var readsAutomatically = true
    var onEvent: ((UDXStream, UDXEvent) -> Void)?

    fileprivate func drainEvents() {
        while let (stream, event) = multiplexer.pollEvent() {
            if event == .readable {
                if readsAutomatically { received[stream.localID, default: []] += stream.readAll() }
            } else {
                log[stream.localID, default: []].append(event)
            }
            onEvent?(stream, event)
        }
    }

    func closeReason(_ id: UInt32) -> UDXCloseReason? {
        guard case .closed(let reason)? = log[id]?.last else { return nil }
        return reason
    }
}

/// Hosts joined by paths, in virtual time.
final class SimulatedNetwork {
    private struct Delivery {
        let time: Int64
        let order: Int
        let datagram: SentDatagram
    }

    private(set) var nodes: [SimulatedNode] = []
    var conditions: PathConditions
    var now: Int64 = 1_000_000_000
    /// Every datagram sent, also those lost later, if ``records`` is set.
    private(set) var sent: [SentDatagram] = []
    var records = true
    /// How late a busy host sees its timers.
    var timerDelay: Int64 = 0
    /// Decides what is lost besides chance.
    var drops: ((SentDatagram) -> Bool)?
    /// Called after every step.
    var check: (() -> Void)?
    private var random: SplitMix64
    private var queue: [Delivery] = []
    private var order = 0
    private var owners: [SocketAddress: (node: Int, socket: SocketID)] = [:]
    private var linkFree: [Int: Int64] = [:]
    private var isInBurst: [Int: Bool] = [:]
    /// How often something happened.
    private(set) var stepCount = 0
    private(set) var sentCount = 0
    private(set) var lostToQueue = 0

    init(seed: UInt64 = 1, conditions: PathConditions = PathConditions()) {
        random = SplitMix64(seed: seed)
        self.conditions = conditions
    }

    func addNode(socketCount: Int = 1) -> SimulatedNode {
        let node = SimulatedNode()
        nodes.append(node)
        for _ in 0..<socketCount { _ = addSocket(to: nodes.count - 1) }
        return node
    }

    func addSocket(to index: Int, family: SocketAddress.Family = .ipv4) -> SocketID {
        let node = nodes[index]
        let socket = node.multiplexer.addSocket(family: family)
        let address = SocketAddress(ipv4: 10, 0, 0, UInt8(index + 1), port: UInt16(1_000 + node.sockets.count))
        node.sockets.append(socket)
        node.addresses.append(address)
        owners[address] = (index, socket)
        return socket
    }

    /// A connected pair of streams, 1 on the first node and 2 on the second.
    func connectPair(
        _ first: UDXStreamOptions = UDXStreamOptions(), _ second: UDXStreamOptions = UDXStreamOptions()
    ) throws -> (UDXStream, UDXStream) {
        let (a, b) = (nodes[0], nodes[1])
        let left = try a.multiplexer.createStream(localID: 1, options: first)
        let right = try b.multiplexer.createStream(localID: 2, options: second)
        try left.connect(on: a.sockets[0], remoteID: 2, address: b.addresses[0])
        try right.connect(on: b.sockets[0], remoteID: 1, address: a.addresses[0])
        return (left, right)
    }

    /// Injects a datagram.
    func inject(_ bytes: [UInt8], from source: SocketAddress, to destination: SocketAddress) {
        enqueue(SentDatagram(time: now, source: source, destination: destination, bytes: bytes), at: now)
    }

    private func enqueue(_ datagram: SentDatagram, at time: Int64) {
        order += 1
        let delivery = Delivery(time: time, order: order, datagram: datagram)
        var index = queue.count
        while index > 0, queue[index - 1].time > time { index -= 1 }
        queue.insert(delivery, at: index)
    }

    private func transmitAll() {
        for (index, node) in nodes.enumerated() {
            node.drainEvents()
            repeat {
                node.multiplexer.transmit(now: MonotonicTime(nanoseconds: now)) { socket, batch in
                    for entry in batch.entries {
                        let datagram = SentDatagram(
                            time: now, source: node.addresses[socket.index], destination: entry.address,
                            bytes: batch.payload(of: entry), mark: entry.congestionMark,
                            isFragmentable: entry.isFragmentable)
                        sentCount += 1
                        if records { sent.append(datagram) }
                        pass(datagram, from: index)
                    }
                }
                node.drainEvents()
            } while node.multiplexer.nextDeadline == .zero
        }
        check?()
    }

    private func pass(_ datagram: SentDatagram, from index: Int) {
        if drops?(datagram) == true { return }
        let packetByteCount = datagram.bytes.count + 28
        guard packetByteCount <= conditions.mtu || datagram.isFragmentable, !random.happens(conditions.loss) else {
            return
        }
        if let bursts = conditions.bursts {
            let isLossy = isInBurst[index] == true ? !random.happens(bursts.end) : random.happens(bursts.begin)
            isInBurst[index] = isLossy
            if isLossy, random.next() % 10 < 8 { return }
        }
        var datagram = datagram
        var departure = now
        if let rate = conditions.bytesPerSecond {
            let free = max(now, linkFree[index] ?? 0)
            let waiting = Double(free - now) / 1e9 * rate
            guard Int(waiting) + packetByteCount <= conditions.queueByteCount else {
                lostToQueue += 1
                return
            }
            if let limit = conditions.markQueueByteCount, Int(waiting) > limit, datagram.mark == .capable {
                datagram.mark = .experienced
            }
            departure = free + Int64(Double(packetByteCount) / rate * 1e9)
            linkFree[index] = departure
        }
        let copies = random.happens(conditions.duplication) ? 2 : 1
        for _ in 0..<copies {
            var arrival = departure + conditions.latency
            if conditions.jitter > 0 { arrival += Int64(random.next() % UInt64(conditions.jitter)) }
            if random.happens(conditions.reordering) { arrival += conditions.reorderDelay }
            enqueue(datagram, at: arrival)
        }
    }

    /// Runs until `condition` holds or `duration` of virtual time has passed; returns whether it holds.
    @discardableResult
    func run(for duration: Duration, until condition: () -> Bool = { false }) -> Bool {
        let limit = now + duration.wholeNanoseconds
        transmitAll()
        while !condition() {
            var next = queue.first?.time ?? .max
            for node in nodes {
                guard let deadline = node.multiplexer.nextDeadline else { continue }
                next = min(next, max(now, deadline.nanoseconds + timerDelay))
            }
            guard next <= limit else {
                now = limit
                break
            }
            now = max(now, next)
            stepCount += 1
            deliver()
            for node in nodes { node.multiplexer.wake(now: MonotonicTime(nanoseconds: now)) }
            transmitAll()
        }
        return condition()
    }

    /// Lets time pass at once, as if everything had slept: what was under way arrives afterwards, timers fire late.
    func jump(by duration: Duration) { now += duration.wholeNanoseconds }

    private func deliver() {
        var due = 0
        while due < queue.count, queue[due].time <= now { due += 1 }
        let deliveries = queue[..<due]
        queue.removeFirst(due)
        var batches: [(owner: (node: Int, socket: SocketID), batch: DatagramBatch)] = []
        for delivery in deliveries {
            guard let owner = owners[delivery.datagram.destination] else { continue }
            if let last = batches.indices.last, batches[last].owner == owner {
                batches[last].batch.append(
                    delivery.datagram.bytes, address: delivery.datagram.source,
                    congestionMark: delivery.datagram.mark)
            } else {
                var batch = DatagramBatch()
                batch.append(
                    delivery.datagram.bytes, address: delivery.datagram.source,
                    congestionMark: delivery.datagram.mark)
                batches.append((owner, batch))
            }
        }
        for (owner, batch) in batches {
            let plain = nodes[owner.node].multiplexer.handle(
                batch, on: owner.socket, now: MonotonicTime(nanoseconds: now))
            nodes[owner.node].plainCount += plain.count
        }
    }
}

/// Bytes that differ everywhere.
func testBytes(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    var bytes = [UInt8](repeating: 0, count: count)
    var word: UInt64 = 0
    for index in bytes.indices {
        if index % 8 == 0 { word = random.next() }
        bytes[index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * (index % 8)))
    }
    return bytes
}
