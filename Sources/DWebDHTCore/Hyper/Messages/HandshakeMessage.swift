package import DWebBase

/// Where a handshake or hole-punch message is on its way through the relays; spec 20 section 9.
package enum RelayMode: UInt64, Sendable {
    /// From the client to a node that may know the server.
    case fromClient = 0
    /// From the server to a relay, on the way back.
    case fromServer = 1
    /// From a relay to the server, or to a second relay.
    case fromRelay = 2
    /// From the second relay to the server.
    case fromSecondRelay = 3
    /// The response that ends the loop at the client.
    case reply = 4
}

/// The value of a PEER_HANDSHAKE request or response; spec 20 section 9.
package struct HandshakeMessage: HyperCodable {
    /// Where the message is on its way.
    package var mode: RelayMode
    /// The Noise message; empty means absent.
    package var noise: [UInt8]
    /// The client's address as the first relay saw it, or, in a reply, the server's.
    package var peerAddress: SocketAddress?
    /// The first relay of a path over two.
    package var relayAddress: SocketAddress?

    /// Makes a message.
    package init(
        mode: RelayMode, noise: [UInt8], peerAddress: SocketAddress? = nil, relayAddress: SocketAddress? = nil
    ) {
        self.mode = mode
        self.noise = noise
        self.peerAddress = peerAddress
        self.relayAddress = relayAddress
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        guard let mode = RelayMode(rawValue: try reader.readUInt()) else { throw .invalidValue }
        self.mode = mode
        noise = try reader.readBuffer()
        peerAddress = flags & 1 != 0 ? try reader.readIPv4Address() : nil
        relayAddress = flags & 2 != 0 ? try reader.readIPv4Address() : nil
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt((peerAddress == nil ? 0 : 1) | (relayAddress == nil ? 0 : 2))
        writer.writeUInt(mode.rawValue)
        writer.writeBuffer(noise)
        if let peerAddress { writer.writeAddress(peerAddress) }
        if let relayAddress { writer.writeAddress(relayAddress) }
    }
}

/// The value of a PEER_HOLEPUNCH request or response; spec 20 section 9.
package struct HolepunchMessage: HyperCodable {
    /// Where the message is on its way.
    package var mode: RelayMode
    /// The server's slot for this connection; 0 in messages to the client.
    package var id: UInt64
    /// The sealed ``HolepunchPayload``.
    package var payload: [UInt8]
    /// The address of the other peer, depending on the mode.
    package var peerAddress: SocketAddress?

    /// Makes a message.
    package init(mode: RelayMode, id: UInt64, payload: [UInt8], peerAddress: SocketAddress? = nil) {
        self.mode = mode
        self.id = id
        self.payload = payload
        self.peerAddress = peerAddress
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        guard let mode = RelayMode(rawValue: try reader.readUInt()) else { throw .invalidValue }
        self.mode = mode
        id = try reader.readUInt()
        payload = try reader.readBuffer()
        peerAddress = flags & 1 != 0 ? try reader.readIPv4Address() : nil
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(peerAddress == nil ? 0 : 1)
        writer.writeUInt(mode.rawValue)
        writer.writeUInt(id)
        writer.writeBuffer(payload)
        if let peerAddress { writer.writeAddress(peerAddress) }
    }
}
