import DWebLogCore
import DWebPorts

extension WriteBatch {
    // What a key and a node take: prefixes of at most 11 bytes, two integers of at most 9, a hash.
    private static let nodeByteCount = 64
    private static let keyByteCount = 20
    // Larger blocks are not copied into the batch; see `WriteBatch`.
    private static let blockByteLimit = 8_192

    // The head with a signature by one key, and hints, with their keys.
    private static let headByteCount = 256

    /// Makes room for a head, so many nodes and pages, and blocks of `byteCount` bytes in all.
    mutating func reserve(nodeCount: Int, pageCount: Int, blockCount: Int, byteCount: Int) {
        reserve(
            count: nodeCount + pageCount + blockCount + 3,
            byteCount: WriteBatch.headByteCount + nodeCount * WriteBatch.nodeByteCount
                + pageCount * (WriteBatch.keyByteCount + AvailabilityMap.pageByteCount)
                + blockCount * WriteBatch.keyByteCount + min(byteCount, blockCount * WriteBatch.blockByteLimit))
    }

    /// Stores a page of `map` with the indices of `removing` absent, then those of `adding` present.
    mutating func put(
        page: UInt64, of map: AvailabilityMap, adding: Range<UInt64>? = nil, removing: Range<UInt64>? = nil,
        _ keys: DataKeys
    ) {
        put(keys.bitfieldPage(page), byteCount: AvailabilityMap.pageByteCount) {
            map.writePage(page, adding: adding, removing: removing, to: $0)
        }
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
