package import DWebBase

/// Asks to be told which blocks of a window the receiver has, or withdraws that; spec 30 section E.3.
package struct WantMessage: Sendable, Hashable {
    /// The first block of the window.
    package var start: UInt64
    /// The number of blocks in it.
    package var length: UInt64
    /// Whether learning of any one block in the window is enough.
    package var any: Bool

    /// Puts a message together.
    package init(start: UInt64, length: UInt64, any: Bool = false) {
        self.start = start
        self.length = length
        self.any = any
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        start = try reader.readUInt()
        length = try reader.readUInt()
        any = reader.isAtEnd ? false : try reader.readUInt() & 1 != 0
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(start)
        writer.writeUInt(length)
        if any { writer.writeUInt(UInt64(1)) }
    }
}

/// Which blocks of a window the sender has, bit by bit; spec 30 section E.3.
package struct BitfieldMessage: Sendable, Hashable {
    /// The block that the first bit stands for. Receivers ignore a message where it is no multiple of 32.
    package var start: UInt64
    /// Bits, the lowest of the first word first.
    package var words: [UInt32]

    /// Puts a message together.
    package init(start: UInt64, words: [UInt32]) {
        self.start = start
        self.words = words
    }

    /// Reads the payload; refused with more words than a segment has.
    package init(from reader: inout ByteReader) throws(CodecError) {
        start = try reader.readUInt()
        let count = try reader.readArrayCount(minimumByteCount: 4)
        guard count <= LogLimits.bitfieldWordCount else { throw .arrayTooLong }
        words = []
        words.reserveCapacity(count)
        for _ in 0..<count { words.append(try reader.readUInt32()) }
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(start)
        writer.writeUInt(words.count)
        for word in words { writer.writeFixed(UInt64(word), byteCount: 4) }
    }
}

/// Blocks that the sender has, or no longer has; spec 30 section E.3.
package struct RangeMessage: Sendable, Hashable {
    /// Whether the blocks are gone.
    package var drop: Bool
    /// The first block.
    package var start: UInt64
    /// The number of blocks.
    package var length: UInt64

    private enum Flag {
        static let drop: UInt64 = 1
        static let single: UInt64 = 2
    }

    /// Puts a message together.
    package init(drop: Bool = false, start: UInt64, length: UInt64) {
        self.drop = drop
        self.start = start
        self.length = length
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        drop = flags & Flag.drop != 0
        start = try reader.readUInt()
        length = flags & Flag.single != 0 ? 1 : try reader.readUInt()
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt((drop ? Flag.drop : 0) | (length == 1 ? Flag.single : 0))
        writer.writeUInt(start)
        if length != 1 { writer.writeUInt(length) }
    }
}

/// A message of an application extension; spec 30 section C.2.
package struct ExtensionMessage: Sendable, Hashable {
    /// The extension's name; empty for the one of the previous extension message in this direction.
    package var name: String
    /// The payload, as the extension defines it.
    package var message: [UInt8]

    /// Puts a message together.
    package init(name: String, message: [UInt8]) {
        self.name = name
        self.message = message
    }

    /// Reads the payload.
    package init(from reader: inout ByteReader) throws(CodecError) {
        name = try reader.readString()
        message = reader.readRest()
    }

    /// Writes the payload.
    package func encode(into writer: inout ByteWriter) {
        writer.writeString(name)
        writer.writeBytes(message)
    }
}
