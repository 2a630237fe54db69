/// The nodes of an upgrade section in their order, with the root of a proven sub tree as one that may be taken out of
/// order; spec 30 section D.3.
struct ProofNodeQueue {
    private let nodes: [TreeNode]
    private var position = 0
    private(set) var extra: TreeNode?

    init(_ nodes: [TreeNode], extra: TreeNode?) {
        self.nodes = nodes
        self.extra = extra
    }

    var isEmpty: Bool { position == nodes.count && extra == nil }
    var next: TreeNode? { position < nodes.count ? nodes[position] : nil }

    /// The node at `index`: the extra one, or the next in order.
    mutating func take(_ index: UInt64) throws(ProofError) -> TreeNode {
        if let node = extra, node.index == index {
            extra = nil
            return node
        }
        guard let node = next else { throw .invalidOperation(.missingNode(index)) }
        guard node.index == index else { throw .invalidOperation(.unexpectedNode(node.index)) }
        position += 1
        return node
    }

    /// Passes over nodes that lie entirely in the first `length` blocks.
    mutating func skipNodes(inside length: UInt64) {
        while let node = next, FlatTree.rightSpan(node.index) < 2 &* length { position += 1 }
    }
}

extension MerkleTree {
    /// Grows the tree as an upgrade section says, without looking at its signature.
    ///
    /// A section made for a shorter tree than this one (an answer overtaken by another) works as well, as far as it
    /// reaches beyond.
    ///
    /// - Parameters:
    ///   - upgrade: The section.
    ///   - subTree: The root of what the message's other sections prove, if they are there.
    ///   - nodes: Gets every node that came into the tree.
    /// - Returns: Whether `subTree` became a part of the tree.
    /// - Throws: `invalidOperation` if nodes are missing, out of order or too many. The tree may have changed then.
    mutating func apply(
        _ upgrade: DataMessage.Upgrade, subTree: TreeNode?, collecting nodes: inout [TreeNode]
    ) throws(ProofError) -> Bool {
        let oldLength = length
        let target = upgrade.start &+ upgrade.length
        guard target <= LogLimits.length else { throw .invalidOperation(.treeTooLarge) }
        var queue = ProofNodeQueue(upgrade.nodes, extra: subTree)
        if target > oldLength {
            if upgrade.start < oldLength { queue.skipNodes(inside: oldLength) }
            for root in FlatTree.fullRoots(length: target) {
                let blocks = FlatTree.blocks(below: root)
                if blocks.upperBound <= oldLength { continue }
                // A root that begins inside the old tree grows out of the old tree's last root.
                while length > blocks.lowerBound, length < blocks.upperBound, let last = roots.last {
                    try append(root: try queue.take(FlatTree.sibling(last.index)), collecting: &nodes)
                }
                if length == blocks.lowerBound {
                    try append(root: try queue.take(root), collecting: &nodes)
                }
            }
        }
        // What is left may only be about blocks that the tree already had.
        if upgrade.start < oldLength { queue.skipNodes(inside: oldLength) }
        if let surplus = queue.next { throw .invalidOperation(.unexpectedNode(surplus.index)) }
        try append(additional: upgrade.additionalNodes, behind: oldLength, collecting: &nodes)
        return subTree != nil && queue.extra == nil
    }

    private mutating func append(
        additional: [TreeNode], behind oldLength: UInt64, collecting nodes: inout [TreeNode]
    ) throws(ProofError) {
        guard let first = additional.first else { return }
        guard let last = roots.last else { throw .invalidOperation(.unexpectedNode(first.index)) }
        var position = FlatTree.sibling(last.index)
        for node in additional {
            if FlatTree.rightSpan(node.index) < 2 &* oldLength { continue }
            while node.index != position {
                guard let left = FlatTree.leftChild(position) else {
                    throw .invalidOperation(.unexpectedNode(node.index))
                }
                position = left
            }
            try append(root: node, collecting: &nodes)
            position = FlatTree.sibling((roots.last ?? node).index)
        }
    }
}
