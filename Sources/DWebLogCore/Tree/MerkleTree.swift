package import DWebBase
import DWebCrypto

/// The state of a log's Merkle tree: fork, length, and the roots from which everything else can be proven.
///
/// A value is small (one root per set bit of the length) and knows nothing of storage: growing it hands out the nodes
/// that came into being, spec 40 section 2.
package struct MerkleTree: Sendable, Hashable {
    /// How often the log's history has been cut; spec 40 section 7.
    package var fork: UInt64
    /// The number of blocks.
    package private(set) var length: UInt64
    /// The number of bytes in all blocks, as stored.
    package private(set) var byteLength: UInt64
    /// The roots, from the left.
    package private(set) var roots: [TreeNode]

    /// An empty tree.
    package init(fork: UInt64 = 0) {
        self.fork = fork
        length = 0
        byteLength = 0
        roots = []
    }

    /// A tree by its roots; nil if they are not exactly the roots of `length` blocks or their sizes are impossible.
    package init?(fork: UInt64, length: UInt64, roots: [TreeNode]) {
        guard length <= LogLimits.length, roots.count == length.nonzeroBitCount else { return nil }
        var byteLength: UInt64 = 0
        for (index, node) in zip(FlatTree.fullRoots(length: length), roots) {
            let (sum, overflow) = byteLength.addingReportingOverflow(node.size)
            guard node.index == index, !overflow, sum <= LogLimits.treeByteLength else { return nil }
            byteLength = sum
        }
        self.fork = fork
        self.length = length
        self.byteLength = byteLength
        self.roots = roots
    }

    /// Adds one block and appends to `nodes` every node that came into being, leaf first.
    package mutating func append(block: [UInt8], collecting nodes: inout [TreeNode]) {
        append(leaf: MerkleHash.leaf(block), byteCount: UInt64(block.count), collecting: &nodes)
    }

    /// Adds blocks and appends to `nodes` every node that came into being, in no particular order.
    ///
    /// Costs less per block than one by one, since the hashes of one level do not depend on each other.
    package mutating func append(blocks: [[UInt8]], collecting nodes: inout [TreeNode]) {
        guard blocks.count >= MerkleHash.togetherCount else {
            for block in blocks { append(block: block, collecting: &nodes) }
            return
        }
        precondition(UInt64(blocks.count) <= LogLimits.length - length, "a log has at most 2^52 blocks")
        var level: [TreeNode] = []
        level.reserveCapacity(blocks.count + 1)
        for (block, hash) in zip(blocks, MerkleHash.leaves(blocks)) {
            let size = UInt64(block.count)
            precondition(size <= LogLimits.treeByteLength - byteLength, "a log has at most 2^53 - 1 bytes")
            level.append(TreeNode(index: FlatTree.leaf(length), size: size, hash: hash))
            length += 1
            byteLength += size
        }
        nodes.reserveCapacity(nodes.count + 2 * blocks.count)
        // What has no sibling to its right, from the leaves upwards.
        var last: [TreeNode] = []
        while let first = level.first {
            nodes.append(contentsOf: level)
            if let left = roots.last, FlatTree.sibling(first.index) == left.index {
                level.insert(roots.removeLast(), at: 0)
            }
            if !level.count.isMultiple(of: 2) { last.append(level.removeLast()) }
            level = TreeNode.parents(of: level)
        }
        roots.append(contentsOf: last.reversed())
    }

    /// Adds the block with this leaf hash and appends to `nodes` every node that came into being, leaf first.
    package mutating func append(leaf hash: Bytes32, byteCount: UInt64, collecting nodes: inout [TreeNode]) {
        precondition(length < LogLimits.length, "a log has at most 2^52 blocks")
        precondition(byteCount <= LogLimits.treeByteLength - byteLength, "a log has at most 2^53 - 1 bytes")
        merge(TreeNode(index: FlatTree.leaf(length), size: byteCount, hash: hash), collecting: &nodes)
    }

    /// Adds a whole perfect sub tree directly behind the last block; appends it and its new ancestors to `nodes`.
    ///
    /// - Throws: `invalidOperation` if the node does not begin where the tree ends, reaches further than the last
    ///   root does, or makes the tree larger than trees may be. Nothing has changed then.
    package mutating func append(root node: TreeNode, collecting nodes: inout [TreeNode]) throws(ProofError) {
        let leafCount = FlatTree.leafCount(node.index)
        guard FlatTree.leftSpan(node.index) == 2 &* length else { throw .invalidOperation(.unexpectedNode(node.index)) }
        if let last = roots.last, leafCount > FlatTree.leafCount(last.index) {
            throw .invalidOperation(.unexpectedNode(node.index))
        }
        guard leafCount <= LogLimits.length &- length, node.size <= LogLimits.treeByteLength &- byteLength else {
            throw .invalidOperation(.treeTooLarge)
        }
        merge(node, collecting: &nodes)
    }

    private mutating func merge(_ node: TreeNode, collecting nodes: inout [TreeNode]) {
        length &+= FlatTree.leafCount(node.index)
        byteLength &+= node.size
        nodes.append(node)
        var last = node
        while let left = roots.last, FlatTree.sibling(last.index) == left.index {
            roots.removeLast()
            last = TreeNode(parentOf: left, last)
            nodes.append(last)
        }
        roots.append(last)
    }

    /// The tree hash: what a signature covers; spec 00 section 3.2.
    package var hash: Bytes32 { MerkleTree.hash(of: roots) }

    /// The tree hash of any list of roots.
    package static func hash(of roots: some Sequence<TreeNode>) -> Bytes32 {
        // Fed one by one: a sequence of tuples is not specialised across modules, and this runs for every append.
        var hasher = MerkleHash.TreeHasher()
        for root in roots { hasher.add(root.hash, index: root.index, byteCount: root.size) }
        return hasher.finalize()
    }
}

/// A tree with the signature that its signers gave for it.
package struct SignedTree: Sendable, Hashable {
    /// The tree.
    package var tree: MerkleTree
    /// The signature in the form its manifest demands; nil only where a prologue makes one unnecessary.
    package var signature: [UInt8]?

    /// Pairs a tree with its signature.
    package init(tree: MerkleTree, signature: [UInt8]?) {
        self.tree = tree
        self.signature = signature
    }
}
