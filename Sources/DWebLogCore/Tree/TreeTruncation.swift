/// What disappears from storage when a log is cut; spec 40 section 7.
package struct TreeTruncation: Sendable, Hashable {
    /// The blocks to delete.
    package let blocks: Range<UInt64>
    /// The tree nodes to delete: all that begin behind the cut, and some that cross it.
    package let nodes: Range<UInt64>
    /// The remaining nodes to delete: those left of the range whose blocks reach past the cut, from below.
    package let crossingNodes: [UInt64]

    /// The cut of a log of `oldLength` blocks after `length` of them.
    package init(from oldLength: UInt64, to length: UInt64) {
        precondition(length <= oldLength && oldLength <= LogLimits.length, "a truncation makes a log shorter")
        blocks = length..<oldLength
        nodes = (2 * length)..<(2 * oldLength)
        var crossing: [UInt64] = []
        if length > 0, length < oldLength {
            // Leftmost nodes are climbed through as well: the ancestor above a leftmost node may still lie left of
            // the cut.
            var node = FlatTree.leaf(length - 1)
            while FlatTree.leftSpan(node) > 0 || node < 2 * length {
                if FlatTree.contains(node, 2 * length), node < 2 * length { crossing.append(node) }
                node = FlatTree.parent(node)
            }
        }
        crossingNodes = crossing
    }
}

extension MerkleTree {
    /// Cuts the tree after `length` blocks; fork and everything to the right change, blocks to the left do not.
    ///
    /// - Parameters:
    ///   - length: The blocks to keep.
    ///   - fork: The number of the new history, normally the old one plus one.
    ///   - source: Where the roots of the shorter tree are found.
    /// - Throws: `notLoaded` with the missing roots, `invalidOperation` if the storage lacks one.
    package func truncated(
        to length: UInt64, fork: UInt64, source: some NodeSource
    ) throws(ProofError) -> MerkleTree {
        precondition(length <= self.length, "a truncation makes a log shorter")
        let known = Dictionary(uniqueKeysWithValues: roots.map { ($0.index, $0) })
        let indices = Array(FlatTree.fullRoots(length: length))
        let missing = try source.nodes(at: indices.filter { known[$0] == nil })
        var loaded = missing.makeIterator()
        var newRoots: [TreeNode] = []
        for index in indices {
            if let node = known[index] ?? loaded.next() { newRoots.append(node) }
        }
        guard let tree = MerkleTree(fork: fork, length: length, roots: newRoots) else {
            throw .invalidOperation(.treeTooLarge)
        }
        return tree
    }
}
