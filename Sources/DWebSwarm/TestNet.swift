public import DWebBase
public import DWebPorts

/// A whole DHT in one process, for tests and demonstrations: a number of persistent nodes of which the first is the
/// entry
/// point of the others.
public actor TestNet {
    /// The nodes, the entry point first.
    public nonisolated let nodes: [DHTNode]
    /// The entry point's address: the bootstrap list of everybody who takes part.
    public nonisolated let bootstrap: [SocketAddress]
    nonisolated let loop: any RuntimeLoop

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// A network of `nodeCount` nodes on 127.0.0.1, on the ports `port`, `port + 1` and so on.
    public init(runtime: DWebRuntime, nodeCount: Int = 10, port: UInt16 = 49_737) {
        precondition(nodeCount > 0, "a network has at least one node")
        let host = SocketAddress(ipv4: 127, 0, 0, 1, port: 0)
        self.init(
            places: (0..<nodeCount).map { (runtime, host.with(port: port + UInt16($0))) })
    }

    /// A network with one node per place: a runtime, and the address at which its node is reached.
    public init(places: [(runtime: DWebRuntime, address: SocketAddress)]) {
        precondition(!places.isEmpty, "a network has at least one node")
        let entry = places[0].address
        loop = places[0].runtime.loop
        bootstrap = [entry]
        nodes = places.enumerated().map { index, place in
            var configuration = DHTConfiguration.entryPoint(at: place.address)
            if index > 0 {
                configuration.bootstrap = [entry.description]
                configuration.publicAddress = nil
            }
            return DHTNode(runtime: place.runtime, configuration: configuration)
        }
    }

    /// Runs all nodes until ``close()`` is called or the task is cancelled.
    ///
    /// - Throws: ``DSwarmError`` with code `bindFailed` if a port is taken.
    public func run() async throws(DSwarmError) {
        let nodes = nodes
        let result = await withTaskGroup(of: DSwarmError?.self) { group -> DSwarmError? in
            for node in nodes {
                group.addTask {
                    do throws(DSwarmError) { try await node.run() } catch { return error }
                    return nil
                }
            }
            var failure: DSwarmError?
            for await error in group {
                // One node fails to start, or ends: the network is none any more.
                failure = failure ?? error
                group.cancelAll()
            }
            return failure
        }
        if let result { throw result }
    }

    /// Waits until every node has found its place; false if the network was closed before.
    public func ready() async -> Bool {
        for node in nodes {
            guard await node.bootstrapped() else { return false }
        }
        return true
    }

    /// Closes all nodes and ends ``run()``.
    public func close() async {
        for node in nodes { await node.close() }
    }
}
