package import DWebBase

/// A peer that announced itself under a topic, and nodes that forward to it; spec 20 section 8.
package struct PeerRecord: HyperCodable {
    /// The peer's key.
    package var publicKey: PublicKey
    /// Nodes that forward handshakes to the peer.
    package var relayAddresses: [SocketAddress]

    /// Makes a record.
    package init(publicKey: PublicKey, relayAddresses: [SocketAddress] = []) {
        self.publicKey = publicKey
        self.relayAddresses = relayAddresses
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        publicKey = PublicKey(try reader.readBytes32())
        relayAddresses = try reader.readIPv4Addresses()
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeBytes32(publicKey.bytes32)
        writer.writeAddresses(relayAddresses)
    }
}

/// The value of a LOOKUP response; spec 20 section 8.
package struct LookupReply: HyperCodable {
    /// The peers under the topic, at most 20 from a well-behaved node.
    package var peers: [PeerRecord]
    /// The newest time at which a peer asked for attention, in milliseconds since 1970; 0 for never.
    package var bump: UInt64

    /// Makes a reply.
    package init(peers: [PeerRecord], bump: UInt64 = 0) {
        self.peers = peers
        self.bump = bump
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        let count = try reader.readArrayCount(minimumByteCount: 33)
        peers = []
        peers.reserveCapacity(count)
        for _ in 0..<count { peers.append(try PeerRecord(from: &reader)) }
        bump = reader.isAtEnd ? 0 : try reader.readUInt()
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(peers.count)
        for peer in peers { peer.encode(into: &writer) }
        writer.writeUInt(bump)
    }
}
