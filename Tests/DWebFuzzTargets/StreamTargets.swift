import DWebBase
import DWebStreamCore

let streamTargets: [FuzzTarget] = [
    FuzzTarget("udx", seeds: { [udxScript()] }) { input in
        var script = InputScript(input)
        var now = MonotonicTime.zero
        let multiplexer = UDXMultiplexer()
        let socket = multiplexer.addSocket(family: .ipv4)
        let peer = SocketAddress(ipv4: 10, 0, 0, 2, port: 500)
        guard let stream = try? multiplexer.createStream(localID: 5, firewall: { _ in .reject }) else { return }
        if script.byte() % 2 == 0 { try? stream.connect(on: socket, remoteID: 6, address: peer) }
        _ = try? stream.write([UInt8](repeating: 1, count: 5_000))
        var readByteCount = 0
        for _ in 0..<256 where !script.isEmpty {
            now = now + .milliseconds(Int64(script.byte()))
            var batch = DatagramBatch()
            for _ in 0...script.number(below: 3) { batch.append(script.piece(limit: 1_500), address: peer) }
            _ = multiplexer.handle(batch, on: socket, now: now)
            multiplexer.wake(now: now)
            multiplexer.transmit(now: now) { _, batch in
                for entry in batch.entries { check(entry.byteCount <= 65_507, "a datagram that cannot be sent") }
            }
            while multiplexer.pollEvent() != nil {}
            readByteCount += stream.read().count
        }
        check(readByteCount <= input.count, "bytes that nobody sent")
    }
]

private func udxScript() -> [UInt8] {
    var script: [UInt8] = [0]
    for number in 0..<6 {
        var packet: [UInt8] = []
        let flags: UDXPacketFlags = number == 3 ? [.data, .sack] : number == 5 ? [.end] : [.data]
        UDXHeader(
            flags: flags, dataOffset: number == 3 ? UInt8(SACKBlock.byteCount) : 0, streamID: 5, window: 1 << 20,
            sequence: UInt32(number), acknowledgement: UInt32(number / 2)
        ).append(to: &packet)
        if number == 3 { SACKBlock(start: 2, end: 3).append(to: &packet) }
        packet += [UInt8](repeating: UInt8(number), count: 40)
        script += [5, 0] + InputScript.piece(packet)
    }
    return script
}
