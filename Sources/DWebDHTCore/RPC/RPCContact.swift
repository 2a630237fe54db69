package import DWebBase
import DWebCrypto

/// A node as seen from outside: its address and, if it proved to have one, its id.
package struct RPCContact: Hashable, Sendable {
    /// Where it is reached; IPv4.
    package var address: SocketAddress
    /// Its id, always the hash of ``address``; nil for a node that did not send one (ephemeral, or not its server
    /// socket).
    package var id: Bytes32?

    /// A node at `address`, with `id` if that is known to be right.
    package init(address: SocketAddress, id: Bytes32? = nil) {
        self.address = address
        self.id = id
    }
}

/// Ids of nodes; spec 20 section 2.4.
package enum NodeID {
    /// The id of the persistent node at `address`: the hash of the four address bytes and the port, little endian.
    package static func of(_ address: SocketAddress) -> Bytes32 {
        let number = address.ipv4Number
        // Eight bytes on the stack, six of them hashed: a hash per node and packet should not allocate.
        var raw =
            UInt64(number.byteSwapped) | UInt64(address.port) << 32
        raw = raw.littleEndian
        return Bytes32(unsafeInitializing: { output in
            withUnsafeBytes(of: &raw) { input in
                Blake2b.hash(UnsafeRawBufferPointer(rebasing: input[..<6]), into: output)
            }
        })
    }
}
