package import DWebBase

/// How a peer's network treats incoming datagrams, as it tells others; spec 20 sections 7 and 12.1.
package enum Firewall: UInt64, Sendable {
    /// Not known yet.
    case unknown = 0
    /// Anyone can send to its address.
    case open = 1
    /// Its address translation uses one public address for all destinations.
    case consistent = 2
    /// Its address translation picks a new port per destination.
    case random = 3
}

/// The error a peer reports inside a handshake or hole-punch payload; spec 20 section 7.
package struct PeerErrorCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// No error.
    package static let none = PeerErrorCode(rawValue: 0)
    /// The peer gave up.
    package static let aborted = PeerErrorCode(rawValue: 1)
    /// The peer speaks another version.
    package static let versionMismatch = PeerErrorCode(rawValue: 2)
    /// The peer is busy with another random punch.
    package static let tryLater = PeerErrorCode(rawValue: 3)
}

/// A node through which a server can be reached, and the server's address as that node sees it.
package struct RelayPath: Sendable, Hashable {
    /// The node that forwards.
    package var relayAddress: SocketAddress
    /// The server's address as the node sees it.
    package var peerAddress: SocketAddress

    /// Makes a path.
    package init(relayAddress: SocketAddress, peerAddress: SocketAddress) {
        self.relayAddress = relayAddress
        self.peerAddress = peerAddress
    }
}

/// What both sides tell each other inside the Noise messages; spec 20 section 10.2.
package struct NoisePayload: HyperCodable {
    /// How to punch through to the server.
    package struct Holepunch: Sendable, Equatable {
        /// The server's slot for this connection.
        package var id: UInt64
        /// The server's relays.
        package var relays: [RelayPath]

        /// Makes the section.
        package init(id: UInt64, relays: [RelayPath]) {
            self.id = id
            self.relays = relays
        }
    }

    /// The sender's end of the UDX stream.
    package struct StreamInfo: Sendable, Equatable {
        /// The version of this section; 1.
        package var version: UInt64 = 1
        /// Whether the sender keeps the socket for later connections.
        package var isSocketReusable = false
        /// The sender's stream id.
        package var id: UInt32
        /// The first sequence number; always 0 today.
        package var sequence: UInt64 = 0

        /// Makes the section.
        package init(id: UInt32, isSocketReusable: Bool = false, sequence: UInt64 = 0) {
            self.id = id
            self.isSocketReusable = isSocketReusable
            self.sequence = sequence
        }
    }

    /// A blind relay that the sender offers.
    package struct RelayThrough: Sendable, Equatable {
        /// The version of this section; 1.
        package var version: UInt64 = 1
        /// The relay's key.
        package var publicKey: PublicKey
        /// What identifies the pair of connections at the relay.
        package var token: Bytes32

        /// Makes the section.
        package init(publicKey: PublicKey, token: Bytes32) {
            self.publicKey = publicKey
            self.token = token
        }
    }

    /// The version every peer speaks today.
    package static let currentVersion: UInt64 = 1

    /// The payload's version. When it is not 1, every other field has its default.
    package var version = NoisePayload.currentVersion
    /// Why the sender refuses, or none.
    package var error = PeerErrorCode.none
    /// What the sender knows about its own network.
    package var firewall = Firewall.unknown
    /// How to punch through, from servers.
    package var holepunch: Holepunch?
    /// The sender's addresses.
    package var addresses4: [SocketAddress] = []
    /// The sender's IPv6 addresses; parsed, not used.
    package var addresses6: [SocketAddress] = []
    /// The sender's end of the stream.
    package var stream: StreamInfo?
    /// The version of the encrypted stream on top, 1, or nil if there is none.
    package var secretStreamVersion: UInt64?
    /// A blind relay that the sender offers.
    package var relayThrough: RelayThrough?
    /// Nodes that forward to the sender.
    package var relayAddresses: [SocketAddress]?

    /// A payload without any section.
    package init() {}

    package init(from reader: inout ByteReader) throws(CodecError) {
        version = try reader.readUInt()
        guard version == NoisePayload.currentVersion else { return }
        let flags = try reader.readUInt()
        error = PeerErrorCode(rawValue: try reader.readUInt())
        firewall = Firewall(rawValue: try reader.readUInt()) ?? .unknown
        if flags & 1 != 0 {
            let id = try reader.readUInt()
            let count = try reader.readArrayCount(minimumByteCount: 12)
            var relays: [RelayPath] = []
            relays.reserveCapacity(count)
            for _ in 0..<count {
                let relayAddress = try reader.readIPv4Address()
                relays.append(RelayPath(relayAddress: relayAddress, peerAddress: try reader.readIPv4Address()))
            }
            holepunch = Holepunch(id: id, relays: relays)
        }
        if flags & 2 != 0 { addresses4 = try reader.readIPv4Addresses() }
        if flags & 4 != 0 { addresses6 = try reader.readIPv6Addresses() }
        if flags & 8 != 0 {
            let version = try reader.readUInt()
            let features = try reader.readUInt()
            let id = try reader.readStreamID()
            var info = StreamInfo(id: id, isSocketReusable: features & 1 != 0, sequence: try reader.readUInt())
            info.version = version
            stream = info
        }
        if flags & 16 != 0 { secretStreamVersion = try reader.readUInt() }
        if flags & 32 != 0 {
            let version = try reader.readUInt()
            _ = try reader.readUInt()
            let publicKey = PublicKey(try reader.readBytes32())
            var relay = RelayThrough(publicKey: publicKey, token: try reader.readBytes32())
            relay.version = version
            relayThrough = relay
        }
        if flags & 64 != 0 { relayAddresses = try reader.readIPv4Addresses() }
    }

    package func encode(into writer: inout ByteWriter) {
        var flags: UInt64 = 0
        if holepunch != nil { flags |= 1 }
        if !addresses4.isEmpty { flags |= 2 }
        if !addresses6.isEmpty { flags |= 4 }
        if stream != nil { flags |= 8 }
        if secretStreamVersion != nil { flags |= 16 }
        if relayThrough != nil { flags |= 32 }
        if relayAddresses != nil { flags |= 64 }
        writer.writeUInt(NoisePayload.currentVersion)
        writer.writeUInt(flags)
        writer.writeUInt(error.rawValue)
        writer.writeUInt(firewall.rawValue)
        if let holepunch {
            writer.writeUInt(holepunch.id)
            writer.writeUInt(holepunch.relays.count)
            for relay in holepunch.relays {
                writer.writeAddress(relay.relayAddress)
                writer.writeAddress(relay.peerAddress)
            }
        }
        if !addresses4.isEmpty { writer.writeAddresses(addresses4) }
        if !addresses6.isEmpty { writer.writeAddresses(addresses6) }
        if let stream {
            writer.writeUInt(stream.version)
            writer.writeUInt(stream.isSocketReusable ? 1 : 0)
            writer.writeUInt(UInt64(stream.id))
            writer.writeUInt(stream.sequence)
        }
        if let secretStreamVersion { writer.writeUInt(secretStreamVersion) }
        if let relayThrough {
            writer.writeUInt(relayThrough.version)
            writer.writeUInt(0)
            writer.writeBytes32(relayThrough.publicKey.bytes32)
            writer.writeBytes32(relayThrough.token)
        }
        if let relayAddresses { writer.writeAddresses(relayAddresses) }
    }
}
