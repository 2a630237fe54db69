/// A tree that is being changed: the part of it that changes touch, in memory.
///
/// It produces the bytes of spec 50 sections 4 and 5: the same operations give the same blocks as every other writer of
/// the network. A change first makes sure that all it needs is in memory and then happens at once, so that it can be
/// tried again after ``TreeStop/missing(_:)``.
package final class TreeDraft {
    /// What a change did.
    package enum Outcome {
        /// Nothing has to be written.
        case unchanged
        /// The change is the next block.
        case staged
    }

    /// A node's place in its parent. Blocks of a batch refer to the same record, so that renumbering reaches parents.
    private final class Record {
        /// The block that holds the node; 0 once the record is not valid any more.
        var block: UInt64
        var offset: UInt64
        var node: Node?

        init(block: UInt64, offset: UInt64, node: Node? = nil) {
            self.block = block
            self.offset = offset
            self.node = node
        }
    }

    /// A child of a node. Most children are never visited and need no record.
    private struct Child {
        private let pointer: TreePointer
        private(set) var record: Record?

        init(_ pointer: TreePointer) { self.pointer = pointer }

        init(_ record: Record) {
            pointer = TreePointer(block: 0, offset: 0)
            self.record = record
        }

        var address: TreePointer {
            record.map { TreePointer(block: $0.block, offset: $0.offset) } ?? pointer
        }

        mutating func keep(_ node: Node) { record = Record(block: pointer.block, offset: pointer.offset, node: node) }
    }

    private final class Node {
        /// The blocks of the keys.
        var keys: [UInt64]
        var children: [Child]
        var isChanged: Bool

        init(keys: [UInt64], children: [Child], isChanged: Bool) {
            self.keys = keys
            self.children = children
            self.isChanged = isChanged
        }

        convenience init(_ node: TreeNode) {
            self.init(keys: node.keys, children: node.children.map { Child($0) }, isChanged: false)
        }

        var isLeaf: Bool { children.isEmpty }

        /// The node as it is written.
        var stored: TreeNode { TreeNode(keys: keys, children: children.map(\.address)) }
    }

    private struct Staged {
        let key: [UInt8]
        let value: [UInt8]?
        var index: [Record?]
        /// The index as it was when the change was made; only the last one of a batch is kept as it was.
    }

    /// The nodes from the root to one node, with the child taken at each.
    private struct Path {
        var nodes: [Node] = []
        var childIndices: [Int] = []
    }

    /// The length that the log has, or will have once what was taken before is appended.
    package private(set) var baseLength: UInt64
    private var root: Node?
    private var staged: [Staged] = []
    private var nodeCount = 0
    /// Keys that are not in the log yet, those of blocks from ``settledLength`` on.
    private var unsettledKeys: [[UInt8]] = []
    private var settledLength: UInt64
    /// Nodes of blocks that were taken as a batch.
    private var unsettledNodes: [Record] = []

    /// A draft on top of the version `length`, which may be 1 for a tree without changes.
    package init(length: UInt64) {
        baseLength = length
        settledLength = length
    }

    /// The number of blocks that are staged.
    package var stagedCount: Int { staged.count }
    /// The length of the log once everything staged is appended.
    package var length: UInt64 { baseLength + UInt64(staged.count) }

    // MARK: Reading

    /// The key's present value and the block that put it; nil if the key is absent.
    package func find(
        _ key: [UInt8], in source: some TreeSource
    ) throws(TreeStop) -> (sequence: UInt64, value: StagedValue)? {
        guard var node = try loadedRoot(source) else { return nil }
        for _ in 0..<TreeLimits.depth {
            let (index, isFound) = try search(node, key, source)
            if isFound {
                let block = node.keys[index]
                guard block >= baseLength else { return (block, .stored) }
                return (block, .staged(staged[Int(block - baseLength)].value))
            }
            if node.isLeaf { return nil }
            node = try child(node, index, source)
        }
        throw .fault(.tooDeep, block: baseLength - 1)
    }

    /// Where a key's value is.
    package enum StagedValue {
        /// In its block in the log.
        case stored
        /// Here, still to be appended.
        case staged([UInt8]?)
    }

    // MARK: Changing

    /// Stages a put; spec 50 section 4.2.
    package func put(_ key: [UInt8], _ value: [UInt8]?, in source: some TreeSource) throws(TreeStop) {
        let block = length
        guard var node = try loadedRoot(source) else {
            root = newNode(keys: [block], children: [])
            stage(key, value)
            return
        }
        var path = Path()
        var isFound = false
        var index = 0
        while true {
            (index, isFound) = try search(node, key, source)
            path.nodes.append(node)
            if isFound || node.isLeaf { break }
            path.childIndices.append(index)
            guard path.nodes.count < TreeLimits.depth else { throw .fault(.tooDeep, block: baseLength - 1) }
            node = try child(node, index, source)
        }
        for node in path.nodes { node.isChanged = true }
        if isFound {
            node.keys[index] = block
        } else {
            node.keys.insert(block, at: index)
            split(path)
        }
        stage(key, value)
    }

    /// Stages a deletion, unless the key is absent; spec 50 section 4.3.
    package func delete(_ key: [UInt8], in source: some TreeSource) throws(TreeStop) -> Outcome {
        guard var node = try loadedRoot(source) else { return .unchanged }
        var path = Path()
        var index = 0
        while true {
            let (found, isFound) = try search(node, key, source)
            index = found
            path.nodes.append(node)
            if isFound { break }
            if node.isLeaf { return .unchanged }
            path.childIndices.append(index)
            guard path.nodes.count < TreeLimits.depth else { throw .fault(.tooDeep, block: baseLength - 1) }
            node = try child(node, index, source)
        }
        var leaf = node
        var leafIndex = index
        if !node.isLeaf {
            let left = try edge(from: node, childIndex: index, isLast: true, source)
            let right = try edge(from: node, childIndex: index + 1, isLast: false, source)
            guard let leftLeaf = left.nodes.last, let rightLeaf = right.nodes.last else {
                preconditionFailure("an edge ends in a leaf")
            }
            // Ties take the left one.
            let takesRight = leftLeaf.keys.count < rightLeaf.keys.count
            let way = takesRight ? right : left
            path.nodes += way.nodes
            path.childIndices += way.childIndices
            leaf = takesRight ? rightLeaf : leftLeaf
            leafIndex = takesRight ? 0 : leaf.keys.count - 1
        }
        try prepareRebalance(path, source)
        if leaf !== node { node.keys[index] = leaf.keys[leafIndex] }
        leaf.keys.remove(at: leafIndex)
        for node in path.nodes { node.isChanged = true }
        rebalance(path)
        if let top = root, top.keys.isEmpty, let only = top.children.first {
            guard let child = only.record?.node else { preconditionFailure("a merged child is in memory") }
            root = child
        }
        stage(key, nil)
        return .staged
    }

    // MARK: Writing

    /// Takes the last staged block in the form of a single change.
    ///
    /// Only for drafts that encode every change before the next one.
    package func takeSingle() -> [UInt8] {
        guard let last = staged.popLast() else { preconditionFailure("there is a staged change to take") }
        precondition(staged.isEmpty, "single changes are taken one at a time")
        baseLength += 1
        return TreeBlock.encode(index: TreeDraft.encode(last.index), key: last.key, value: last.value)
    }

    /// Takes all staged blocks in the form of one batch: only what the final tree still uses is kept of the nodes of
    /// all blocks but the last; spec 50 section 5.3.
    package func takeBatch() -> [[UInt8]] {
        var blocks: [[UInt8]] = []
        blocks.reserveCapacity(staged.count)
        for position in staged.indices {
            if position < staged.count - 1 {
                staged[position].index = TreeDraft.strip(
                    staged[position].index, block: baseLength + UInt64(position))
            }
            let change = staged[position]
            blocks.append(
                TreeBlock.encode(index: TreeDraft.encode(change.index), key: change.key, value: change.value))
            unsettledNodes += change.index.lazy.compactMap(\.self)
            staged[position].index = []
        }
        baseLength += UInt64(staged.count)
        staged = []
        return blocks
    }

    /// What was taken is in the log now: its keys and nodes are found in `cache`, and those that are not worth keeping
    /// here are let go.
    package func settle(in cache: TreeCache) {
        for (offset, key) in unsettledKeys.enumerated() {
            cache.insert(key: key, of: settledLength + UInt64(offset))
        }
        for record in unsettledNodes {
            guard let node = record.node else { continue }
            cache.insert(node.stored, at: TreePointer(block: record.block, offset: record.offset))
        }
        unsettledKeys.removeAll(keepingCapacity: true)
        unsettledNodes.removeAll(keepingCapacity: true)
        settledLength = baseLength
        if nodeCount > TreeLimits.draftNodeCount, let root { nodeCount -= TreeDraft.dropLeaves(below: root) }
        if nodeCount > TreeLimits.draftNodeCount {
            root = nil
            nodeCount = 0
        }
    }

    /// Forgets the leaves below a node, of which a tree has by far the most, and returns how many.
    private static func dropLeaves(below node: Node) -> Int {
        var count = 0
        for index in node.children.indices {
            guard let child = node.children[index].record?.node else { continue }
            if child.isLeaf {
                node.children[index] = Child(node.children[index].address)
                count += 1
            } else {
                count += dropLeaves(below: child)
            }
        }
        return count
    }

    private static func strip(_ index: [Record?], block: UInt64) -> [Record?] {
        var index = index
        if !index.isEmpty { index[0] = nil }
        var position = 0
        while position < index.count {
            if let record = index[position], record.block == block {
                record.offset = UInt64(position)
                position += 1
                continue
            }
            let last = index.removeLast()
            if position < index.count { index[position] = last }
        }
        return index
    }

    private static func encode(_ index: [Record?]) -> [UInt8] {
        var writer = ProtobufWriter(capacity: 48 * index.count)
        for record in index {
            guard let node = record?.node else { preconditionFailure("every record of an index has its node") }
            let keysByteCount = node.keys.reduce(0) { $0 + ProtobufWriter.byteCount($1) }
            let childrenByteCount = node.children.reduce(0) {
                let address = $1.address
                return $0 + ProtobufWriter.byteCount(address.block) + ProtobufWriter.byteCount(address.offset)
            }
            writer.writeFieldHeader(
                1, byteCount: fieldByteCount(keysByteCount) + fieldByteCount(childrenByteCount))
            if !node.keys.isEmpty {
                writer.writeFieldHeader(1, byteCount: keysByteCount)
                for key in node.keys { writer.writeInteger(key) }
            }
            if !node.children.isEmpty {
                writer.writeFieldHeader(2, byteCount: childrenByteCount)
                for child in node.children {
                    let address = child.address
                    writer.writeInteger(address.block)
                    writer.writeInteger(address.offset)
                }
            }
        }
        return writer.bytes
    }

    private static func fieldByteCount(_ contentByteCount: Int) -> Int {
        contentByteCount == 0 ? 0 : 1 + ProtobufWriter.byteCount(UInt64(contentByteCount)) + contentByteCount
    }

    /// Adds the block of a change, with the records of all nodes that it changed in depth-first order.
    private func stage(_ key: [UInt8], _ value: [UInt8]?) {
        guard let root else { preconditionFailure("a change leaves a root") }
        let block = length
        var index: [Record?] = []
        TreeDraft.collect(root, block: block, into: &index)
        index[0] = Record(block: block, offset: 0, node: root)
        unsettledKeys.append(key)
        staged.append(Staged(key: key, value: value, index: index))
    }

    private static func collect(_ node: Node, block: UInt64, into index: inout [Record?]) {
        index.append(nil)
        node.isChanged = false
        for child in node.children {
            guard let record = child.record, let childNode = record.node, childNode.isChanged else { continue }
            record.block = block
            let offset = index.count
            record.offset = UInt64(offset)
            collect(childNode, block: block, into: &index)
            index[offset] = record
        }
    }

    // MARK: Nodes

    private func newNode(keys: [UInt64], children: [Child]) -> Node {
        nodeCount += 1
        return Node(keys: keys, children: children, isChanged: true)
    }

    private func loadedRoot(_ source: some TreeSource) throws(TreeStop) -> Node? {
        if let root { return root }
        guard let stored = try source.root(version: length) else { return nil }
        nodeCount += 1
        let node = Node(stored)
        root = node
        return node
    }

    private func child(_ node: Node, _ index: Int, _ source: some TreeSource) throws(TreeStop) -> Node {
        if let child = node.children[index].record?.node { return child }
        let child = Node(try source.child(node.children[index].address))
        nodeCount += 1
        node.children[index].keep(child)
        return child
    }

    /// The place of `key` in a node: of the key itself, or of the child to enter.
    private func search(
        _ node: Node, _ key: [UInt8], _ source: some TreeSource
    ) throws(TreeStop) -> (index: Int, isFound: Bool) {
        var low = 0
        var high = node.keys.count
        while low < high {
            let middle = (low + high) >> 1
            let block = node.keys[middle]
            let order =
                block < settledLength
                ? try source.order(of: block, against: key)
                : KeyOrder.compare(unsettledKeys[Int(block - settledLength)], key)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    /// The way from a child of `node` down to the outermost leaf on one side.
    private func edge(
        from node: Node, childIndex: Int, isLast: Bool, _ source: some TreeSource
    ) throws(TreeStop) -> Path {
        var path = Path()
        path.childIndices.append(childIndex)
        var current = try child(node, childIndex, source)
        for _ in 0..<TreeLimits.depth {
            path.nodes.append(current)
            if current.isLeaf { return path }
            let index = isLast ? current.children.count - 1 : 0
            path.childIndices.append(index)
            current = try child(current, index, source)
        }
        throw .fault(.tooDeep, block: baseLength - 1)
    }

    // MARK: Balance

    private func split(_ path: Path) {
        var depth = path.nodes.count - 1
        while depth >= 0, path.nodes[depth].keys.count > TreeLimits.keyCount {
            let node = path.nodes[depth]
            let middle = node.keys.count / 2
            let median = node.keys[middle]
            let right = newNode(
                keys: Array(node.keys[(middle + 1)...]),
                children: node.isLeaf ? [] : Array(node.children[(middle + 1)...]))
            node.keys.removeSubrange(middle...)
            if !node.isLeaf { node.children.removeSubrange((middle + 1)...) }
            let child = Child(Record(block: 0, offset: 0, node: right))
            if depth == 0 {
                root = newNode(keys: [median], children: [Child(Record(block: 0, offset: 0, node: node)), child])
            } else {
                let parent = path.nodes[depth - 1]
                let index = path.childIndices[depth - 1]
                parent.keys.insert(median, at: index)
                parent.children.insert(child, at: index + 1)
            }
            depth -= 1
        }
    }

    /// Brings the siblings into memory that ``rebalance(_:)`` will look at.
    private func prepareRebalance(_ path: Path, _ source: some TreeSource) throws(TreeStop) {
        var depth = path.nodes.count - 1
        while depth > 0 {
            // One key is about to leave the node: of the leaf, or the separator of two merged children.
            guard path.nodes[depth].keys.count - 1 < TreeLimits.minimumKeyCount else { return }
            let parent = path.nodes[depth - 1]
            let index = path.childIndices[depth - 1]
            if index > 0, try child(parent, index - 1, source).keys.count > TreeLimits.minimumKeyCount { return }
            if index + 1 < parent.children.count,
                try child(parent, index + 1, source).keys.count > TreeLimits.minimumKeyCount
            {
                return
            }
            depth -= 1
        }
    }

    private func rebalance(_ path: Path) {
        var depth = path.nodes.count - 1
        while depth > 0, path.nodes[depth].keys.count < TreeLimits.minimumKeyCount {
            let node = path.nodes[depth]
            let parent = path.nodes[depth - 1]
            let index = path.childIndices[depth - 1]
            let left = index > 0 ? parent.children[index - 1].record?.node : nil
            if let left, left.keys.count > TreeLimits.minimumKeyCount {
                node.keys.insert(parent.keys[index - 1], at: 0)
                if let child = left.children.popLast() { node.children.insert(child, at: 0) }
                parent.keys[index - 1] = left.keys.removeLast()
                left.isChanged = true
                return
            }
            let right = index + 1 < parent.children.count ? parent.children[index + 1].record?.node : nil
            if let right, right.keys.count > TreeLimits.minimumKeyCount {
                node.keys.append(parent.keys[index])
                if !right.isLeaf { node.children.append(right.children.removeFirst()) }
                parent.keys[index] = right.keys.removeFirst()
                right.isChanged = true
                return
            }
            if let left {
                merge(left, node, parent, separator: index - 1)
            } else if let right {
                merge(node, right, parent, separator: index)
            }
            depth -= 1
        }
    }

    private func merge(_ left: Node, _ right: Node, _ parent: Node, separator: Int) {
        left.keys.append(parent.keys.remove(at: separator))
        left.keys += right.keys
        left.children += right.children
        left.isChanged = true
        // The freed node is not part of any block that is still to be written.
        parent.children.remove(at: separator + 1).record?.block = 0
    }
}
