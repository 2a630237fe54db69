import DWebLogCore
import DWebPorts

extension WriteBatch {
    // What a key and a node take: prefixes of at most 11 bytes, two integers of at most 9, a hash.
    private static let nodeByteCount = 64
    private static let keyByteCount = 20
    // Larger blocks are not copied into the batch; see `WriteBatch`.
    private static let blockByteLimit = 8_192

    /// Makes room for so many nodes and blocks of `byteCount` bytes in all.
    mutating func reserve(nodeCount: Int, blockCount: Int, byteCount: Int) {
        reserve(
            count: nodeCount + blockCount + 4,
            byteCount: nodeCount * WriteBatch.nodeByteCount
                + blockCount * WriteBatch.keyByteCount + min(byteCount, blockCount * WriteBatch.blockByteLimit))
    }

    /// Stores tree nodes.
    mutating func put(_ nodes: some Sequence<TreeNode>, _ keys: DataKeys) {
        for node in nodes {
            put(
                key: { keys.writeNodeKey(node.index, into: &$0) },
                value: { node.encode(into: &$0) })
        }
    }

    /// Stores a block.
    mutating func put(block: [UInt8], at index: UInt64, _ keys: DataKeys) {
        put(key: { keys.writeBlockKey(index, into: &$0) }, value: block)
    }
}
