import DWebBase
import DWebDHTCore
import DWebPorts

// What one run leaves to the next: the good nodes of the routing table, in a small file. A start with them needs no
// entry point, and asks one only to fill up.
extension DHTNode {
    /// How often the file is brought up to date while the node runs.
    private static let saveInterval = Duration.seconds(300)

    /// Adds the nodes of the last run to the table. A file that cannot be read or used is as good as none.
    func loadKnownNodes() async {
        guard let file = configuration.knownNodesFile else { return }
        guard let bytes = try? await file.read(), let record = try? KnownNodesRecord(decoding: bytes),
            record.network == networkName
        else { return }
        // The table wants the most recently heard last.
        for address in record.nodes.reversed() { machine.rpc.addNode(address) }
        savedNodes = record.nodes
    }

    /// Stores the nodes of the table, if there are any and they changed. A failure costs only the next start's speed.
    func saveKnownNodes() async {
        guard let file = configuration.knownNodesFile else { return }
        let nodes = machine.rpc.knownNodes(limit: KnownNodesRecord.nodeLimit)
        guard !nodes.isEmpty, nodes != savedNodes else { return }
        savedNodes = nodes
        try? await file.replace(with: KnownNodesRecord(network: networkName, nodes: nodes).encoded)
    }

    /// Saves now and then from now on.
    func keepSavingKnownNodes() {
        guard configuration.knownNodesFile != nil, phase == .running else { return }
        add(.ask { await self.saveKnownNodes() })
        saveTimer?.cancel()
        saveTimer = loop.schedule(at: loop.now + DHTNode.saveInterval) { [weak self] in
            self?.assumeIsolated { $0.keepSavingKnownNodes() }
        }
    }

    private var networkName: Bytes32 { KnownNodesRecord.network(bootstrap: configuration.bootstrap) }
}
