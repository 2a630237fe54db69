import DWebBase
import DWebLogCore

/// Recently used tree nodes by index: each index has one slot, which the latest node of those that share it takes.
///
/// Logs are mostly read and written in order, so neighbours never displace each other; looking up and remembering is an
/// array access. The table starts small, since a store may hold thousands of logs, and doubles while it fills.
struct NodeCache {
    // About 0.4 MiB when full.
    private static let slotCountLimit = 8_192
    private static let firstSlotCount = 256
    /// No node has this index; flat-tree indices stay below 2^53.
    private static let unused = TreeNode(index: .max, size: 0, hash: .zero)

    private var slots: [TreeNode] = []
    private var usedCount = 0

    /// The node with this index, if it is remembered.
    subscript(index: UInt64) -> TreeNode? {
        guard !slots.isEmpty else { return nil }
        let node = slots[Int(truncatingIfNeeded: index) & (slots.count - 1)]
        return node.index == index ? node : nil
    }

    /// Remembers a node.
    mutating func insert(_ node: TreeNode) {
        if usedCount * 2 >= slots.count, slots.count < NodeCache.slotCountLimit { grow() }
        let slot = Int(truncatingIfNeeded: node.index) & (slots.count - 1)
        if slots[slot].index == .max { usedCount += 1 }
        slots[slot] = node
    }

    /// Forgets everything.
    mutating func removeAll() { self = NodeCache() }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: NodeCache.unused, count: max(NodeCache.firstSlotCount, old.count * 2))
        usedCount = 0
        for node in old where node.index != .max {
            slots[Int(truncatingIfNeeded: node.index) & (slots.count - 1)] = node
            usedCount += 1
        }
    }
}
