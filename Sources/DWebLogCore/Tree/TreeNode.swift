package import DWebBase
import DWebCrypto

/// One node of a log's Merkle tree.
///
/// A parent's hash covers only the *sum* of its children's sizes: the size of a node that is known by its hash alone is
/// not proven, see spec 40 section 17.
package struct TreeNode: Hashable, Sendable {
    /// The number of the node in the flat tree.
    package var index: UInt64
    /// The bytes in all blocks below, as stored.
    package var size: UInt64
    /// The hash of spec 00 section 3.2.
    package var hash: Bytes32

    /// The fewest bytes an encoded node takes.
    package static let minimumEncodedByteCount = 2 + Bytes32.byteCount

    /// Puts together what is known of a node.
    package init(index: UInt64, size: UInt64, hash: Bytes32) {
        self.index = index
        self.size = size
        self.hash = hash
    }

    /// The leaf of `block` (as stored) at `blockIndex`.
    package init(block: [UInt8], at blockIndex: UInt64) {
        self.init(index: FlatTree.leaf(blockIndex), size: UInt64(block.count), hash: MerkleHash.leaf(block))
    }

    /// The parent of two siblings, in either order. Their sizes must add up to less than 2^64.
    package init(parentOf first: TreeNode, _ second: TreeNode) {
        let (left, right) = first.index < second.index ? (first, second) : (second, first)
        let size = left.size &+ right.size
        self.init(
            index: FlatTree.parent(left.index), size: size,
            hash: MerkleHash.parent(byteCount: size, left: left.hash, right: right.hash))
    }

    /// The parents of siblings that follow each other: of the first two nodes, the next two, and so on.
    package static func parents(of nodes: [TreeNode]) -> [TreeNode] {
        let pairs: [MerkleHash.Children] = stride(from: 0, to: nodes.count, by: 2).map { left in
            (nodes[left].size &+ nodes[left + 1].size, nodes[left].hash, nodes[left + 1].hash)
        }
        return zip(pairs, MerkleHash.parents(pairs)).enumerated().map { offset, parent in
            TreeNode(index: FlatTree.parent(nodes[2 * offset].index), size: parent.0.byteCount, hash: parent.1)
        }
    }

    /// Reads `uint index, uint size, fixed32 hash`.
    package init(from reader: inout ByteReader) throws(CodecError) {
        index = try reader.readUInt()
        size = try reader.readUInt()
        hash = try reader.readBytes32()
    }

    /// Writes `uint index, uint size, fixed32 hash`.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(index)
        writer.writeUInt(size)
        writer.writeBytes32(hash)
    }
}

extension [TreeNode] {
    /// Reads an array of at most `limit` nodes.
    package init(from reader: inout ByteReader, limit: Int) throws(CodecError) {
        let count = try reader.readArrayCount(minimumByteCount: TreeNode.minimumEncodedByteCount)
        guard count <= limit else { throw .arrayTooLong }
        self.init()
        reserveCapacity(count)
        for _ in 0..<count { append(try TreeNode(from: &reader)) }
    }

    /// Writes the nodes as an array.
    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt(count)
        for node in self { node.encode(into: &writer) }
    }
}
