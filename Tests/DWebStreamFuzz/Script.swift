import DWebStreamCore

/// Small numbers out of an input, which decide what is done next; zero once it is used up.
struct Script {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var isEmpty: Bool { bytes.isEmpty }

    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    mutating func number(below limit: Int) -> Int { Int(byte()) % limit }

    /// Milliseconds, mostly few.
    mutating func duration() -> Int {
        let value = Int(byte())
        return value < 200 ? value : (value - 199) * 500
    }

    /// A datagram: three of four times a packet for the stream with numbers near the beginning, else any bytes.
    mutating func datagram(streamID: UInt32) -> [UInt8] {
        guard byte() % 4 != 3 else { return piece(limit: 60) }
        var packet: [UInt8] = []
        let flags = UDXPacketFlags(rawValue: byte())
        let (sequence, acknowledgement) = (signed(), signed())
        let count = number(below: 256)
        let blockCount = number(below: 5)
        UDXHeader(
            flags: flags, dataOffset: flags.contains(.data) ? UInt8(blockCount * SACKBlock.byteCount) : 0,
            streamID: streamID, window: UInt32(byte()) << 12, sequence: sequence, acknowledgement: acknowledgement
        ).append(to: &packet)
        for _ in 0..<blockCount {
            SACKBlock(start: signed(), end: signed()).append(to: &packet)
        }
        return packet + [UInt8](repeating: 7, count: flags.contains(.sack) && blockCount == 0 ? 0 : count)
    }

    /// A number near zero, on either side, and now and then a far one.
    private mutating func signed() -> UInt32 {
        let value = byte()
        let far = value == 255 ? UInt32(byte()) << 16 : 0
        return UInt32(truncatingIfNeeded: Int(Int8(bitPattern: value))) &+ far
    }

    private mutating func piece(limit: Int) -> [UInt8] {
        let count = min(number(below: limit), bytes.count)
        defer { bytes.removeFirst(count) }
        return Array(bytes.prefix(count))
    }
}
