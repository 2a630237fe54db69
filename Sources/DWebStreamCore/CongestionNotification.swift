import DWebBase

/// Explicit congestion notification of one stream: an extension that only takes effect if both ends ask for it, carried
/// in two flag bits that every other implementation ignores; docs/transport.md.
///
/// Each packet says with ``UDXPacketFlags/congestionCapable`` that its sender answers marks. Data that goes to such a
/// peer
/// is sent as capable of being marked. A peer that receives a marked data packet says so in the next packets that it
/// sends, and the sender slows down, once per round trip.
struct CongestionNotification {
    // Said this often, so that a lost packet does not lose the news.
    private static let echoCount = 3

    let isEnabled: Bool
    private var isPeerCapable = false
    private var isPathBroken = false
    private var hasArrived = false
    private var echoesDue = 0
    private var reactedAt: UInt32?

    init(isEnabled: Bool) { self.isEnabled = isEnabled }

    /// What data packets are sent with.
    var mark: CongestionMark { isPeerCapable && !isPathBroken ? .capable : .notCapable }

    /// The bits for a packet that leaves now.
    mutating func takeFlags() -> UDXPacketFlags {
        guard isEnabled else { return [] }
        guard echoesDue > 0 else { return .congestionCapable }
        echoesDue -= 1
        return [.congestionCapable, .congestionExperienced]
    }

    /// Takes in what a packet says about its sender and its way; true if it is a data packet that was marked.
    mutating func noteArrival(_ flags: UDXPacketFlags, _ mark: CongestionMark) -> Bool {
        guard isEnabled else { return false }
        if flags.contains(.congestionCapable) { isPeerCapable = true }
        guard mark == .experienced, !flags.isDisjoint(with: [.data, .end]) else { return false }
        echoesDue = CongestionNotification.echoCount
        return true
    }

    /// A packet that was sent as capable arrived.
    mutating func noteDelivery() { hasArrived = true }

    /// Nothing came back for long: if packets that may be marked never did, the path may be what swallows them.
    mutating func noteTimeout() {
        if isPeerCapable, !hasArrived { isPathBroken = true }
    }

    /// Takes in an acknowledgement's bits; true if the sender has to slow down.
    mutating func reacts(to flags: UDXPacketFlags, acknowledgement: UInt32, nextSequence: UInt32) -> Bool {
        guard isEnabled, flags.contains(.congestionExperienced) else { return false }
        if let reactedAt, !reactedAt.precedes(acknowledgement) { return false }
        reactedAt = nextSequence
        return true
    }
}
