package import DWebBase

/// Message 0 of the `blind-relay` channel: asks for, or confirms, one end of a relayed stream; spec 20 section 13.
package struct BlindRelayPair: HyperCodable {
    /// Whether this is the initiating end of the pair.
    package var isInitiator: Bool
    /// What both ends of the pair have in common.
    package var token: Bytes32
    /// The sender's stream id.
    package var streamID: UInt32
    /// The first sequence number; always 0 today.
    package var sequence: UInt64

    /// Makes a message.
    package init(isInitiator: Bool, token: Bytes32, streamID: UInt32, sequence: UInt64 = 0) {
        self.isInitiator = isInitiator
        self.token = token
        self.streamID = streamID
        self.sequence = sequence
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        isInitiator = try reader.readByte() & 1 != 0
        token = try reader.readBytes32()
        streamID = try reader.readStreamID()
        sequence = try reader.readUInt()
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeByte(isInitiator ? 1 : 0)
        writer.writeBytes32(token)
        writer.writeUInt(UInt64(streamID))
        writer.writeUInt(sequence)
    }
}

/// Message 1 of the `blind-relay` channel: withdraws a pairing; spec 20 section 13.
package struct BlindRelayUnpair: HyperCodable {
    /// The pairing.
    package var token: Bytes32

    /// Makes a message.
    package init(token: Bytes32) { self.token = token }

    package init(from reader: inout ByteReader) throws(CodecError) {
        _ = try reader.readByte()
        token = try reader.readBytes32()
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeByte(0)
        writer.writeBytes32(token)
    }
}
