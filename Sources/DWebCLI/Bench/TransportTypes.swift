import DWeb
import DWebStreamCore

/// What the two ends of a measurement tell each other before a stream exists: one plain datagram and its echo.
struct TransportInvitation: Equatable {
    /// What the listening end does with the stream.
    enum Mode: UInt8 {
        /// Writes a byte, takes everything in and then writes back a ``TransportReport``.
        case sink = 0
        /// Writes back what arrives.
        case echo = 1
    }

    private static let signature = Array("dweb-transport".utf8)
    private static let listenerBit: UInt32 = 1 << 31

    /// The inviting end's id of the stream.
    var streamID: UInt32
    var mode = Mode.sink
    var algorithm = CongestionAlgorithm.bbr
    /// Whether the sink compares what arrives with the pattern.
    var isVerified = false
    var isECNEnabled = false
    var linkMTU = 1_500
    /// What either end is willing to hold unread, in kibibytes.
    var windowKibibyteCount = 4_096

    init(streamID: UInt32) { self.streamID = streamID & ~Self.listenerBit }

    /// The listening end's id of the stream.
    var listenerStreamID: UInt32 { streamID | Self.listenerBit }

    /// Reads a datagram; nil if it is something else.
    init?(_ bytes: ArraySlice<UInt8>) {
        let fields = Array(bytes.dropFirst(Self.signature.count))
        guard bytes.starts(with: Self.signature), fields.count == 12, let mode = Mode(rawValue: fields[4]) else {
            return nil
        }
        self.init(streamID: fields[..<4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        self.mode = mode
        algorithm = fields[5] == 0 ? .bbr : .cubic
        isVerified = fields[6] != 0
        isECNEnabled = fields[7] != 0
        linkMTU = Int(fields[8]) | Int(fields[9]) << 8
        windowKibibyteCount = Int(fields[10]) | Int(fields[11]) << 8
    }

    /// The datagram.
    var bytes: [UInt8] {
        let id = (0..<4).map { UInt8(truncatingIfNeeded: streamID >> ($0 * 8)) }
        return Self.signature + id
            + [
                mode.rawValue, algorithm == .bbr ? 0 : 1, isVerified ? 1 : 0, isECNEnabled ? 1 : 0,
                UInt8(truncatingIfNeeded: linkMTU), UInt8(truncatingIfNeeded: linkMTU >> 8),
                UInt8(truncatingIfNeeded: windowKibibyteCount), UInt8(truncatingIfNeeded: windowKibibyteCount >> 8),
            ]
    }

    /// The stream's options at either end.
    var options: UDXStreamOptions {
        var options = UDXStreamOptions()
        options.congestion = algorithm
        options.linkMTU = linkMTU
        options.isECNEnabled = isECNEnabled
        options.receiveWindowByteCount = windowKibibyteCount * 1_024
        options.phaseSeed = streamID &* 2_654_435_761
        return options
    }
}

/// What the listening end measured of one stream, as it writes it back.
struct TransportReport: Codable {
    /// What the listening end writes at the beginning, in front of its report.
    static let mark: UInt8 = 0x61

    var byteCount: Int
    /// From the first byte to the last.
    var seconds: Double
    var cpuSeconds: Double
    /// Nil unless the process runs with an allocation counter.
    var allocations: Int?
    /// Nil unless it was asked to verify.
    var isIntact: Bool?
}

/// Bytes that a receiver can check wherever it stands: a table whose length no packet size divides, over and over.
struct TransportPattern {
    private static let period = 65_521
    private static let table: [UInt8] = {
        var state: UInt64 = 0x1234_5678_9abc_def1
        // One write of any size begins anywhere in the first period.
        return (0..<period * 3).reduce(into: []) { table, index in
            if index < period {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                table.append(UInt8(truncatingIfNeeded: state >> 33))
            } else {
                table.append(table[index - period])
            }
        }
    }()

    /// The most bytes that ``next(_:)`` makes at once.
    static let chunkLimit = period * 2
    private var offset = 0

    /// The next `count` bytes.
    mutating func next(_ count: Int) -> [UInt8] {
        defer { offset = (offset + count) % TransportPattern.period }
        return Array(TransportPattern.table[offset..<offset + min(count, TransportPattern.chunkLimit)])
    }

    /// Whether `bytes` are what comes next.
    mutating func matches(_ bytes: [UInt8]) -> Bool {
        var start = 0
        while start < bytes.count {
            let count = min(bytes.count - start, TransportPattern.period)
            guard bytes[start..<start + count].elementsEqual(TransportPattern.table[offset..<offset + count]) else {
                return false
            }
            offset = (offset + count) % TransportPattern.period
            start += count
        }
        return true
    }
}
