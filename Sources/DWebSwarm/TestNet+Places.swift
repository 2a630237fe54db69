public import DWebBase
public import DWebPorts

extension TestNet {
    /// Loopback addresses with ports that are free at this moment, one per node.
    ///
    /// - Throws: ``PortError`` if no socket can be bound.
    public static func freePlaces(
        runtime: DWebRuntime, nodeCount: Int
    ) async throws(PortError) -> [(runtime: DWebRuntime, address: SocketAddress)] {
        let host = SocketAddress(ipv4: 127, 0, 0, 1, port: 0)
        // All are held at once, so that no port is given twice, and released for the nodes to take.
        var sockets: [any DatagramSocket] = []
        defer { for socket in sockets { socket.close() } }
        for _ in 0..<nodeCount {
            sockets.append(try await runtime.network.bind(DatagramSocketOptions(address: host)) { _ in })
        }
        return sockets.map { (runtime: runtime, address: $0.localAddress) }
    }
}
