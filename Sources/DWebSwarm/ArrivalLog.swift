import DWebBase
import DWebStreamCore

/// Packets for streams that have no peer yet: noted inside the multiplexer, dealt with after it returned.
final class ArrivalLog {
    private var entries: [UDXArrival] = []
    /// Connected streams that run through a blind relay: what comes for them by another way brings the upgrade.
    var relayed: Set<UInt32> = []

    /// Lets the packet pass; what it means for the connection follows from ``take()``.
    ///
    /// Everybody who knows the id may pass: which path a peer will come by is not known beforehand, and only the
    /// encrypted stream tells friend from foe.
    func judge(_ arrival: UDXArrival) -> UDXFirewallDecision {
        if !arrival.isConnected || relayed.contains(arrival.localID),
            !entries.contains(where: { $0.localID == arrival.localID })
        {
            entries.append(arrival)
        }
        return .accept
    }

    /// The first arrival for each stream since the last call.
    func take() -> [UDXArrival] {
        defer { entries.removeAll(keepingCapacity: true) }
        return entries
    }
}
