package import DWebBase

/// What kind of network an IPv4 address belongs to; spec 20 section 12.4.
package enum AddressClass: Sendable {
    /// A host's own, a home's or a carrier's inner network.
    case privateUse
    /// Not usable as a destination at all.
    case reserved
    /// The public internet.
    case publicUse

    /// The class of `address`; IPv6 addresses count as reserved, because the DHT has none.
    package init(_ address: SocketAddress) {
        guard address.family == .ipv4 else {
            self = .reserved
            return
        }
        let number = address.ipv4Number
        func isIn(_ network: UInt32, _ prefix: UInt32) -> Bool { number >> (32 - prefix) == network >> (32 - prefix) }
        if isIn(0x0a00_0000, 8) || isIn(0x6440_0000, 10) || isIn(0x7f00_0000, 8) || isIn(0xa9fe_0000, 16)
            || isIn(0xac10_0000, 12) || isIn(0xc0a8_0000, 16)
        {
            self = .privateUse
        } else if isIn(0, 8) || isIn(0xc000_0000, 24) || isIn(0xc000_0200, 24) || isIn(0xc612_0000, 15)
            || isIn(0xc633_6400, 24) || isIn(0xcb00_7100, 24) || isIn(0xe000_0000, 4) || isIn(0xf000_0000, 4)
        {
            self = .reserved
        } else {
            self = .publicUse
        }
    }

    /// Whether the address is not one of the public internet.
    package var isBogon: Bool { self != .publicUse }

    /// Whether a node that was asked by `source` may be made to send to `destination`.
    ///
    /// A public host must not make us send into our own network, and nobody to port 0; spec 20 section 16 item 12.
    package static func mayForward(to destination: SocketAddress, for source: SocketAddress) -> Bool {
        guard destination.port != 0, destination.family == .ipv4 else { return false }
        switch AddressClass(destination) {
        case .publicUse: return true
        case .privateUse: return AddressClass(source).isBogon
        case .reserved: return false
        }
    }

    /// The one of `others` that shares the longest dotted prefix with one of `own`; nil if none shares the first part.
    package static func bestMatch(of own: [SocketAddress], among others: [SocketAddress]) -> SocketAddress? {
        var best: SocketAddress?
        var bestCount = 0
        for mine in own {
            for other in others {
                let parts = zip(mine.hostBytes, other.hostBytes).prefix(3).prefix { $0.0 == $0.1 }.count
                if parts == 3 { return other }
                if parts > bestCount {
                    bestCount = parts
                    best = other
                }
            }
        }
        return best
    }
}
