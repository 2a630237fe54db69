package import DWebBase
import DWebCrypto

/// The nodes that a run leaves to the next one, so that it need not begin with an entry point.
///
/// A format of our own: version byte 1, 32 bytes that name the network, array of addresses, most recently heard first.
package struct KnownNodesRecord: Equatable, Sendable {
    /// Nodes kept; a table holds more, but a start asks only 20.
    package static let nodeLimit = 64
    private static let version: UInt8 = 1

    /// The network that the nodes belong to.
    package let network: Bytes32
    /// The nodes, most recently heard first.
    package let nodes: [SocketAddress]

    /// A record of the first ``nodeLimit`` usable ones of `nodes`.
    package init(network: Bytes32, nodes: [SocketAddress]) {
        self.network = network
        self.nodes = Array(nodes.lazy.filter { $0.family == .ipv4 && $0.port != 0 }.prefix(Self.nodeLimit))
    }

    /// The name of the network that has these entry points, whatever their order.
    ///
    /// Nodes of a private network must not lead into the public one, or the other way round.
    package static func network(bootstrap: [String]) -> Bytes32 {
        Blake2b.hash32(Array(bootstrap.sorted().joined(separator: "\n").utf8))
    }

    /// Reads a record; a damaged one, or one of another version, is an error.
    package init(decoding bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        guard try reader.readByte() == Self.version else { throw CodecError.invalidValue }
        let network = try reader.readBytes32()
        let count = try reader.readUInt()
        var nodes: [SocketAddress] = []
        guard count <= UInt64(Self.nodeLimit) else { throw CodecError.invalidValue }
        for _ in 0..<count { nodes.append(try reader.readIPv4Address()) }
        self.init(network: network, nodes: nodes)
    }

    /// The bytes to store.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 48 + nodes.count * 6)
        writer.writeByte(Self.version)
        writer.writeBytes32(network)
        writer.writeUInt(UInt64(nodes.count))
        for node in nodes { writer.writeAddress(node) }
        return writer.bytes
    }
}
