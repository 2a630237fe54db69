/// The bounds of everything that a peer, or a careless caller, could grow; spec 10 sections 2.1 and 12.
package enum UDXLimits {
    /// A data packet numbered this far ahead of the next expected one, or farther, is dropped.
    package static let reorderDistance = 65_536
    /// The most bytes that are taken beyond the receive window, in order or not.
    package static let byteCountBeyondWindow = 1 << 20
    /// What a packet that waits out of order is charged beyond its payload, in bytes.
    package static let reorderOverheadByteCount = 64
    /// The most packets that may be outstanding beyond the peer's window: what a receiver keeps beyond it, for the largest
    /// packets.
    package static let packetsBeyondWindow = byteCountBeyondWindow / (1_500 + reorderOverheadByteCount)
    /// The most SACK blocks sent in one packet.
    package static let sackBlocksSentPerPacket = 50
    /// The most packets that one answer takes if its blocks do not fit into one.
    package static let sackPacketsPerAnswer = 4
    /// The most SACK blocks read from one packet.
    package static let sackBlocksReadPerPacket = 253
    /// The most sequence numbers that may be outstanding; half of what a receiver keeps.
    package static let outstandingPackets = 32_768
    /// The most remotes that packets of one stream may be outstanding at.
    package static let destinations = 16
    /// The most unordered messages that wait to be taken by the application; later ones are lost.
    package static let messageEvents = 1_024
    /// The most unordered messages that wait to be sent; later ones are refused.
    package static let messagesQueued = 1_024
    /// The most closed streams that are remembered in order to answer a late end.
    package static let tombstones = 4_096
    /// The longest datagram that is processed, in bytes; longer ones were truncated by the reference.
    package static let datagramByteCount = 2_048
}
