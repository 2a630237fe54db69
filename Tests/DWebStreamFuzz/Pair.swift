import DWebBase
import DWebStreamCore

/// Two hosts, the streams between them, and the datagrams that are under way.
final class Pair {
    /// One end of a stream, with what went through it. Bytes follow from their position, so that none are kept.
    private final class End {
        let stream: UDXStream
        var writtenCount = 0
        var readCount = 0
        var isClosed = false

        init(stream: UDXStream) { self.stream = stream }
    }

    private struct Datagram {
        let destination: SocketAddress
        let source: SocketAddress
        let bytes: [UInt8]
    }

    private static let streamCount = 2
    private static let underWayLimit = 4_096
    private static let unacknowledgedLimit = 400_000
    private var now = MonotonicTime(milliseconds: 1_000)
    private let hosts = [UDXMultiplexer(), UDXMultiplexer()]
    /// By host, then socket.
    private var sockets: [[SocketID]] = [[], []]
    private var addresses: [[SocketAddress]] = [[], []]
    /// By stream, then host.
    private var ends: [[End]] = []
    private var underWay: [Datagram] = []

    static func options(_ script: inout Script) -> UDXStreamOptions {
        var options = UDXStreamOptions()
        let choice = script.byte()
        options.congestion = choice & 1 == 0 ? .bbr : .cubic
        options.acknowledgesEveryPacket = choice & 2 != 0
        options.isECNEnabled = choice & 4 != 0
        options.receiveWindowByteCount = choice & 8 == 0 ? 16 << 20 : 9_000
        options.sourcePolicy = choice & 16 == 0 ? .any : .remote
        options.idleTimeout = choice & 32 == 0 ? nil : .seconds(20)
        options.keepAliveInterval = choice & 64 == 0 ? nil : .seconds(3)
        let sequence: UInt32 = choice & 128 == 0 ? 0 : .max - 3
        options.initialSequence = sequence
        options.initialAcknowledgement = sequence
        return options
    }

    init(_ script: inout Script) {
        for host in 0..<2 {
            for number in 0..<2 {
                sockets[host].append(hosts[host].addSocket(family: .ipv4))
                addresses[host].append(
                    SocketAddress(ipv4: 10, 0, 0, UInt8(host + 1), port: UInt16(500 + number)))
            }
        }
        for index in 0..<Pair.streamCount {
            let options = Pair.options(&script)
            ends.append(
                (0..<2).map { host in
                    // Nothing else has an id yet, so that none is taken.
                    let stream = try? hosts[host].createStream(
                        localID: UInt32(index), options: options, firewall: { _ in .accept })
                    guard let stream else { preconditionFailure("a new host refuses a stream") }
                    try? stream.connect(
                        on: sockets[host][0], remoteID: UInt32(index), address: addresses[1 - host][0])
                    return End(stream: stream)
                })
        }
    }

    private static func byte(at position: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: position &* 31 ^ position >> 8)
    }

    /// Does one thing that the script says.
    func operate(_ script: inout Script) {
        let action = script.byte()
        let host = Int(action >> 7)
        let end = ends[Int(action >> 6) % Pair.streamCount][host]
        switch action % 16 {
        case 0, 1: write(Int(script.byte()) * 40 + 1, to: end)
        case 2: read(end)
        case 3: try? end.stream.end()
        case 4...6: run(for: .milliseconds(script.duration()), deliveringUpTo: .max)
        case 7: deliver(script.number(below: 256))
        case 8: lose(script.number(below: 256))
        case 9: duplicate(script.number(below: 256))
        case 10: _ = try? end.stream.sendMessage([UInt8](repeating: 9, count: script.number(below: 256)))
        case 11:
            try? end.stream.changeRemote(
                on: sockets[host][script.number(below: 2)], remoteID: end.stream.localID,
                address: addresses[1 - host][script.number(below: 2)])
        case 12: if script.byte() > 200 { end.stream.destroy() }
        case 13: run(for: .milliseconds(script.duration()), deliveringUpTo: script.number(below: 8))
        case 14: underWay.removeAll()
        default: underWay.reverse()
        }
    }

    private func write(_ count: Int, to end: End) {
        guard end.stream.unacknowledgedByteCount < Pair.unacknowledgedLimit else { return }
        let bytes = (0..<count).map { Pair.byte(at: end.writtenCount + $0) }
        if (try? end.stream.write(bytes)) != nil { end.writtenCount += count }
    }

    private func read(_ end: End) {
        for byte in end.stream.readAll() {
            StreamFuzz.expect(byte == Pair.byte(at: end.readCount), "another byte at \(end.readCount)")
            end.readCount += 1
        }
    }

    /// Lets time pass, in which at most `limit` datagrams arrive.
    private func run(for duration: Duration, deliveringUpTo limit: Int) {
        transmit()
        var left = limit
        while left > 0, !underWay.isEmpty {
            deliver(0)
            transmit()
            left -= 1
        }
        now = now + duration
        for host in hosts { host.wake(now: now) }
        transmit()
    }

    private func deliver(_ index: Int) {
        guard !underWay.isEmpty else { return }
        let datagram = underWay.remove(at: index % underWay.count)
        for host in 0..<2 {
            guard let number = addresses[host].firstIndex(of: datagram.destination) else { continue }
            var batch = DatagramBatch()
            batch.append(datagram.bytes, address: datagram.source)
            _ = hosts[host].handle(batch, on: sockets[host][number], now: now)
        }
        takeEvents()
    }

    private func lose(_ index: Int) {
        if !underWay.isEmpty { underWay.remove(at: index % underWay.count) }
    }

    private func duplicate(_ index: Int) {
        if !underWay.isEmpty { underWay.append(underWay[index % underWay.count]) }
    }

    private func transmit() {
        for host in 0..<2 {
            hosts[host].transmit(now: now) { socket, batch in
                for entry in batch.entries where underWay.count < Pair.underWayLimit {
                    underWay.append(
                        Datagram(
                            destination: entry.address, source: addresses[host][socket.index],
                            bytes: batch.payload(of: entry)))
                }
            }
        }
        takeEvents()
    }

    private func takeEvents() {
        for host in 0..<2 {
            while let (stream, event) = hosts[host].pollEvent() {
                guard case .closed = event else { continue }
                let end = ends[Int(stream.localID)][host]
                StreamFuzz.expect(!end.isClosed, "a stream that closes twice")
                end.isClosed = true
            }
        }
    }

    /// What must hold after every step.
    func check() {
        for pair in ends {
            for host in 0..<2 {
                StreamFuzz.expect(pair[host].stream)
                StreamFuzz.expect(pair[host].readCount <= pair[1 - host].writtenCount, "bytes that nobody wrote")
            }
        }
    }

    /// Lets everything come to its end: a path that works again carries what is left, and nothing stays behind.
    func finish() {
        for _ in 0..<40 {
            run(for: .seconds(1), deliveringUpTo: 20_000)
            for pair in ends { for end in pair { read(end) } }
            check()
        }
        for pair in ends {
            for host in 0..<2 where pair.allSatisfy({ $0.stream.closeReason == .finished }) {
                StreamFuzz.expect(pair[host].readCount == pair[1 - host].writtenCount, "bytes that are missing")
            }
            for end in pair { end.stream.destroy() }
        }
        for _ in 0..<3 { run(for: .seconds(30), deliveringUpTo: 1_000) }
        for host in hosts {
            StreamFuzz.expect(host.streamCount == 0, "a stream that stays")
            StreamFuzz.expect(host.nextDeadline == nil, "a timer that stays")
        }
    }
}
