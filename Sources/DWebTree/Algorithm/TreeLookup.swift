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
            if KeyOrder.compare(try source.key(pointer.block), key) == 0 {
                let holder = try source.block(pointer.block)
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
                let probe = try source.key(node.keys[middle])
                let order = KeyOrder.compare(probe, key)
                if order == 0 { return try source.block(node.keys[middle]) }
                if lower.map({ KeyOrder.compare(probe, $0) <= 0 }) ?? false
                    || upper.map({ KeyOrder.compare(probe, $0) >= 0 }) ?? false
                {
                    throw .fault(.unsortedKeys, block: pointer.block)
                }
                if order < 0 {
                    low = middle + 1
                    lower = probe
                } else {
                    high = middle
                    upper = probe
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
