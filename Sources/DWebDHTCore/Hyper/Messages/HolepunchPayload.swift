package import DWebBase
import DWebCrypto

/// What both sides tell each other in one round of hole punching; sealed on the wire; spec 20 section 10.3.
package struct HolepunchPayload: HyperCodable {
    /// Why the sender gives up, or none.
    package var error = PeerErrorCode.none
    /// What the sender knows about its own network.
    package var firewall = Firewall.unknown
    /// The sender's round.
    package var round: UInt64 = 0
    /// Whether the sender already receives on the punched path.
    package var isConnected = false
    /// Whether the sender punches now.
    package var isPunching = false
    /// The sender's public addresses; port 0 where only the host is known.
    package var addresses: [SocketAddress]?
    /// The address of the receiver that the sender just opened a session to.
    package var remoteAddress: SocketAddress?
    /// The sender's proof request: the receiver echoes it to show that it owns its address.
    package var token: Bytes32?
    /// The receiver's own token, echoed.
    package var remoteToken: Bytes32?

    /// An empty payload.
    package init() {}

    package init(from reader: inout ByteReader) throws(CodecError) {
        let flags = try reader.readUInt()
        error = PeerErrorCode(rawValue: try reader.readUInt())
        firewall = Firewall(rawValue: try reader.readUInt()) ?? .unknown
        round = try reader.readUInt()
        isConnected = flags & 1 != 0
        isPunching = flags & 2 != 0
        if flags & 4 != 0 { addresses = try reader.readIPv4Addresses() }
        if flags & 8 != 0 { remoteAddress = try reader.readIPv4Address() }
        if flags & 16 != 0 { token = try reader.readBytes32() }
        if flags & 32 != 0 { remoteToken = try reader.readBytes32() }
    }

    package func encode(into writer: inout ByteWriter) {
        var flags: UInt64 = 0
        if isConnected { flags |= 1 }
        if isPunching { flags |= 2 }
        if addresses != nil { flags |= 4 }
        if remoteAddress != nil { flags |= 8 }
        if token != nil { flags |= 16 }
        if remoteToken != nil { flags |= 32 }
        writer.writeUInt(flags)
        writer.writeUInt(error.rawValue)
        writer.writeUInt(firewall.rawValue)
        writer.writeUInt(round)
        if let addresses { writer.writeAddresses(addresses) }
        if let remoteAddress { writer.writeAddress(remoteAddress) }
        if let token { writer.writeBytes32(token) }
        if let remoteToken { writer.writeBytes32(remoteToken) }
    }
}

/// Seals and opens hole-punch payloads of one connection and makes its address tokens; spec 20 section 10.3.
package struct HolepunchSeal: Sendable {
    /// The key both sides derived from the handshake.
    package let secret: Bytes32
    private let localSecret: Bytes32

    /// A seal for the connection whose handshake gave `secret`; `localSecret` is 32 fresh random bytes.
    package init(secret: Bytes32, localSecret: Bytes32) {
        self.secret = secret
        self.localSecret = localSecret
    }

    /// The sealed form of `payload` under `nonce`, 24 fresh random bytes.
    package func seal(_ payload: HolepunchPayload, nonce: [UInt8]) -> [UInt8] {
        nonce + SecretBox.seal(payload.encoded, nonce: nonce, key: secret)
    }

    /// The payload in `box`; nil if it is too short, was not sealed with this secret, or does not decode.
    package func open(_ box: [UInt8]) -> HolepunchPayload? {
        let overhead = SecretBox.nonceByteCount + SecretBox.overheadByteCount
        guard box.count > overhead else { return nil }
        let nonce = Array(box[..<SecretBox.nonceByteCount])
        guard let plain = SecretBox.open(Array(box[SecretBox.nonceByteCount...]), nonce: nonce, key: secret) else {
            return nil
        }
        return try? HolepunchPayload(decoding: plain)
    }

    /// The token that proves ownership of `address`' host; the port does not matter.
    package func token(for address: SocketAddress) -> Bytes32 {
        Blake2b.hash32(Array(address.host.utf8), key: localSecret.bytes)
    }
}
