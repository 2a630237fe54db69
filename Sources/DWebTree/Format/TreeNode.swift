/// Where a node is: the block that holds it and its place there. The same address never changes content.
package struct TreePointer: Sendable, Hashable {
    /// The index of the block.
    package var block: UInt64
    /// The node's place in the block; the root of a version is at 0.
    package var offset: UInt64

    /// An address.
    package init(block: UInt64, offset: UInt64) {
        self.block = block
        self.offset = offset
    }
}

/// A node of the tree. It names keys by the blocks that hold them.
package struct TreeNode: Sendable, Equatable {
    /// The blocks of the keys, in the order of the keys.
    package var keys: [UInt64]
    /// The children, one more than keys; none in a leaf.
    package var children: [TreePointer]

    /// A node.
    package init(keys: [UInt64], children: [TreePointer]) {
        self.keys = keys
        self.children = children
    }

    /// Whether the node has no children.
    package var isLeaf: Bool { children.isEmpty }
}

extension TreeNode {
    /// Reads the nodes of an index; spec 50 sections 2.3 and 11.4. Nil stands for a node that cannot be.
    ///
    /// Such nodes are an error only for whoever needs them: a batch in which the root shrank leaves the node that
    /// became
    /// the root in an earlier block as well, where nothing refers to it and its pointers lead forward.
    static func decode(_ bytes: [UInt8], _ range: Range<Int>, block: UInt64) throws(TreeFault) -> [TreeNode?] {
        var nodes: [TreeNode?] = []
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            guard number == 1 else { continue }
            guard nodes.count < TreeLimits.nodesPerBlock else { throw .invalidStructure }
            nodes.append(try decodeNode(bytes, try content.range, block: block))
        }
        for index in nodes.indices {
            let leadsNowhere = nodes[index]?.children.contains {
                $0.block == block && $0.offset >= UInt64(nodes.count)
            }
            if leadsNowhere == true { nodes[index] = nil }
        }
        return nodes
    }

    private static func decodeNode(
        _ bytes: [UInt8], _ range: Range<Int>, block: UInt64
    ) throws(TreeFault) -> TreeNode? {
        var keys: [UInt64] = []
        var children: [TreePointer] = []
        var isPossible = true
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1:
                keys = []
                keys.reserveCapacity(TreeLimits.keyCount)
                var packed = ProtobufReader(bytes, try content.range)
                while !packed.isAtEnd {
                    let key = try packed.readInteger()
                    if key == 0 || key > block { isPossible = false }
                    guard keys.count < TreeLimits.keyCount else { return nil }
                    keys.append(key)
                }
            case 2:
                children = []
                var packed = ProtobufReader(bytes, try content.range)
                while !packed.isAtEnd {
                    let child = try packed.readInteger()
                    guard children.count <= TreeLimits.keyCount, !packed.isAtEnd else { return nil }
                    if child == 0 || child > block { isPossible = false }
                    children.append(TreePointer(block: child, offset: try packed.readInteger()))
                }
            default: continue
            }
        }
        guard isPossible, children.isEmpty || (children.count == keys.count + 1 && !keys.isEmpty) else { return nil }
        return TreeNode(keys: keys, children: children)
    }
}
