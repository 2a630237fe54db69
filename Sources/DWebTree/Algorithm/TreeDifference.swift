/// A walk through the keys in which two versions of one tree differ; spec 50 section 3.10.
///
/// Subtrees that both versions share are skipped without loading them.
package struct TreeDifference: Sendable {
    /// One key that differs: its block on either side, nil where the key is absent.
    package struct Step {
        /// The block in the left version.
        package let left: TreeBlock?
        /// The block in the right version.
        package let right: TreeBlock?
    }

    private var left: TreeCursor
    private var right: TreeCursor

    /// Compares two versions within `range`.
    package init(left: UInt64, right: UInt64, range: KeyRange) {
        self.left = TreeCursor(version: left, range: range)
        self.right = TreeCursor(version: right, range: range)
    }

    /// The next key that differs, or nil at the end.
    package mutating func next(_ source: some TreeSource) throws(TreeStop) -> Step? {
        while true {
            switch (try left.head(source), try right.head(source)) {
            case (.end, .end): return nil
            case (.child(let leftChild), .child(let rightChild)):
                if leftChild == rightChild {
                    left.skip()
                    right.skip()
                } else if leftChild.block > rightChild.block {
                    // The newer subtree may contain the older one; the older never contains the newer.
                    try left.descend(source)
                } else {
                    try right.descend(source)
                }
            case (.child, .key), (.child, .end): try left.descend(source)
            case (.key, .child), (.end, .child): try right.descend(source)
            case (.key(let leftKey), .key(let rightKey)):
                if leftKey == rightKey {
                    left.skip()
                    right.skip()
                    continue
                }
                let leftBlock = try source.block(leftKey)
                let rightBlock = try source.block(rightKey)
                let (leftBytes, rightBytes) = (leftBlock.key, rightBlock.key)
                let order = KeyOrder.compare(leftBytes, rightBytes)
                if order < 0 {
                    if let step = try takeLeft(leftBlock) { return step }
                } else if order > 0 {
                    if let step = try takeRight(rightBlock) { return step }
                } else {
                    let isInside = try left.accept(leftBytes, of: leftKey)
                    guard try right.accept(rightBytes, of: rightKey), isInside else { continue }
                    left.skip()
                    right.skip()
                    return Step(left: leftBlock, right: rightBlock)
                }
            case (.key(let leftKey), .end):
                if let step = try takeLeft(try source.block(leftKey)) { return step }
            case (.end, .key(let rightKey)):
                if let step = try takeRight(try source.block(rightKey)) { return step }
            }
        }
    }

    /// Blocks that the walk will need soon.
    package var wanted: [UInt64] { left.wanted + right.wanted }

    private mutating func takeLeft(_ block: TreeBlock) throws(TreeStop) -> Step? {
        guard try left.accept(block.key, of: block.sequence) else { return nil }
        left.skip()
        return Step(left: block, right: nil)
    }

    private mutating func takeRight(_ block: TreeBlock) throws(TreeStop) -> Step? {
        guard try right.accept(block.key, of: block.sequence) else { return nil }
        right.skip()
        return Step(left: nil, right: block)
    }
}
