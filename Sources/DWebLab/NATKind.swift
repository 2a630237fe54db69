import DWebBase
package import DWebSimulation

/// Kinds of access to the internet, as rows and columns of the table in `docs/nat.md`.
package enum NATKind: String, CaseIterable, Sendable, Codable {
    /// No translator at all.
    case open
    /// One port for all peers, open to everybody.
    case fullCone
    /// One port for all peers, open to hosts that were sent to.
    case restrictedCone
    /// One port for all peers, open to addresses that were sent to.
    case portRestrictedCone
    /// Linux masquerading.
    case masquerade
    /// A home router behind a carrier's, both with one port for all peers.
    case carrier
    /// A random port per peer's host.
    case addressDependent
    /// A random port per peer.
    case symmetric
    /// A home router behind a carrier's that takes a random port per peer.
    case carrierSymmetric

    /// How a host with this access looks to itself after sampling; spec 20 section 12.1.
    package enum Look: Sendable {
        case open
        case consistent
        case random
    }

    /// What punching sees of it.
    package var look: Look {
        switch self {
        case .open: .open
        case .fullCone, .restrictedCone, .portRestrictedCone, .masquerade, .carrier: .consistent
        case .addressDependent, .symmetric, .carrierSymmetric: .random
        }
    }

    /// The boxes from the outermost to the innermost.
    var behaviors: [NATBehavior] {
        switch self {
        case .open: []
        case .fullCone: [.fullCone]
        case .restrictedCone: [.restrictedCone]
        case .portRestrictedCone: [.portRestrictedCone]
        case .masquerade: [.masquerade]
        case .carrier: [.portRestrictedCone, .portRestrictedCone]
        case .addressDependent: [.addressDependent]
        case .symmetric: [.symmetric]
        case .carrierSymmetric: [.symmetric, .portRestrictedCone]
        }
    }

    /// A runtime with this access in `world`: `number` tells the places apart.
    package func runtime(in world: SimulatedWorld, number: UInt8) -> SimulatedHost {
        var box: NATBox?
        for (depth, behavior) in behaviors.enumerated() {
            let address =
                depth == 0
                ? SocketAddress(ipv4: 90, 0, 0, number, port: 0)
                : SocketAddress(ipv4: 100, 64, number, UInt8(depth), port: 0)
            box = world.network.addNAT(behavior, at: address, behind: box)
        }
        let address =
            box == nil
            ? SocketAddress(ipv4: 70, 0, 0, number, port: 0)
            // Every home uses the same numbers.
            : SocketAddress(ipv4: 192, 168, 1, number, port: 0)
        return world.network.host(address, behind: box)
    }
}

/// One cell of the table: who dials whom.
package struct NATPair: Sendable, Hashable, CustomStringConvertible {
    /// The side that dials.
    package let client: NATKind
    /// The side that listens.
    package let server: NATKind

    /// Names a cell.
    package init(client: NATKind, server: NATKind) {
        self.client = client
        self.server = server
    }

    /// All cells, row by row.
    package static var all: [NATPair] {
        NATKind.allCases.flatMap { client in NATKind.allCases.map { NATPair(client: client, server: $0) } }
    }

    /// How the two connect.
    package enum Way: String, Sendable, Codable {
        /// One of them can be reached by anybody.
        case open
        /// Pings to known addresses, at most ten rounds.
        case consistent
        /// Random ports of one side against many sockets of the other.
        case birthday
        /// No direct path: through a blind relay.
        case relay
    }

    /// What the table promises.
    package var way: Way {
        switch (client.look, server.look) {
        case (.open, _), (_, .open): .open
        case (.consistent, .consistent): .consistent
        case (.consistent, .random), (.random, .consistent): .birthday
        case (.random, .random): .relay
        }
    }

    /// The time within which the final path stands, from the call to dial: the rounds that spec 20 section 12.4 allows,
    /// with the talk before them.
    package var timeLimit: Duration {
        switch way {
        case .open: .seconds(12)
        case .consistent: .seconds(16)
        case .birthday: .seconds(48)
        case .relay: .seconds(12)
        }
    }

    /// Client and server.
    package var description: String { "\(client.rawValue) -> \(server.rawValue)" }
}
