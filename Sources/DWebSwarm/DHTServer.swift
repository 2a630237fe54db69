public import DWebBase
import DWebDHTCore

/// A key pair that listens at a ``DHTNode``, and the connections that come in for it.
public struct DHTServer: Sendable {
    /// The key by which peers find and dial it.
    public let publicKey: PublicKey
    let id: ServerID
    let node: DHTNode
    let queue: ConnectionQueue

    /// The connections, each exactly once.
    public var connections: SwarmConnections { SwarmConnections(queue: queue) }

    /// Nodes that lead to the key pair, to be announced with topics.
    public func relayAddresses() async -> [SocketAddress] { await node.relayAddresses(of: id) }

    /// Withdraws the announcement and ends ``connections``. Connections that were taken stay open.
    public func close() async {
        await node.stopListening(id)
        queue.close()
    }
}
