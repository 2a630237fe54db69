import DWebBase
import DWebDHTCore
import DWebPorts

/// One sentence about this node's network, with a name that programs can go by.
public struct ConnectivityFinding: Sendable, Equatable {
    /// How bad it is.
    public enum Severity: String, Sendable, Equatable {
        /// As it should be.
        case good
        /// Worth knowing; things work, or may not work with everybody.
        case note
        /// It keeps peers from connecting.
        case problem
    }

    /// What the sentence is about; see ``ConnectivityReport/findings`` for the names.
    public let code: String
    /// How bad it is.
    public let severity: Severity
    /// The sentence.
    public let sentence: String

    init(_ severity: Severity, _ code: String, _ sentence: String) {
        self.code = code
        self.severity = severity
        self.sentence = sentence
    }
}

extension ConnectivityReport {
    /// The report in plain sentences, in the order in which a connection comes about.
    ///
    /// Codes: `interfaces`, `port`, `entry-points`, `udp`, `network`, `public-address`, `nat`, `hole-punching`, `relay`,
    /// `local-network`, `peer`.
    public var findings: [ConnectivityFinding] {
        [
            interfaceFinding, portFinding, entryPointFinding, udpFinding, networkFinding, publicAddressFinding,
            natFinding, punchFinding,
        ].compactMap { $0 } + relayFindings + [localFinding].compactMap { $0 } + peers.map { finding(of: $0) }
    }

    private var isLoopbackOnly: Bool { node.serverAddress.map { $0.ipv4Number >> 24 == 127 } ?? false }

    private var interfaceFinding: ConnectivityFinding? {
        let outer = interfaces.filter { !$0.isLoopback && $0.address.family == .ipv4 }
        if isLoopbackOnly {
            return ConnectivityFinding(
                .note, "interfaces", "This node is bound to loopback: only programs on this machine can connect.")
        }
        guard !outer.isEmpty else {
            return ConnectivityFinding(
                .problem, "interfaces",
                "This machine has no IPv4 address but loopback: it is not connected to any network.")
        }
        let list = outer.map { "\($0.address.host) (\($0.name))" }.joined(separator: ", ")
        return ConnectivityFinding(.good, "interfaces", "This machine's addresses: \(list).")
    }

    private var portFinding: ConnectivityFinding? {
        guard let address = node.serverAddress else {
            return ConnectivityFinding(.problem, "port", "No UDP socket could be opened.")
        }
        guard let takenPort else {
            return ConnectivityFinding(.good, "port", "Listening on UDP port \(address.port).")
        }
        return ConnectivityFinding(
            .note, "port",
            "UDP port \(takenPort) is in use by another program, so this node listens on \(address.port). "
                + "That matters only if a router or firewall was set up for \(takenPort).")
    }

    private var entryPointFinding: ConnectivityFinding? {
        guard !entryPoints.isEmpty else {
            return ConnectivityFinding(
                answers.isEmpty ? .note : .good, "entry-points",
                "No entry point is configured: the network is joined through nodes that are known already.")
        }
        let silent = entryPoints.filter { $0.answer == nil }
        let good = entryPoints.count - silent.count
        let names = silent.map { point -> String in
            switch point.failure {
            case .malformed: "\(point.text) is no address"
            case .nameUnknown: "\(point.text) has no address"
            case .noAnswer, nil: "\(point.text) does not answer"
            }
        }.joined(separator: ", ")
        if silent.isEmpty {
            return ConnectivityFinding(
                .good, "entry-points",
                good == 1 ? "The entry point answered." : "All \(good) entry points answered.")
        }
        if good > 0 {
            return ConnectivityFinding(
                .note, "entry-points",
                "\(good) of \(entryPoints.count) entry points answered, and one is enough: \(names).")
        }
        let isHarmless = !answers.isEmpty
        return ConnectivityFinding(
            isHarmless ? .note : .problem, "entry-points",
            "No entry point answered: \(names)."
                + (isHarmless ? " Nodes known from before did, so the network is reached without them." : ""))
    }

