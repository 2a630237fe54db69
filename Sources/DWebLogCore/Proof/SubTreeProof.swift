/// What the block, hash and seek sections of a message amount to: one root, computed from what is below it; spec 30
/// section D.3, step 1.
struct SubTreeProof {
    /// The topmost node that the sections lead to.
    private(set) var root: TreeNode
    /// Every node on the way, received or computed.
    private(set) var nodes: [TreeNode]
    /// Whether the root's hash was computed, so that it covers the root's size.
    private(set) var isRootComputed: Bool
    /// Received nodes of whose sizes only the sum with the sibling's is covered by a hash, given that the root is
    /// right.
    private(set) var unprovenIndices: [UInt64] = []

    /// Folds the sections; nil if there are none.
    ///
    /// - Throws: `invalidOperation` for nodes that are missing, out of order or too many.
    init?(_ message: DataMessage) throws(ProofError) {
        guard message.block == nil || message.hash == nil else { throw .invalidOperation(.unexpectedMessage) }
        var seekProof: SubTreeProof?
        if let first = message.seek?.nodes.first, let nodes = message.seek?.nodes {
            seekProof = SubTreeProof(received: first)
            try seekProof?.climb(nodes.dropFirst(), extra: nil)
        }
        if let block = message.block {
            self.init(computed: TreeNode(block: block.value, at: block.index))
            try climb(block.nodes[...], extra: seekProof)
        } else if let hash = message.hash {
            guard let first = hash.nodes.first else { throw .invalidOperation(.missingNode(hash.index)) }
            guard first.index == hash.index else { throw .invalidOperation(.unexpectedNode(first.index)) }
            self.init(received: first)
            try climb(hash.nodes.dropFirst(), extra: seekProof)
        } else if let seekProof {
            self = seekProof
        } else {
            return nil
        }
    }

    private init(computed node: TreeNode) {
        root = node
        nodes = [node]
        isRootComputed = true
    }

    private init(received node: TreeNode) {
        root = node
        nodes = [node]
        isRootComputed = false
        unprovenIndices = [node.index]
    }

    /// Climbs from the root over siblings: each is the next of the list, or where it fits the other sub tree.
    private mutating func climb(_ siblings: ArraySlice<TreeNode>, extra: SubTreeProof?) throws(ProofError) {
        var queue = siblings
        var extra = extra
        nodes.reserveCapacity(nodes.count + 2 * (siblings.count + (extra?.nodes.count ?? 0)))
        while !queue.isEmpty || extra != nil {
            let index = FlatTree.sibling(root.index)
            let sibling: TreeNode
            if let other = extra, other.root.index == index {
                sibling = other.root
                nodes += other.nodes.dropLast()
                unprovenIndices += other.unprovenIndices
                extra = nil
            } else {
                guard let next = queue.popFirst() else { throw .invalidOperation(.missingNode(index)) }
                guard next.index == index else { throw .invalidOperation(.unexpectedNode(next.index)) }
                sibling = next
                // The first sibling of a received node shares its fate: a hash covers the sum of their sizes only.
                if !isRootComputed { unprovenIndices.append(index) }
            }
            guard root.size <= LogLimits.treeByteLength &- sibling.size else {
                throw .invalidOperation(.treeTooLarge)
            }
            nodes.append(sibling)
            root = TreeNode(parentOf: root, sibling)
            nodes.append(root)
            isRootComputed = true
        }
    }
}
