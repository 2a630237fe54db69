import DWeb

/// What `dweb doctor` prints.
struct DoctorOutput: Encodable {
    /// What was found for the key that was asked about.
    struct Search: Encodable {
        let key: String
        let announcedPeers: Int
        /// Peers that have the log and were found in the local network.
        let localPeers: Int
        let isPeerKey: Bool
    }

    struct Finding: Encodable {
        let code: String
        let severity: String
        let sentence: String
    }

    struct EntryPoint: Encodable {
        let text: String
        let address: String?
        let answered: Bool
        let milliseconds: Double?
        let failure: String?
    }

    struct Sample: Encodable {
        let node: String
        let seesUsAs: String
    }

    struct Peer: Encodable {
        let key: String
        let connected: Bool
        let path: String?
        let address: String?
        let connectMilliseconds: Double?
        let roundTripMilliseconds: Double?
        let knownByNodes: Int
        let refused: Bool
        let failure: String?
        let failureCode: String?
    }

    let canConnect: Bool
    let udpWorks: Bool
    let networkJoined: Bool
    let port: UInt16?
    let publicAddress: String?
    let openAddress: String?
    let nat: String
    let holePunchable: Bool?
    let samples: [Sample]
    let routingTableNodes: Int
    let localPeers: Int?
    let entryPoints: [EntryPoint]
    let relays: [Peer]
    let peers: [Peer]
    let search: Search?
    let findings: [Finding]

    init(_ report: ConnectivityReport, search: Search?) {
        let isNobodyThere = search != nil && report.peers.isEmpty
        canConnect = report.canConnect && !isNobodyThere
        udpWorks = report.isUDPWorking
        networkJoined = report.isNetworkJoined
        port = report.node.serverAddress?.port
        publicAddress = report.node.publicAddress?.description
        openAddress = report.node.openAddress?.description
        nat = report.nat.rawValue
        holePunchable = report.nat.canPunch(to: .consistent)
        samples = report.samples.map { Sample(node: $0.node.description, seesUsAs: $0.observed.description) }
        routingTableNodes = report.node.nodeCount
        localPeers = report.localPeerCount
        entryPoints = report.entryPoints.map {
            EntryPoint(
                text: $0.text, address: $0.address?.description, answered: $0.answer != nil,
                milliseconds: $0.answer?.roundTripTime.milliseconds, failure: $0.failure?.rawValue)
        }
        relays = report.relays.map(Peer.init)
        peers = report.peers.map(Peer.init)
        self.search = search
        var all = report.findings.map {
            Finding(code: $0.code, severity: $0.severity.rawValue, sentence: $0.sentence)
        }
        if isNobodyThere, report.isNetworkJoined {
            let sentence =
                "Nobody announces the log with this key, and no peer has this key: whoever publishes it is offline, or "
                + "uses another network."
            all.append(Finding(code: "peer", severity: "problem", sentence: sentence))
        }
        findings = all
    }

    /// The findings as lines for people, each with a mark.
    var lines: [String] {
        findings.map { finding in
            let mark =
                switch finding.severity {
                case "good": "ok  "
                case "note": "note"
                default: "FAIL"
                }
            return "\(mark)  \(finding.sentence)"
        }
    }
}

extension DoctorOutput.Peer {
    init(_ report: PeerReport) {
        key = report.publicKey.text
        connected = report.connection != nil
        path = report.connection?.path.rawValue
        address = report.connection?.address?.description
        connectMilliseconds = report.connection?.connectTime?.milliseconds
        roundTripMilliseconds = report.connection?.roundTripTime?.milliseconds
        knownByNodes = report.knownBy.count
        refused = report.isRefused
        failure = report.failure?.description
        failureCode = report.failure?.code
    }
}

extension Duration {
    /// Milliseconds, to a microsecond.
    var milliseconds: Double { (self / .microseconds(1)).rounded() / 1_000 }
}
