/// Index arithmetic of the flat tree: the in-order numbering of a perfect binary forest in which the leaves are the
/// even numbers and block `i` is node `2 * i`; spec 40 section 1.
///
/// All functions are defined for indices below 2^62, which includes everything a peer can send (2^53 - 1). Beyond that
/// they wrap instead of trapping.
package enum FlatTree {
    /// The height of the node above its leaves; 0 for a leaf.
    @inline(__always)
    package static func depth(_ index: UInt64) -> UInt64 { UInt64(truncatingIfNeeded: (~index).trailingZeroBitCount) }

    /// The position of the node among those of the same depth, from the left.
    @inline(__always)
    package static func offset(_ index: UInt64) -> UInt64 { (index &>> depth(index)) &>> 1 }

    /// The node at `depth` and `offset`.
    @inline(__always)
    package static func index(depth: UInt64, offset: UInt64) -> UInt64 { (((offset &<< 1) | 1) &<< depth) &- 1 }

    /// The leaf of the block at `blockIndex`.
    @inline(__always)
    package static func leaf(_ blockIndex: UInt64) -> UInt64 { blockIndex &<< 1 }

    /// Whether the node is a leaf.
    @inline(__always)
    package static func isLeaf(_ index: UInt64) -> Bool { index & 1 == 0 }

    /// The other child of the node's parent.
    @inline(__always)
    package static func sibling(_ index: UInt64) -> UInt64 { index ^ (2 &<< depth(index)) }

    /// Whether the node is the left child of its parent.
    @inline(__always)
    package static func isLeftChild(_ index: UInt64) -> Bool { index & (2 &<< depth(index)) == 0 }

    /// The node above.
    @inline(__always)
    package static func parent(_ index: UInt64) -> UInt64 {
        let depth = depth(index)
        return (index | (1 &<< depth)) & ~(2 &<< depth)
    }

    /// The left child; nil for a leaf.
    @inline(__always)
    package static func leftChild(_ index: UInt64) -> UInt64? {
        isLeaf(index) ? nil : index &- (1 &<< (depth(index) &- 1))
    }

    /// The right child; nil for a leaf.
    @inline(__always)
    package static func rightChild(_ index: UInt64) -> UInt64? {
        isLeaf(index) ? nil : index &+ (1 &<< (depth(index) &- 1))
    }

    /// The leftmost leaf below the node (itself if it is one).
    @inline(__always)
    package static func leftSpan(_ index: UInt64) -> UInt64 { index &- (1 &<< depth(index)) &+ 1 }

    /// The rightmost leaf below the node (itself if it is one).
    @inline(__always)
    package static func rightSpan(_ index: UInt64) -> UInt64 { index &+ (1 &<< depth(index)) &- 1 }

    /// The number of leaves below the node.
    @inline(__always)
    package static func leafCount(_ index: UInt64) -> UInt64 { 1 &<< depth(index) }

    /// The blocks below the node.
    package static func blocks(below index: UInt64) -> Range<UInt64> {
        let first = leftSpan(index) / 2
        return first..<(first &+ leafCount(index))
    }

    /// Whether `other` is `index` or any node below it.
    @inline(__always)
    package static func contains(_ index: UInt64, _ other: UInt64) -> Bool {
        other >= leftSpan(index) && other <= rightSpan(index)
    }

    /// The roots of a tree of `length` blocks, from the left.
    package static func fullRoots(length: UInt64) -> FullRoots { FullRoots(remaining: length, start: 0) }

    /// The nodes a peer needs that has a tree of `start` blocks and wants one of `end`, in the order of an upgrade
    /// proof: the right siblings on the climb from its last leaf, then the roots it lacks. All roots if `start` is 0.
    ///
    /// Spec 30 section D.2, "connect", without a sub tree.
    package static func connection(from start: UInt64, to end: UInt64) -> [UInt64] {
        var nodes: [UInt64] = []
        forEachConnectionNode(from: start, to: end) { nodes.append($0) }
        return nodes
    }

    /// Calls `body` with each node of ``connection(from:to:)``.
    package static func forEachConnectionNode(from start: UInt64, to end: UInt64, _ body: (UInt64) -> Void) {
        for root in fullRoots(length: end) {
            let blocks = blocks(below: root)
            if blocks.upperBound <= start {
                continue
            } else if blocks.lowerBound < start {
                forEachRightSibling(from: leaf(start &- 1), below: root, body)
            } else {
                body(root)
            }
        }
    }

    /// Calls `body` with the siblings to the right of the path from `node` up to `root`, which contains it.
    package static func forEachRightSibling(from node: UInt64, below root: UInt64, _ body: (UInt64) -> Void) {
        var current = node
        while current != root {
            if isLeftChild(current) { body(sibling(current)) }
            current = parent(current)
        }
    }
}

/// The roots of a tree from the left: one per set bit of its length, the largest first. Takes no memory.
package struct FullRoots: Sequence, IteratorProtocol, Sendable {
    private var remaining: UInt64
    private var start: UInt64

    init(remaining: UInt64, start: UInt64) {
        self.remaining = remaining
        self.start = start
    }

    package mutating func next() -> UInt64? {
        guard remaining != 0 else { return nil }
        let leafCount: UInt64 = 1 &<< UInt64(63 - remaining.leadingZeroBitCount)
        let root = (start &<< 1) &+ leafCount &- 1
        remaining &-= leafCount
        start &+= leafCount
        return root
    }

    package var underestimatedCount: Int { remaining.nonzeroBitCount }
}
