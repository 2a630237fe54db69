package import DWebBase

/// Outgoing datagrams, one batch per socket, reused from turn to turn.
package struct UDXOutput {
    /// The batches, by ``SocketID/index``.
    package private(set) var batches: [DatagramBatch] = []

    package init() {}

    /// Makes room for `socket`.
    mutating func prepare(_ socket: SocketID) {
        while batches.count <= socket.index { batches.append(DatagramBatch()) }
    }

    /// Appends a datagram whose payload `build` appends.
    @inline(__always)
    mutating func append(
        on socket: SocketID, to address: SocketAddress, congestionMark: CongestionMark = .notCapable,
        isFragmentable: Bool = false, _ build: (inout [UInt8]) -> Void
    ) {
        batches[socket.index].append(
            address: address, congestionMark: congestionMark, isFragmentable: isFragmentable, build)
    }

    /// Hands every batch that is not empty to `send`, in order of sockets, and empties it.
    package mutating func flush(_ send: (SocketID, DatagramBatch) -> Void) {
        for index in batches.indices where !batches[index].isEmpty {
            send(SocketID(index: index), batches[index])
            batches[index].removeAll()
        }
    }
}
