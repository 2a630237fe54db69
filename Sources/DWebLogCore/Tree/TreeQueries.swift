/// Where a byte offset lies; spec 30 section D.4.
package enum SeekResult: Sendable, Hashable {
    /// In this block, `byteOffset` bytes after its start (after its padding). At the end of all bytes the block is the
    /// one after the last, with offset 0.
    case found(blockIndex: UInt64, byteOffset: UInt64)
    /// In one of these blocks; nodes that would tell more are not stored.
    case within(blocks: Range<UInt64>)
    /// Behind the last byte.
    case beyondEnd
}

extension MerkleTree {
    /// The number of bytes before block `blockIndex`, which may be the tree's length.
    ///
    /// - Throws: `notLoaded`; `invalidOperation` if nodes are not stored or the block is not in the tree.
    package func byteOffset(ofBlock blockIndex: UInt64, source: some NodeSource) throws(ProofError) -> UInt64 {
        guard blockIndex <= length else { throw .invalidOperation(.outOfBounds) }
        return try byteOffset(ofNode: FlatTree.leaf(blockIndex), source: source)
    }

    /// The bytes of block `blockIndex` among those of all blocks, as stored.
    package func byteRange(ofBlock blockIndex: UInt64, source: some NodeSource) throws(ProofError) -> Range<UInt64> {
        guard blockIndex < length else { throw .invalidOperation(.outOfBounds) }
        let offset = try byteOffset(ofBlock: blockIndex, source: source)
        let size = try LocalTree(tree: self, source: source).requiredNode(at: FlatTree.leaf(blockIndex)).size
        return offset..<(offset &+ size)
    }

    /// The number of bytes before the first block below `index`.
    func byteOffset(ofNode index: UInt64, source: some NodeSource) throws(ProofError) -> UInt64 {
        let leaf = FlatTree.leftSpan(index)
        if leaf == 2 &* length { return byteLength }
        let local = LocalTree(tree: self, source: source)
        guard let (root, offset) = local.root(above: leaf) else { throw .invalidOperation(.outOfBounds) }
        // Known in advance: the left siblings on the way from the root down to the leaf.
        var needed: [UInt64] = []
        var current = root.index
        while current != leaf, let left = FlatTree.leftChild(current), let right = FlatTree.rightChild(current) {
            if leaf < current {
                current = left
            } else {
                needed.append(left)
                current = right
            }
        }
        return try local.nodes(at: needed).reduce(offset) { $0 &+ $1.size }
    }

    /// Finds the block with the byte offset `bytes`, counted without the first `padding` bytes of every block.
    ///
    /// - Throws: `notLoaded`, one level of the tree at a time.
    package func seek(
        bytes: UInt64, padding: UInt64 = 0, source: some NodeSource
    ) throws(ProofError) -> SeekResult {
        guard bytes > 0 else { return .found(blockIndex: 0, byteOffset: 0) }
        let local = LocalTree(tree: self, source: source)
        var remainder = bytes
        for root in roots {
            let size = root.unpaddedSize(padding: padding)
            if remainder > size {
                remainder &-= size
                continue
            }
            if remainder == size {
                return .found(blockIndex: FlatTree.blocks(below: root.index).upperBound, byteOffset: 0)
            }
            var current = root.index
            while let left = FlatTree.leftChild(current), let right = FlatTree.rightChild(current) {
                guard let node = try local.node(at: left) else {
                    return .within(blocks: FlatTree.blocks(below: current))
                }
                let size = node.unpaddedSize(padding: padding)
                if remainder == size {
                    return .found(blockIndex: FlatTree.blocks(below: left).upperBound, byteOffset: 0)
                }
                if remainder < size {
                    current = left
                } else {
                    remainder &-= size
                    current = right
                }
            }
            return .found(blockIndex: current / 2, byteOffset: remainder)
        }
        return .beyondEnd
    }

    /// Whether a peer that has the first `length` blocks can be given a proof up to this tree: the roots of its tree
    /// must be stored; spec 30 section E.2.
    package func canProve(from length: UInt64, source: some NodeSource) throws(ProofError) -> Bool {
        guard length <= self.length else { return false }
        let local = LocalTree(tree: self, source: source)
        var notLoaded: [UInt64] = []
        for index in FlatTree.fullRoots(length: length) {
            do throws(ProofError) {
                if try local.node(at: index) == nil { return false }
            } catch {
                guard case .notLoaded(let more) = error else { throw error }
                notLoaded += more
            }
        }
        guard notLoaded.isEmpty else { throw .notLoaded(notLoaded) }
        return true
    }

    /// The `nodes` of a request for the tree node `index`: the levels from it to the nearest stored ancestor, itself
    /// included; 0 for a node that is not inside the tree. Spec 30 section E.4.
    package func missingLevels(above index: UInt64, source: some NodeSource) throws(ProofError) -> UInt64 {
        let local = LocalTree(tree: self, source: source)
        guard FlatTree.rightSpan(index) < 2 &* length else { return 0 }
        var levels: UInt64 = 0
        var current = index
        while FlatTree.rightSpan(current) < 2 &* length {
            if try local.node(at: current) != nil { break }
            levels &+= 1
            current = FlatTree.parent(current)
        }
        return levels
    }

    /// The most levels that somebody with a tree of `length` blocks can miss above the node `index`; for pushes, spec
    /// 30 section E.10.
    package static func mostMissingLevels(above index: UInt64, length: UInt64) -> UInt64 {
        guard FlatTree.rightSpan(index) < 2 &* length else { return 0 }
        for root in FlatTree.fullRoots(length: length) where FlatTree.contains(root, index) {
            return FlatTree.depth(root) &- FlatTree.depth(index)
        }
        return 0
    }
}

extension TreeNode {
    /// The size without `padding` bytes per block; 0 where a wrong size would make it negative.
    func unpaddedSize(padding: UInt64) -> UInt64 {
        let (paddingBytes, overflow) = padding.multipliedReportingOverflow(by: FlatTree.leafCount(index))
        return overflow || paddingBytes > size ? 0 : size - paddingBytes
    }
}
