package import DWebBase

/// One message inside a larger buffer; keeps the buffer alive and copies nothing.
package struct MessageSlice: Sendable, Equatable {
    /// The buffer.
    package let source: [UInt8]
    /// The message's place in ``source``.
    package let range: Range<Int>

    /// The part of `source` in `range`.
    package init(_ source: [UInt8], range: Range<Int>) {
        self.source = source
        self.range = range
    }

    /// A message of its own.
    package init(_ bytes: [UInt8]) {
        source = bytes
        range = 0..<bytes.count
    }

    /// The size of the message.
    package var byteCount: Int { range.count }
    /// The message, copied unless it fills its buffer.
    package var bytes: [UInt8] { range.count == source.count ? source : Array(source[range]) }
    /// A reader over the message; copies nothing.
    package var reader: ByteReader { ByteReader(source, range: range) }

    /// Compares contents.
    package static func == (left: MessageSlice, right: MessageSlice) -> Bool {
        left.source[left.range] == right.source[right.range]
    }
}

/// Messages that travel together: their bytes lie in one buffer, possibly with gaps between them.
package struct MessageBatch: Sendable {
    /// The buffer.
    package let source: [UInt8]
    /// The messages' places in ``source``, in order.
    package let ranges: [Range<Int>]

    /// The messages in `ranges` of `source`.
    package init(_ source: [UInt8], ranges: [Range<Int>]) {
        self.source = source
        self.ranges = ranges
    }

    /// Whether there is no message.
    package var isEmpty: Bool { ranges.isEmpty }
    /// The number of messages.
    package var count: Int { ranges.count }
    /// The message at `index`; copies nothing.
    package subscript(index: Int) -> MessageSlice { MessageSlice(source, range: ranges[index]) }
    /// Every message, copied.
    package var messages: [[UInt8]] { ranges.map { Array(source[$0]) } }
}
