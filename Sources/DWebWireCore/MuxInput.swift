import DWebBase
import DequeModule

/// Takes the messages of a stream apart: batches into their items, each into channel, type and payload.
///
/// It decodes one item at a time, so that a batch of millions of items takes no more memory than its bytes.
struct MuxInput {
    /// What comes next.
    enum Item {
        /// A message for the peer's channel `remoteID`; 0 is control.
        case message(remoteID: UInt64, type: UInt64, payload: MessageSlice)
        /// A batch of several items begins: replies to them are collected.
        case repliesBegin
        /// The batch that began last is finished.
        case repliesEnd
    }

    // A reader of its own: what is read once per message must not count references.
    private struct Cursor {
        let source: [UInt8]
        var position: Int
        let end: Int

        mutating func readUInt() throws(CodecError) -> UInt64 {
            guard position < end else { throw .outOfBounds }
            let first = source[position]
            guard first > 0xfc else {
                position += 1
                return UInt64(first)
            }
            var reader = ByteReader(source, range: position..<end)
            let value = try reader.readUInt()
            position = reader.position
            return value
        }
    }

    private struct Batch {
        var cursor: Cursor
        var channel: UInt64
        var collectsReplies = false
    }

    private var inbox: Deque<MessageBatch> = []
    // Of the first of the inbox those before the index are done.
    private var inboxIndex = 0
    private var batch: Batch?
    private var outerBatches: [Batch] = []

    /// Takes messages, in order.
    mutating func append(_ messages: MessageBatch) { inbox.append(messages) }

    /// Forgets everything.
    mutating func removeAll() { self = MuxInput() }

    /// The next item; nil when everything was handed out.
    mutating func next() throws(ProtocolMuxError) -> Item? {
        while true {
            if batch != nil {
                if let item = try nextOfBatch() { return item }
            } else if let message = nextMessage() {
                guard message.byteCount > 0 else { continue }
                var cursor = Cursor(
                    source: message.source, position: message.range.lowerBound, end: message.range.upperBound)
                let remoteID = try MuxInput.uint(&cursor)
                if let item = try open(remoteID, cursor) { return item }
            } else {
                return nil
            }
        }
    }

    private mutating func nextMessage() -> MessageSlice? {
        guard let first = inbox.first else { return nil }
        let message = first[inboxIndex]
        inboxIndex += 1
        if inboxIndex == first.count {
            inbox.removeFirst()
            inboxIndex = 0
        }
        return message
    }

    private mutating func nextOfBatch() throws(ProtocolMuxError) -> Item? {
        let mark = batch!.cursor.position
        guard mark < batch!.cursor.end else {
            let collectedReplies = batch!.collectsReplies
            batch = outerBatches.popLast()
            return collectedReplies ? .repliesEnd : nil
        }
        let byteCount = try MuxInput.uint(&batch!.cursor)
        guard byteCount > 0 else {
            batch!.channel = try MuxInput.uint(&batch!.cursor)
            return nil
        }
        let start = batch!.cursor.position
        let remaining = UInt64(batch!.cursor.end - start)
        guard byteCount <= remaining else { throw .malformed(.outOfBounds) }
        if byteCount < remaining, !batch!.collectsReplies {
            batch!.collectsReplies = true
            batch!.cursor.position = mark
            return .repliesBegin
        }
        batch!.cursor.position = start + Int(byteCount)
        let item = Cursor(source: batch!.cursor.source, position: start, end: start + Int(byteCount))
        return try open(batch!.channel, item)
    }

    private mutating func open(_ remoteID: UInt64, _ start: consuming Cursor) throws(ProtocolMuxError) -> Item? {
        var cursor = start
        let type = try MuxInput.uint(&cursor)
        guard remoteID == 0, type == ProtocolMux.Control.batch else {
            let payload = MessageSlice(cursor.source, range: cursor.position..<cursor.end)
            return .message(remoteID: remoteID, type: type, payload: payload)
        }
        let depth = outerBatches.count + (batch == nil ? 0 : 1)
        guard depth < ProtocolMux.Limits.batchDepth else { throw .batchTooDeep }
        if let batch { outerBatches.append(batch) }
        let channel = try MuxInput.uint(&cursor)
        batch = Batch(cursor: cursor, channel: channel)
        return nil
    }

    private static func uint(_ cursor: inout Cursor) throws(ProtocolMuxError) -> UInt64 {
        do {
            return try cursor.readUInt()
        } catch {
            throw .malformed(error)
        }
    }
}
