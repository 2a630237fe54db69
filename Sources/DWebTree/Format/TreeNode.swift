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
    /// Reads the nodes of an index; spec 50 sections 2.3 and 11.4.
    static func decode(_ bytes: [UInt8], _ range: Range<Int>, block: UInt64) throws(TreeFault) -> [TreeNode] {
        var nodes: [TreeNode] = []
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            guard number == 1 else { continue }
            guard nodes.count < TreeLimits.nodesPerBlock else { throw .invalidStructure }
            nodes.append(try TreeNode(bytes, try content.range, block: block))
        }
        for node in nodes {
            for child in node.children where child.block == block && child.offset >= UInt64(nodes.count) {
                throw .invalidStructure
            }
        }
        return nodes
    }

    private init(_ bytes: [UInt8], _ range: Range<Int>, block: UInt64) throws(TreeFault) {
        var keys: [UInt64] = []
        var children: [TreePointer] = []
        var reader = ProtobufReader(bytes, range)
        while let (number, content) = try reader.readField() {
            switch number {
            case 1:
                keys = []
                keys.reserveCapacity(TreeLimits.keyCount)
                var packed = ProtobufReader(bytes, try content.range)
                while !packed.isAtEnd {
                    guard keys.count < TreeLimits.keyCount else { throw .invalidStructure }
                    let key = try packed.readInteger()
                    guard key > 0, key <= block else { throw .invalidStructure }
                    keys.append(key)
                }
            case 2:
                children = []
                var packed = ProtobufReader(bytes, try content.range)
                while !packed.isAtEnd {
                    guard children.count <= TreeLimits.keyCount else { throw .invalidStructure }
                    let child = try packed.readInteger()
                    guard child > 0, child <= block, !packed.isAtEnd else { throw .invalidStructure }
                    children.append(TreePointer(block: child, offset: try packed.readInteger()))
                }
            default: continue
            }
        }
        guard children.isEmpty || (children.count == keys.count + 1 && !keys.isEmpty) else { throw .invalidStructure }
        self.init(keys: keys, children: children)
    }
}
