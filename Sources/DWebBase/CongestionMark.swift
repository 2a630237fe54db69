/// The two bits of an IP header by which routers report congestion without dropping; RFC 3168.
public enum CongestionMark: UInt8, Sendable {
    /// The sender does not use congestion marks. Routers drop instead.
    case notCapable = 0
    /// The sender understands marks, in the variant that RFC 9331 gives a meaning of its own.
    case capableLowLatency = 1
    /// The sender understands marks.
    case capable = 2
    /// A router was about to drop the packet.
    case experienced = 3
}
