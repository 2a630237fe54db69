import DequeModule

/// The bytes a stream was given to send, kept as the chunks they came in until they are acknowledged.
///
/// Packets refer to a position in the stream of bytes and the chunk there, so that sending and sending again copy once:
/// from the chunk into the outgoing datagram.
struct WriteQueue {
    private struct Chunk {
        var bytes: [UInt8]
        let start: Int
    }

    /// Below this size a write is copied to the end of the previous chunk, so that many small writes stay cheap to
    /// hold.
    private static let mergedWriteByteCount = 1_024
    private static let mergedChunkByteCount = 16_384

    private var chunks: Deque<Chunk> = []
    private var firstChunkIndex = 0
    private var cursorChunkIndex = 0
    /// The bytes written so far.
    private(set) var writtenCount = 0
    /// The bytes handed to packets so far.
    private(set) var sentCount = 0
    /// The bytes acknowledged so far, without gaps.
    private(set) var acknowledgedCount = 0

    /// Bytes not yet in a packet.
    var unsentCount: Int { writtenCount - sentCount }

    /// Bytes not yet acknowledged.
    var unacknowledgedCount: Int { writtenCount - acknowledgedCount }

    mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        if bytes.count <= WriteQueue.mergedWriteByteCount, let last = chunks.indices.last,
            chunks[last].bytes.count + bytes.count <= WriteQueue.mergedChunkByteCount
        {
            chunks[last].bytes.append(contentsOf: bytes)
        } else {
            chunks.append(Chunk(bytes: bytes, start: writtenCount))
        }
        writtenCount += bytes.count
    }

    /// Moves up to `limit` unsent bytes into a packet; returns their position, first chunk and count.
    mutating func take(_ limit: Int) -> (streamOffset: Int, chunkIndex: Int, count: Int) {
        let count = min(limit, unsentCount)
        if count > 0 {
            while chunks[cursorChunkIndex - firstChunkIndex].start
                + chunks[cursorChunkIndex - firstChunkIndex].bytes.count <= sentCount
            {
                cursorChunkIndex += 1
            }
        }
        let result = (sentCount, cursorChunkIndex, count)
        sentCount += count
        return result
    }

    /// Appends `count` bytes from `streamOffset` on, which lies in chunk `chunkIndex`.
    func copy(_ count: Int, from streamOffset: Int, chunkIndex: Int, into output: inout [UInt8]) {
        var index = chunkIndex - firstChunkIndex
        var position = streamOffset
        let end = streamOffset + count
        while position < end {
            let chunk = chunks[index]
            let upper = min(chunk.start + chunk.bytes.count, end)
            output.append(contentsOf: chunk.bytes[(position - chunk.start)..<(upper - chunk.start)])
            position = upper
            index += 1
        }
    }

    /// Counts everything before `streamOffset` acknowledged and lets go of chunks that are done.
    mutating func acknowledge(upTo streamOffset: Int) {
        acknowledgedCount = max(acknowledgedCount, streamOffset)
        while let chunk = chunks.first, chunk.start + chunk.bytes.count <= acknowledgedCount {
            chunks.removeFirst()
            firstChunkIndex += 1
        }
        cursorChunkIndex = max(cursorChunkIndex, firstChunkIndex)
    }

    /// Forgets everything.
    mutating func removeAll() {
        chunks.removeAll()
        firstChunkIndex = 0
        cursorChunkIndex = 0
        sentCount = writtenCount
        acknowledgedCount = writtenCount
    }
}
