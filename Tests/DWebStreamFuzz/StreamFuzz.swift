import DWebBase
import DWebStreamCore

/// What a fuzzer does with the stream transport: arbitrary datagrams, and arbitrary sequences of calls.
///
/// Each function returns for every input. A trap says that something happened which must not: bytes that nobody sent, a
/// stream that goes on for ever, memory beyond its limit. A libFuzzer target and the replay of kept inputs in the tests
/// call the same functions.
public enum StreamFuzz {
    /// Everything a stream may be given from outside: any datagrams at any times, before and after it is connected.
    public static func datagrams(_ input: [UInt8]) {
        var script = Script(input)
        var now = MonotonicTime(milliseconds: 1_000)
        let multiplexer = UDXMultiplexer()
        let sockets = [multiplexer.addSocket(family: .ipv4), multiplexer.addSocket(family: .ipv6)]
        let peer = SocketAddress(ipv4: 10, 0, 0, 2, port: 500)
        let options = Pair.options(&script)
        guard
            let stream = try? multiplexer.createStream(
                localID: 5, options: options, firewall: { _ in .acceptAndConnect(remoteID: 6) })
        else { return }
        if script.byte() % 2 == 0 { try? stream.connect(on: sockets[0], remoteID: 6, address: peer) }
        _ = try? stream.write([UInt8](repeating: 1, count: 5_000))
        var (readCount, arrivedCount) = (0, 0)
        for _ in 0..<512 where !script.isEmpty {
            now = now + .milliseconds(script.duration())
            var batch = DatagramBatch()
            for _ in 0...script.number(below: 3) {
                let datagram = script.datagram(streamID: 5)
                arrivedCount += datagram.count
                batch.append(datagram, address: peer)
            }
            _ = multiplexer.handle(batch, on: sockets[script.number(below: 2)], now: now)
            multiplexer.wake(now: now)
            multiplexer.transmit(now: now) { _, batch in
                for entry in batch.entries {
                    expect(entry.byteCount <= UDXLimits.datagramByteCount, "a datagram too large")
                }
            }
            while multiplexer.pollEvent() != nil {}
            if script.byte() % 4 != 0 { readCount += stream.readAll().count }
            expect(stream)
        }
        readCount += stream.readAll().count
        expect(readCount <= arrivedCount, "bytes that nobody sent")
    }

    /// Two hosts with a few streams between them, and everything that their owners and the path may do to them.
    public static func operations(_ input: [UInt8]) {
        var script = Script(input)
        let pair = Pair(&script)
        for _ in 0..<2_048 where !script.isEmpty {
            pair.operate(&script)
            pair.check()
        }
        pair.finish()
    }

    /// Inputs to begin with.
    public static var datagramSeeds: [[UInt8]] {
        let flags: [UInt8] = [1, 1, 5, 1, 8, 0, 0x20, 3, 2]
        let script = flags.enumerated().flatMap { index, flags in
            // Time, count, a well-formed packet with number and acknowledgement, the socket, and a read.
            [5, 0, 0, flags, UInt8(index), 0, UInt8(index / 2), 0, 40, 0, 1] as [UInt8]
        }
        return [[0, 0, 0, 0] + script, [1, 2, 3, 1] + script]
    }

    /// Inputs to begin with.
    public static var operationSeeds: [[UInt8]] {
        let plain: [UInt8] = [0, 20, 0, 4, 0, 10, 1, 30, 0, 4, 0, 10, 2, 0, 2, 1, 4, 0, 200, 3, 0, 3, 1, 4, 0, 250]
        return [
            [0, 0, 0, 0, 0, 0, 0, 0] + plain + plain,
            (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 / 7) },
        ]
    }

    static func expect(_ condition: Bool, _ problem: @autoclosure () -> String) {
        if !condition { preconditionFailure(problem()) }
    }

    static func expect(_ stream: UDXStream) {
        let problem = stream.brokenInvariant
        expect(problem == nil, problem ?? "")
    }
}
