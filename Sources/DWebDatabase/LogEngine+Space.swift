import DWebBase
import DWebLogCore

extension LogEngine {
    /// The bytes of the blocks that are stored, from the sizes in the tree.
    package func storedByteCount() async throws(DDatabaseError) -> UInt64 {
        try checkAlive()
        var total: UInt64 = 0
        var stack = Array(tree.roots.reversed())
        while let node = stack.popLast() {
            let blocks = FlatTree.blocks(below: node.index)
            guard present.firstPresent(in: blocks) != nil else { continue }
            guard present.firstAbsent(in: blocks) != nil, let left = FlatTree.leftChild(node.index) else {
                total = total.addingClamped(node.size)
                continue
            }
            let right = FlatTree.sibling(left)
            let children = try await repeatingLoads { [nodes] () throws(ProofError) in
                [try nodes.node(at: right), try nodes.node(at: left)].compactMap(\.self)
            }
            stack += children
        }
        return total
    }
}
