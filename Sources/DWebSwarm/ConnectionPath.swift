import DWebDHTCore

/// How the packets of a connection travel; spec 20 sections 11 to 13.
public enum ConnectionPath: String, Sendable, CaseIterable, Codable {
    /// To an address that anybody can reach, of this side or the peer's.
    case open
    /// Within one local network.
    case localNetwork
    /// Through both firewalls.
    case holePunched
    /// Through a blind relay.
    case relayed

    init(_ kind: HyperPathKind) {
        switch kind {
        case .open: self = .open
        case .localNetwork: self = .localNetwork
        case .holePunched: self = .holePunched
        case .relayed: self = .relayed
        }
    }
}
