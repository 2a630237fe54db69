/// Finds one key; spec 50 section 3.2.
///
/// A lookup that was stopped by ``TreeStop/missing(_:)`` goes on where it was once the block is in memory.
package final class TreeLookup {
    private let key: [UInt8]
    private var next: TreePointer
    private var depth = 0
    /// The node that is searched; nil before it is in memory.
    private var node: TreeNode?
    /// Whether the key of the node's block is known to be another one.
    private var isOwnerSeen = false
    private var low = 0
    private var high = 0
    /// The keys between which everything must lie that is found from here on; their memory is used again and again.
    private var lower: [UInt8] = []
    private var upper: [UInt8] = []
    private var hasLower = false
    private var hasUpper = false

    /// A lookup in the tree of `version`.
    package init(_ key: [UInt8], version: UInt64) {
        self.key = key
        next = TreePointer(block: version < 2 ? 0 : version - 1, offset: 0)
    }

    /// The block that last put `key` in the tree of this version, or nil.
    ///
    /// Fails with ``TreeStop/missing(_:)`` until every block on the way is in memory.
    package static func find(
        _ key: [UInt8], version: UInt64, in source: some TreeSource
    ) throws(TreeStop) -> TreeBlock? {
        try TreeLookup(key, version: version).find(in: source)
    }

    /// The block that last put the key, or nil.
    package func find(in source: some TreeSource) throws(TreeStop) -> TreeBlock? {
        guard next.block > 0 else { return nil }
        while true {
            let node = try entered(source)
            // Any change of the key rewrites its whole path, so a block on the path that holds the key is the newest.
            if !isOwnerSeen, try source.order(of: next.block, against: key) == 0 {
                let holder = try source.block(next.block)
                do throws(TreeFault) {
                    return try holder.isDeletion() ? nil : holder
                } catch {
                    throw .fault(error, block: next.block)
                }
            }
            isOwnerSeen = true
            while low < high {
                let middle = (low + high) >> 1
                let (order, isInside) = try source.withKey(node.keys[middle]) { compare($0) }
                if order == 0 { return try source.block(node.keys[middle]) }
                guard isInside else { throw .fault(.unsortedKeys, block: next.block) }
                if order < 0 { low = middle + 1 } else { high = middle }
            }
            if node.isLeaf { return nil }
            let child = node.children[low]
            guard depth + 1 < TreeLimits.depth else { throw .fault(.tooDeep, block: child.block) }
            depth += 1
            next = child
            self.node = nil
        }
    }

    /// How `probe` compares with the key, and whether it lies where it must; it bounds what is found from here on.
    private func compare(_ probe: UnsafeRawBufferPointer) -> (order: Int, isInside: Bool) {
        let order = key.withUnsafeBytes { KeyOrder.compare(probe, $0) }
        // The key itself lies between the bounds, so that only the one on the probe's own side can be overstepped.
        if order < 0 {
            if hasLower, lower.withUnsafeBytes({ KeyOrder.compare(probe, $0) }) <= 0 { return (order, false) }
            lower.removeAll(keepingCapacity: true)
            lower.append(contentsOf: probe)
            hasLower = true
        } else if order > 0 {
            if hasUpper, upper.withUnsafeBytes({ KeyOrder.compare(probe, $0) }) >= 0 { return (order, false) }
            upper.removeAll(keepingCapacity: true)
            upper.append(contentsOf: probe)
            hasUpper = true
        }
        return (order, true)
    }

    /// The node to search, from its start on if it was not searched before.
    private func entered(_ source: some TreeSource) throws(TreeStop) -> TreeNode {
        if let node { return node }
        let node = depth == 0 ? try source.node(next) : try source.child(next)
        self.node = node
        isOwnerSeen = false
        low = 0
        high = node.keys.count
        return node
    }
}
