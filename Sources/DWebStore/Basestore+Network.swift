package import DWebBase
import DWebDatabase

// What a networker tells the store about the network.

extension Basestore {
    /// Says whether peers are being searched for: while they are, an update of the log waits for the first one.
    package func setFindingPeers(_ isFinding: Bool, _ discoveryKey: DiscoveryKey) async {
        await engine.setFindingPeers(isFinding, discoveryKey)
    }

    /// Closes the log's channel on every connection; the connections stay.
    package func closeChannels(of discoveryKey: DiscoveryKey) async { await engine.closeChannels(of: discoveryKey) }

    /// Offers an open log on every connection on which it has no channel.
    package func openChannels(of discoveryKey: DiscoveryKey) async { await engine.openChannels(of: discoveryKey) }
}

extension StoreEngine {
    func setFindingPeers(_ isFinding: Bool, _ discoveryKey: DiscoveryKey) async {
        await logs[discoveryKey]?.setFindingPeers(isFinding)
    }

    func closeChannels(of discoveryKey: DiscoveryKey) async { await logs[discoveryKey]?.closeChannels() }

    func openChannels(of discoveryKey: DiscoveryKey) async {
        guard let engine = logs[discoveryKey], !engine.isClosed else { return }
        await offer(engine)
    }
}
