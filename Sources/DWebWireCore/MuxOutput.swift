import DWebBase

/// The messages that a multiplexer has for the wire, written one behind the other into one buffer.
///
/// A payload is copied here once, directly into the batch that is being collected if there is one.
struct MuxOutput {
    // A batch is sent early once it has this size; spec 30 section B.4.
    static let earlyBatchByteCount = 8 << 20
    // An item below this size always fits in a frame together with a batch that is not sent early.
    private static let smallByteCount = 4 << 20

    private var bytes: [UInt8] = []
    private var ranges: [Range<Int>] = []
    private var isBatching = false
    // The batch that is being collected begins here and ends with the bytes.
    private var batchStart = 0
    private var batchChannel: Int?
    // What was taken last: as much will probably follow.
    private var lastByteCount = 0
    private static let reservedByteCount = 64 << 10
    // The longest batch header with the longest prefix of an item.
    private static let headerByteLimit = 2 + 9 + 9

    /// Whether ``take()`` has something.
    var isEmpty: Bool { ranges.isEmpty }

    /// Collects what follows into one batch.
    mutating func beginBatch() {
        isBatching = true
        batchStart = bytes.count
        batchChannel = nil
    }

    /// Sends what was collected, if anything was.
    mutating func endBatch() {
        isBatching = false
        closeBatch()
    }

    /// Every complete message; what is being collected stays.
    mutating func take() -> MessageBatch {
        let open = isBatching && batchStart < bytes.count ? Array(bytes[batchStart...]) : []
        let taken = MessageBatch(bytes, ranges: ranges)
        lastByteCount = min(bytes.count, MuxOutput.reservedByteCount)
        bytes = open
        batchStart = 0
        ranges = []
        return taken
    }

    /// Forgets everything.
    mutating func removeAll() { self = MuxOutput() }

    /// Writes one message of `channel` whose payload `encode` appends; false, and nothing is written, if it is too
    /// long.
    ///
    /// `payloadByteCount` is the expected size of the payload: an inexact one costs a move of the payload.
    mutating func append(
        channel: Int, type: UInt64, payloadByteCount: Int, _ encode: (inout ByteWriter) -> Void
    ) -> Bool {
        if isBatching {
            return appendItem(channel: channel, type: type, payloadByteCount: payloadByteCount, encode)
        }
        let start = bytes.count
        write { writer in
            writer.writeUInt(channel)
            writer.writeUInt(type)
            encode(&writer)
        }
        guard bytes.count - start <= SecretStream.Limits.messageByteCount else {
            bytes.removeLast(bytes.count - start)
            return false
        }
        ranges.append(start..<bytes.count)
        return true
    }

    /// Writes one message of `channel` with `payload`; false, and nothing is written, if it is too long.
    mutating func append(channel: Int, type: UInt64, payload: [UInt8]) -> Bool {
        let itemByteCount = ByteWriter.byteCount(ofUInt: type) + payload.count
        // What is large takes the way that checks sizes.
        guard itemByteCount < MuxOutput.smallByteCount else {
            return append(channel: channel, type: type, payloadByteCount: payload.count) { $0.writeBytes(payload) }
        }
        if isBatching {
            if bytes.count - batchStart >= MuxOutput.earlyBatchByteCount { closeBatch() }
            writeItemHeader(channel: channel)
            writeUInt(UInt64(itemByteCount))
            writeUInt(type)
            bytes.append(contentsOf: payload)
        } else {
            let start = bytes.count
            writeUInt(UInt64(channel))
            writeUInt(type)
            bytes.append(contentsOf: payload)
            ranges.append(start..<bytes.count)
        }
        return true
    }

    private mutating func appendItem(
        channel: Int, type: UInt64, payloadByteCount: Int, _ encode: (inout ByteWriter) -> Void
    ) -> Bool {
        if bytes.count - batchStart >= MuxOutput.earlyBatchByteCount { closeBatch() }
        let start = bytes.count
        let previousChannel = batchChannel
        let expected = ByteWriter.byteCount(ofUInt: type) + payloadByteCount
        reserve(MuxOutput.headerByteLimit + expected)
        writeItemHeader(channel: channel)
        let prefixStart = bytes.count
        let itemStart = prefixStart + ByteWriter.byteCount(ofUInt: UInt64(expected))
        write { writer in
            writer.writeUInt(expected)
            writer.writeUInt(type)
            encode(&writer)
        }
        if bytes.count - itemStart != expected { correctPrefix(at: prefixStart, itemStart: itemStart) }
        guard bytes.count - batchStart > SecretStream.Limits.messageByteCount else { return true }
        return moveLastItem(from: start, prefixStart: prefixStart, channel: channel, previousChannel: previousChannel)
    }

    private mutating func writeItemHeader(channel: Int) {
        guard channel != batchChannel else { return }
        let isFirst = batchChannel == nil
        // A batch is a message of control channel 0, type 0; an item of length 0 switches the channel.
        if isFirst { bytes.append(0) }
        bytes.append(0)
        writeUInt(UInt64(channel))
        batchChannel = channel
    }

    private mutating func correctPrefix(at prefixStart: Int, itemStart: Int) {
        let byteCount = bytes.count - itemStart
        if byteCount <= 0xfc, itemStart - prefixStart == 1 {
            bytes[prefixStart] = UInt8(byteCount)
            return
        }
        var prefix = ByteWriter(capacity: 9)
        prefix.writeUInt(byteCount)
        bytes.replaceSubrange(prefixStart..<itemStart, with: prefix.bytes)
    }

    // The last item made the batch larger than a frame: it starts the next batch, unless it is too long for any.
    private mutating func moveLastItem(
        from start: Int, prefixStart: Int, channel: Int, previousChannel: Int?
    ) -> Bool {
        let item = Array(bytes[prefixStart...])
        bytes.removeLast(bytes.count - start)
        batchChannel = previousChannel
        let headerByteCount = 2 + ByteWriter.byteCount(ofUInt: UInt64(channel))
        guard headerByteCount + item.count <= SecretStream.Limits.messageByteCount else { return false }
        closeBatch()
        writeItemHeader(channel: channel)
        bytes.append(contentsOf: item)
        return true
    }

    private mutating func closeBatch() {
        if bytes.count > batchStart { ranges.append(batchStart..<bytes.count) }
        batchStart = bytes.count
        batchChannel = nil
    }

    // Once and exactly, instead of by doubling, for what is large or comes in large batches.
    private mutating func reserve(_ byteCount: Int) {
        if bytes.capacity == 0 {
            bytes.reserveCapacity(max(lastByteCount, byteCount))
        } else if byteCount >= MuxOutput.reservedByteCount / 2 {
            bytes.reserveCapacity(bytes.count + byteCount)
        }
    }

    private mutating func writeUInt(_ value: UInt64) {
        if value <= 0xfc {
            bytes.append(UInt8(value))
        } else {
            write { $0.writeUInt(value) }
        }
    }

    private mutating func write(_ body: (inout ByteWriter) -> Void) {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        var writer = ByteWriter(appendingTo: taken)
        body(&writer)
        bytes = writer.bytes
    }
}
