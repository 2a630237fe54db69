/// Finds one key; spec 50 section 3.2.
package enum TreeLookup {
    /// The block that last put `key` in the tree of this version, or nil.
    ///
    /// Fails with ``TreeStop/missing(_:)`` until every block on the way is in memory.
    package static func find(
        _ key: [UInt8], version: UInt64, in source: some TreeSource
    ) throws(TreeStop) -> TreeBlock? {
        guard version >= 2 else { return nil }
        var pointer = TreePointer(block: version - 1, offset: 0)
        guard var node = try source.root(version: version) else { return nil }
        var lower: [UInt8]?
        var upper: [UInt8]?
        for depth in 0..<TreeLimits.depth {
            // Any change of the key rewrites its whole path, so a block on the path that holds the key is the newest.
            let holder = try source.block(pointer.block)
            if holder.compareKey(with: key) == 0 {
                do throws(TreeFault) {
                    return try holder.isDeletion() ? nil : holder
                } catch {
                    throw .fault(error, block: pointer.block)
                }
            }
            var low = 0
            var high = node.keys.count
            while low < high {
                let middle = (low + high) >> 1
                let probe = try source.block(node.keys[middle])
                let order = probe.compareKey(with: key)
                if order == 0 { return probe }
                let probeKey = probe.key
                if lower.map({ KeyOrder.compare(probeKey, $0) <= 0 }) ?? false
                    || upper.map({ KeyOrder.compare(probeKey, $0) >= 0 }) ?? false
                {
                    throw .fault(.unsortedKeys, block: pointer.block)
                }
                if order < 0 {
                    low = middle + 1
                    lower = probeKey
                } else {
                    high = middle
                    upper = probeKey
                }
            }
            if node.isLeaf { return nil }
            let child = node.children[low]
            guard depth + 1 < TreeLimits.depth else { throw .fault(.tooDeep, block: child.block) }
            node = try source.child(child)
            pointer = child
        }
        return nil
    }
}
