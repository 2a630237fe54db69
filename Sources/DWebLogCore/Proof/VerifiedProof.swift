/// What a received proof adds to a log once it has been found good. Nothing has been applied yet; all parts must be
/// stored in one batch.
package struct VerifiedProof: Sendable, Hashable {
    /// The nodes to store, which may replace stored ones. An index may occur more than once; then the nodes are equal.
    package var nodes: [TreeNode]
    /// The new head, if the log grows.
    package var upgrade: SignedTree?
    /// The block to store, if there is one.
    package var block: Block?
    /// The manifest to store, if it was not known.
    package var manifest: Manifest?
    /// The fork of the tree it was verified against.
    package var baseFork: UInt64
    /// The length of the tree it was verified against.
    package var baseLength: UInt64

    /// A block as stored.
    package struct Block: Sendable, Hashable {
        /// The block's index.
        package var index: UInt64
        /// The stored bytes.
        package var value: [UInt8]

        /// A block that was verified.
        package init(index: UInt64, value: [UInt8]) {
            self.index = index
            self.value = value
        }
    }

    /// Whether the log is still in a state for which the proof holds; spec 30 section D.3, step 5.
    package func isApplicable(to tree: MerkleTree) -> Bool {
        tree.fork == baseFork && (upgrade == nil ? tree.length >= baseLength : tree.length == baseLength)
    }
}
