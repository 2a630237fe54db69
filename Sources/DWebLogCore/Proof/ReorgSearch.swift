/// The search for what two histories of a log have in common, after a peer has proven a newer fork; spec 30 section
/// D.5.
///
/// It begins with a proof of the whole new tree and goes on with the answers to hash requests until the first block
/// that differs is known. Nothing is applied before.
package struct ReorgSearch: Sendable {
    /// The tree of the new fork, signed.
    package let signed: SignedTree
    /// The manifest to store, if it was not known.
    package let manifest: Manifest?
    /// The number of blocks that both histories are known to share.
    package private(set) var ancestors: UInt64
    /// The nodes of the new tree that have been proven so far.
    package private(set) var nodes: [TreeNode]

    private let local: MerkleTree
    private let prologueLength: UInt64
    private var difference: TreeNode?
    private var openBlocks: Range<UInt64>?

    /// Starts with a peer's proof of a newer fork.
    ///
    /// - Parameters:
    ///   - message: A data message with an upgrade from 0 in a higher fork.
    ///   - tree: The local tree.
    ///   - verifier: The log's rules.
    ///   - source: The stored nodes of the local tree.
    /// - Throws: `otherFork` if the fork is not higher; `notLoaded` to be called again; otherwise the proof is bad.
    package init(
        _ message: DataMessage, against tree: MerkleTree, verifier: ProofVerifier, source: some NodeSource
    ) throws(ProofError) {
        guard message.fork > tree.fork else { throw .otherFork }
        let result = try verifier.verifyStandalone(message)
        signed = result.signed
        manifest = result.manifest
        nodes = result.nodes
        local = tree
        prologueLength = result.prologueLength
        ancestors = min(result.signed.tree.length, tree.length)
        let stored = LocalTree(tree: tree, source: source)
        for root in signed.tree.roots where try stored.node(at: root.index)?.hash != root.hash {
            narrow(to: root)
            break
        }
        try descend(through: nodes, stored)
    }

    /// Whether ``ancestors`` is final.
    package var isFinished: Bool { openBlocks == nil }

    /// The request that gets the search on: a hash request for the leaf of *any* block in `blocks` that the peer has,
    /// with `levels` to climb. Nil when finished.
    package var wanted: (blocks: Range<UInt64>, levels: UInt64)? {
        guard let openBlocks, let difference else { return nil }
        return (openBlocks, FlatTree.depth(difference.index))
    }

    /// Takes the answer to a hash request.
    ///
    /// - Returns: Whether it was about the place that is searched now. If not, it changes nothing.
    /// - Throws: `notLoaded` to be called again; `invalidOperation`, `invalidChecksum` or `invalidProof` for a bad
    ///   answer. The search is unchanged then.
    package mutating func handle(_ message: DataMessage, source: some NodeSource) throws(ProofError) -> Bool {
        guard let difference, openBlocks != nil, message.fork == signed.tree.fork, message.upgrade == nil,
            let subTree = try SubTreeProof(message), subTree.root.index == difference.index
        else { return false }
        guard subTree.root.hash == difference.hash,
            subTree.isRootComputed || subTree.root.size == difference.size
        else { throw .invalidChecksum(nodeIndex: difference.index) }
        var next = self
        next.nodes += subTree.nodes
        try next.descend(through: subTree.nodes, LocalTree(tree: local, source: source))
        self = next
        return true
    }

    /// What disappears locally when the new fork is installed.
    package var truncation: TreeTruncation { TreeTruncation(from: local.length, to: ancestors) }

    /// Whether the local log is still the one that was compared.
    package func isApplicable(to tree: MerkleTree) -> Bool { tree == local }

    /// Follows the leftmost difference down as far as `known` nodes reach.
    private mutating func descend(
        through known: [TreeNode], _ stored: LocalTree<some NodeSource>
    ) throws(ProofError) {
        let byIndex = Dictionary(known.map { ($0.index, $0) }, uniquingKeysWith: { _, later in later })
        while openBlocks != nil, let current = difference, let leftIndex = FlatTree.leftChild(current.index),
            let left = byIndex[leftIndex],
            let right = byIndex[FlatTree.sibling(leftIndex)]
        {
            narrow(to: try stored.node(at: leftIndex)?.hash == left.hash ? right : left)
        }
        // No history may contradict the beginning that the manifest fixes.
        if isFinished, ancestors < min(prologueLength, local.length) { throw .invalidProof }
    }

    private mutating func narrow(to node: TreeNode) {
        let blocks = FlatTree.blocks(below: node.index).clamped(to: 0..<local.length)
        difference = node
        // Behind the local end there is nothing to compare.
        ancestors = min(FlatTree.blocks(below: node.index).lowerBound, local.length)
        openBlocks = FlatTree.isLeaf(node.index) || blocks.isEmpty ? nil : blocks
    }
}
