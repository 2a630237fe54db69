/// The type flags of a UDX packet; spec 10 section 2.
package struct UDXPacketFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Stream bytes; consumes a sequence number.
    package static let data = UDXPacketFlags(rawValue: 0x01)
    /// The last packet of the sender's direction; consumes a sequence number, shared with ``data``.
    package static let end = UDXPacketFlags(rawValue: 0x02)
    /// Selective acknowledgement: blocks follow the header.
    package static let sack = UDXPacketFlags(rawValue: 0x04)
    /// One unordered message.
    package static let message = UDXPacketFlags(rawValue: 0x08)
    /// The sender has forgotten the stream.
    package static let destroy = UDXPacketFlags(rawValue: 0x10)
    /// Asks for an acknowledgement.
    package static let heartbeat = UDXPacketFlags(rawValue: 0x20)
    /// The sender received data that was marked for congestion. Sent only with ``UDXStreamOptions/isECNEnabled``.
    package static let congestionExperienced = UDXPacketFlags(rawValue: 0x40)
    /// The sender answers congestion marks. Sent only with ``UDXStreamOptions/isECNEnabled``.
    package static let congestionCapable = UDXPacketFlags(rawValue: 0x80)
}

/// The fixed header that begins every UDX packet; spec 10 section 2.
package struct UDXHeader: Equatable, Sendable {
    /// The size of the header in bytes.
    package static let byteCount = 20
    private static let signature: UInt16 = 0x01ff

    /// What the packet is. Unknown bits are kept, and ignored by the stream.
    package var flags: UDXPacketFlags
    /// The number of bytes between the header and the payload.
    package var dataOffset: UInt8
    /// The receiver's own id of the stream.
    package var streamID: UInt32
    /// The bytes that the sender of the packet is willing to buffer.
    package var window: UInt32
    /// The packet's own number if it has data or end, else the sender's next unused number.
    package var sequence: UInt32
    /// The next number expected from the peer.
    package var acknowledgement: UInt32

    /// A header by its fields.
    package init(
        flags: UDXPacketFlags, dataOffset: UInt8 = 0, streamID: UInt32, window: UInt32, sequence: UInt32,
        acknowledgement: UInt32
    ) {
        self.flags = flags
        self.dataOffset = dataOffset
        self.streamID = streamID
        self.window = window
        self.sequence = sequence
        self.acknowledgement = acknowledgement
    }

    /// Reads the header of the datagram in `range` of `bytes`; nil if that is a plain datagram: too short, or without
    /// the signature; spec 10 section 3.
    package init?(_ bytes: [UInt8], in range: Range<Int>) {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count, range.count >= UDXHeader.byteCount else {
            return nil
        }
        let (first, second, third) = bytes.withUnsafeBytes { raw in
            (
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt64.self)),
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: range.lowerBound + 8, as: UInt64.self)),
                UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: range.lowerBound + 16, as: UInt32.self))
            )
        }
        guard UInt16(truncatingIfNeeded: first) == UDXHeader.signature else { return nil }
        flags = UDXPacketFlags(rawValue: UInt8(truncatingIfNeeded: first >> 16))
        dataOffset = UInt8(truncatingIfNeeded: first >> 24)
        streamID = UInt32(truncatingIfNeeded: first >> 32)
        window = UInt32(truncatingIfNeeded: second)
        sequence = UInt32(truncatingIfNeeded: second >> 32)
        acknowledgement = third
    }

    /// Appends the 20 bytes of the header.
    @inline(__always)
    package func append(to bytes: inout [UInt8]) {
        let first =
            UInt64(UDXHeader.signature) | UInt64(flags.rawValue) << 16 | UInt64(dataOffset) << 24
            | UInt64(streamID) << 32
        let second = UInt64(window) | UInt64(sequence) << 32
        let words = (first.littleEndian, second.littleEndian, acknowledgement.littleEndian)
        withUnsafeBytes(of: words) { bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0.prefix(20))) }
    }

    /// The number of SACK blocks that a receiver reads from a packet with `rest` bytes after its header; spec 10
    /// section 2.1.
    package func sackBlockCount(rest: Int) -> Int {
        guard flags.contains(.sack) else { return 0 }
        let offset = Int(dataOffset)
        let area = offset > 0 && offset < rest ? offset : rest
        return min(area / SACKBlock.byteCount, UDXLimits.sackBlocksReadPerPacket)
    }
}

/// A run of packets that arrived out of order: `start` up to, but without, `end`; spec 10 section 2.1.
package struct SACKBlock: Equatable, Sendable {
    /// The size of a block on the wire in bytes.
    package static let byteCount = 8

    /// The first number of the run.
    package var start: UInt32
    /// The number after the last of the run.
    package var end: UInt32

    /// A block by its edges.
    package init(start: UInt32, end: UInt32) {
        self.start = start
        self.end = end
    }

    /// Reads the block at `offset` of `bytes`, where eight bytes must follow.
    package init(_ bytes: [UInt8], at offset: Int) {
        precondition(offset >= 0 && offset + SACKBlock.byteCount <= bytes.count, "a block lies inside its bytes")
        let word = bytes.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        start = UInt32(truncatingIfNeeded: word)
        end = UInt32(truncatingIfNeeded: word >> 32)
    }

    /// Appends the eight bytes of the block.
    package func append(to bytes: inout [UInt8]) {
        let word = (UInt64(start) | UInt64(end) << 32).littleEndian
        withUnsafeBytes(of: word) { bytes.append(contentsOf: $0) }
    }
}

/// Serial arithmetic on sequence numbers, which wrap around; spec 10 section 5.2.
extension UInt32 {
    /// How far this number lies after `other`; negative if before.
    @inline(__always)
    package func serialDistance(from other: UInt32) -> Int { Int(Int32(bitPattern: self &- other)) }

    /// Whether this number comes before `other`.
    @inline(__always)
    package func precedes(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) < 0 }
}