    private var udpFinding: ConnectivityFinding? {
        if isUDPWorking {
            let fastest = answers.map(\.roundTripTime).min()
            return ConnectivityFinding(
                .good, "udp",
                "UDP works: \(answers.count) of \(entryPoints.count + askedNodes.count) nodes answered"
                    + (fastest.map { ", the nearest within \(ConnectivityReport.text(of: $0))" } ?? "") + ".")
        }
        return ConnectivityFinding(
            .problem, "udp",
            "No UDP packet came back from anyone. Either this machine is offline, a firewall on it or in its network "
                + "blocks UDP, or nobody runs at the entry points.")
    }

    private var networkFinding: ConnectivityFinding? {
        if isNetworkJoined {
            let isAlone = node.nodeCount == 0
            return ConnectivityFinding(
                .good, "network",
                isAlone
                    ? "The DHT is joined; its nodes are guests, which are not remembered."
                    : "The DHT is joined: \(node.nodeCount) nodes are in the routing table"
                        + (node.isDegraded ? ", but most requests go unanswered." : "."))
        }
        return ConnectivityFinding(
            .problem, "network",
            isUDPWorking
                ? "Nodes answer, but the DHT is not joined yet; try again in a few seconds."
                : "The DHT is not joined: peers can neither be looked up nor find this node through it.")
    }

    private var publicAddressFinding: ConnectivityFinding? {
        guard let first = samples.first else { return nil }
        let seen = samples.map { "\($0.node) sees \($0.observed)" }.joined(separator: ", ")
        let ports = Set(samples.map(\.observed))
        if ports.count == 1 {
            return ConnectivityFinding(
                .good, "public-address",
                samples.count == 1
                    ? "One node sees this one as \(first.observed)."
                    : "\(samples.count) nodes agree that this one's address is \(first.observed).")
        }
        let hosts = Set(samples.map { $0.observed.with(port: 0) })
        return ConnectivityFinding(
            .note, "public-address",
            hosts.count == 1
                ? "The public address is \(first.observed.host), with another port per destination: \(seen)."
                : "This node is seen under \(hosts.count) public addresses: \(seen).")
    }

    private var natFinding: ConnectivityFinding? {
        guard isUDPWorking else { return nil }
        switch nat {
        case .open:
            return ConnectivityFinding(
                .good, "nat",
                "Strangers can reach this node"
                    + (node.openAddress.map { " at \($0)" } ?? "") + ": no firewall is in the way.")
        case .consistent:
            return ConnectivityFinding(
                .good, "nat",
                "This node is behind a firewall or NAT that keeps one public port for all destinations (consistent).")
        case .random:
            return ConnectivityFinding(
                .note, "nat",
                "This node is behind a NAT that takes another public port for every destination (random).")
        case .unknown:
            return ConnectivityFinding(
                .note, "nat", "Too few nodes answered to tell what kind of firewall or NAT this node is behind.")
        }
    }

    private var punchFinding: ConnectivityFinding? {
        guard isUDPWorking else { return nil }
        switch nat {
        case .open:
            return ConnectivityFinding(.good, "hole-punching", "Peers connect to this node without hole punching.")
        case .consistent:
            return ConnectivityFinding(
                .good, "hole-punching", "Holes can be punched from here to every peer that allows it.")
        case .random:
            return ConnectivityFinding(
                .note, "hole-punching",
                "Holes can be punched from here only to peers whose network keeps one port; to others it takes a relay."
            )
        case .unknown:
            return ConnectivityFinding(
                .note, "hole-punching", "Whether holes can be punched from here is not known.")
        }
    }

