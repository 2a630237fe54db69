package import DWebBase
package import DWebCrypto

/// The value of an ANNOUNCE or UNANNOUNCE request; spec 20 section 8.
package struct Announcement: HyperCodable {
    /// Which of the two the signature is for.
    package enum Kind: Sendable {
        /// The peer wants to be found.
        case announce
        /// The peer wants to be forgotten.
        case unannounce

        var namespace: Bytes32 {
            switch self {
            case .announce: Namespace.announce
            case .unannounce: Namespace.unannounce
            }
        }
    }

    /// Who announces; nil in a refresh.
    package var peer: PeerRecord?
    /// A link of a refresh chain.
    package var refresh: Bytes32?
    /// The peer's signature, 64 bytes.
    package var signature: [UInt8]?
    /// When the peer asks for attention, in milliseconds since 1970; 0 for never. Not signed.
    package var bump: UInt64

    /// Makes a value.
    package init(peer: PeerRecord?, refresh: Bytes32? = nil, signature: [UInt8]? = nil, bump: UInt64 = 0) {
        self.peer = peer
        self.refresh = refresh
        self.signature = signature
        self.bump = bump
    }

    /// A signed value for one storing node.
    ///
    /// - Parameters:
    ///   - nodeID: The storing node's id, from its reply.
    ///   - token: The round-trip token, from the same reply.
    package static func signed(
        _ kind: Kind, target: Bytes32, nodeID: Bytes32, token: Bytes32, relayAddresses: [SocketAddress],
        refresh: Bytes32? = nil, bump: UInt64 = 0, keyPair: KeyPair
    ) -> Announcement {
        var value = Announcement(
            peer: PeerRecord(publicKey: keyPair.publicKey, relayAddresses: relayAddresses), refresh: refresh, bump: bump
        )
        value.signature = keyPair.sign(value.signable(kind, target: target, nodeID: nodeID, token: token))
        return value
    }

    /// The 64 bytes that are signed.
    package func signable(_ kind: Kind, target: Bytes32, nodeID: Bytes32, token: Bytes32) -> [UInt8] {
        let hash = Blake2b.hash32(
            target.bytes, nodeID.bytes, token.bytes, peer?.encoded ?? [], refresh?.bytes ?? [])
        return kind.namespace.bytes + hash.bytes
    }

    /// Whether the signature is the peer's, for this kind, target, node and token.
    package func isValid(_ kind: Kind, target: Bytes32, nodeID: Bytes32, token: Bytes32) -> Bool {
        guard let peer, let signature else { return false }
        return Ed25519.verify(
            signature, of: signable(kind, target: target, nodeID: nodeID, token: token), by: peer.publicKey)
    }

    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        peer = flags & 1 != 0 ? try PeerRecord(from: &reader) : nil
        refresh = flags & 2 != 0 ? try reader.readBytes32() : nil
        signature = flags & 4 != 0 ? try reader.readBytes(Ed25519.signatureByteCount) : nil
        bump = flags & 8 != 0 ? try reader.readUInt() : 0
    }

    package func encode(into writer: inout ByteWriter) {
        var flags: UInt64 = 0
        if peer != nil { flags |= 1 }
        if refresh != nil { flags |= 2 }
        if signature != nil { flags |= 4 }
        if bump != 0 { flags |= 8 }
        writer.writeUInt(flags)
        peer?.encode(into: &writer)
        if let refresh { writer.writeBytes32(refresh) }
        if let signature { writer.writeBytes(signature) }
        if bump != 0 { writer.writeUInt(bump) }
    }
}
