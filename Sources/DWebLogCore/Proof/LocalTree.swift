/// The stored nodes of a tree, with its roots always at hand and nothing from behind its end.
///
/// Storage may hold nodes that span past the tree's end, left behind by a truncation; they must never count as known.
struct LocalTree<Source: NodeSource>: NodeSource {
    let tree: MerkleTree
    let source: Source

    func node(at index: UInt64) throws(ProofError) -> TreeNode? {
        guard FlatTree.rightSpan(index) < 2 &* tree.length else { return nil }
        if let root = tree.roots.first(where: { $0.index == index }) { return root }
        guard let node = try source.node(at: index), node.index == index else { return nil }
        return node
    }

    /// The root below which the leaf `leaf` lies, and the sum of the roots before it; nil behind the tree's end.
    func root(above leaf: UInt64) -> (root: TreeNode, byteOffset: UInt64)? {
        var offset: UInt64 = 0
        for root in tree.roots {
            if leaf <= FlatTree.rightSpan(root.index) { return (root, offset) }
            offset &+= root.size
        }
        return nil
    }
}