    private var relayFindings: [ConnectivityFinding] {
        if relays.isEmpty, isUDPWorking, nat == .random || nat == .unknown {
            return [
                ConnectivityFinding(
                    .note, "relay",
                    "No relay is configured, so peers behind a NAT like this one cannot be reached. "
                        + "Anyone with an open address can run one: dweb relay.")
            ]
        }
        return relays.map { relay in
            guard let connection = relay.connection else {
                return ConnectivityFinding(
                    .problem, "relay",
                    "The relay \(relay.publicKey) is not available: \(relay.failure?.description ?? "unknown reason.")")
            }
            return ConnectivityFinding(
                .good, "relay",
                "The relay \(relay.publicKey) is available"
                    + (connection.roundTripTime.map { ", \(ConnectivityReport.text(of: $0)) away" } ?? "") + ".")
        }
    }

    private var localFinding: ConnectivityFinding? {
        guard let localPeerCount, !isLoopbackOnly else { return nil }
        if !isNetworkJoined, localPeerCount > 0 {
            let isOne = localPeerCount == 1
            return ConnectivityFinding(
                .good, "local-network",
                "No node of the network is reachable, but \(isOne ? "one peer is" : "\(localPeerCount) peers are") in the "
                    + "local network: \(isOne ? "it" : "they") can be connected without.")
        }
        return ConnectivityFinding(
            .good, "local-network",
            localPeerCount == 1
                ? "One peer was found in the local network."
                : "\(localPeerCount == 0 ? "No" : String(localPeerCount)) peers were found in the local network.")
    }

    private func finding(of peer: PeerReport) -> ConnectivityFinding {
        let name = "Peer \(peer.publicKey)"
        if let connection = peer.connection {
            var text = "\(name) can be connected \(connection.path.words)"
            if let address = connection.address { text += " at \(address)" }
            if let time = connection.connectTime { text += ", in \(ConnectivityReport.text(of: time))" }
            if let time = connection.roundTripTime { text += "; round trip \(ConnectivityReport.text(of: time))" }
            return ConnectivityFinding(.good, "peer", text + ".")
        }
        if peer.isRefused {
            return ConnectivityFinding(
                .problem, "peer", "\(name) answers others but refuses this node's key: its firewall does not admit it.")
        }
        guard let failure = peer.failure else {
            return ConnectivityFinding(
                .problem, "peer", "\(name) is not connected: \(peer.status?.description ?? "nothing is known of it").")
        }
        return ConnectivityFinding(.problem, "peer", "\(name): \(explanation(of: failure, at: peer))")
    }

    private func explanation(of failure: ConnectError, at peer: PeerReport) -> String {
        switch failure {
        case .peerNotFound where !isNetworkJoined:
            "It cannot be looked up, because the network is not reached."
        case .peerConnectionFailed where !peer.knownBy.isEmpty:
            "\(peer.knownBy.count) nodes know it, but it answers through none of them: "
                + "it went offline within the last half hour, or its firewall refuses this node."
        case .holepunchAborted, .remoteAborted, .remoteNotHolepunchable, .holepunchProbeTimeout:
            failure.description + (nat == .random ? " This node's own NAT makes that hard." : "")
                + " A relay would help."
        case .doubleRandomizedNATs: failure.description
        case .peerNotFound, .peerConnectionFailed, .serverIncompatible, .serverError, .cannotHolepunch,
            .holepunchInvalid, .badHolepunchReply, .remoteNotHolepunching, .relayAborted, .suspended, .destroyed:
            failure.description
        }
    }

    static func text(of duration: Duration) -> String {
        let milliseconds = duration.seconds * 1_000
        if milliseconds < 1 { return "1 ms" }
        if milliseconds < 1_000 { return "\(Int(milliseconds.rounded())) ms" }
        let tenths = Int((milliseconds / 100).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

extension ConnectionPath {
    /// A few words for people, to follow "connected".
    public var words: String {
        switch self {
        case .open: "directly"
        case .localNetwork: "within the local network"
        case .holePunched: "directly, through a punched hole"
        case .relayed: "through a relay"
        }
    }
}
