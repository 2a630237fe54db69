public import DWebBase

/// This node's address as one other node saw it.
public struct NATSample: Hashable, Sendable {
    /// Who saw it.
    public let node: SocketAddress
    /// What it saw.
    public let observed: SocketAddress

    /// Records what `node` saw.
    public init(node: SocketAddress, observed: SocketAddress) {
        self.node = node
        self.observed = observed
    }
}

/// How the network in front of a node treats its packets; spec 20 sections 7 and 12.1.
public enum NATType: String, Sendable, Hashable, CaseIterable {
    /// Too few nodes answered to tell.
    case unknown
    /// Anybody can send to this node.
    case open
    /// The node has one public address and port for all destinations: a hole can be punched from it to most others.
    case consistent
    /// The node has another public port, or even host, per destination: a hole can be punched only to a consistent one.
    case random

    /// Samples that are needed before more is said than ``unknown``: one proves nothing about another destination.
    public static let wantedSampleCount = 2

    /// What the samples say. All must have been taken from one socket.
    ///
    /// - Parameter isReachable: Whether strangers reached the node at its address, which settles the matter.
    public init(samples: [NATSample], isReachable: Bool) {
        let nodes = Set(samples.map(\.node))
        if isReachable {
            self = .open
        } else if nodes.count < NATType.wantedSampleCount {
            self = .unknown
        } else {
            var hits: [SocketAddress: Int] = [:]
            for sample in samples { hits[sample.observed, default: 0] += 1 }
            // One stray sample, as after a change of the network, does not outweigh the others.
            let most = hits.values.max() ?? 0
            self = most >= 2 && most * 4 >= samples.count * 3 ? .consistent : .random
        }
    }

    /// Whether a hole can be punched between networks of these kinds; nil if that is not known. Open needs none.
    public func canPunch(to other: NATType) -> Bool? {
        switch (self, other) {
        case (.open, _), (_, .open): true
        case (.unknown, _), (_, .unknown): nil
        case (.random, .random): false
        case (.consistent, _), (_, .consistent): true
        }
    }
}
