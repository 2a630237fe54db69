import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

/// Walks a stored log from its roots down, whose hashes the head vouches for, and notes what does not fit.
///
/// Sub trees of a thousand blocks are read by one ordered scan and checked in memory; what lies above them is read
/// node by node.
struct LogAuditor {
    /// What would put the log right.
    struct Repair {
        var nodes: [TreeNode] = []
        /// Nodes that are right, but below which everything contradicts them.
        var brokenNodes: [TreeNode] = []
        var droppedBlocks: [UInt64] = []
        var missingBlocks: [UInt64] = []
        var unmarkedBlocks: [UInt64] = []
        var strayBlocks: [UInt64] = []
        var strayNodes: Range<UInt64>?

        var isEmpty: Bool {
            nodes.isEmpty && brokenNodes.isEmpty && droppedBlocks.isEmpty && missingBlocks.isEmpty
                && unmarkedBlocks.isEmpty && strayBlocks.isEmpty && strayNodes == nil
        }
    }

    private struct Leaf {
        var hash: Bytes32
        var byteCount: UInt64
    }

    private static let windowDepth: UInt64 = 10
    private static let blocksPerScan = 64

    let keys: DataKeys
    let storage: any KeyValueStore
    let tree: MerkleTree
    let present: AvailabilityMap
    private(set) var report = DDatabase.AuditReport()
    private(set) var repair = Repair()
    private var nodes: [UInt64: TreeNode] = [:]
    private var leaves: [UInt64: Leaf] = [:]

    init(keys: DataKeys, storage: any KeyValueStore, tree: MerkleTree, present: AvailabilityMap) {
        self.keys = keys
        self.storage = storage
        self.tree = tree
        self.present = present
    }

    /// Checks everything below the roots, and what is stored behind the end.
    mutating func run() async throws(PortError) {
        for root in tree.roots { try await check(root) }
        try await findStrays()
    }

    mutating func note(_ fault: DDatabase.AuditReport.Fault) { report.note(fault) }

    // MARK: Above the windows

    /// Checks what is below a node that is known to be right.
    private mutating func check(_ root: TreeNode) async throws(PortError) {
        var stack = [root]
        while let node = stack.popLast() {
            report.nodeCount += 1
            guard FlatTree.depth(node.index) > LogAuditor.windowDepth,
                let left = FlatTree.leftChild(node.index), let right = FlatTree.rightChild(node.index)
            else {
                try await checkWindow(node)
                continue
            }
            let stored = try await storage.read([keys.node(left), keys.node(right)])
            let children = zip([left, right], stored).map { index, bytes in
                bytes.flatMap { StoredNodes.decode($0, index) }
            }
            if let first = children[0], let second = children[1], LogAuditor.fits(first, second, below: node) {
                stack += [second, first]
            } else if stored[0] == nil && stored[1] == nil && isEmpty(below: node.index) {
                continue
            } else if let windows = try await rebuild(node) {
                report.note(.damagedNode(node.index))
                stack += windows.reversed()
            } else {
                giveUp(node, isContradicted: stored[0] != nil && stored[1] != nil)
            }
        }
    }

    private static func fits(_ left: TreeNode, _ right: TreeNode, below node: TreeNode) -> Bool {
        let (_, overflow) = left.size.addingReportingOverflow(right.size)
        return !overflow && TreeNode(parentOf: left, right) == node
    }

    private func isEmpty(below index: UInt64) -> Bool {
        present.firstPresent(in: FlatTree.blocks(below: index)) == nil
    }

    /// The windows below a node, computed from their blocks, if those are all stored and add up to it.
    private mutating func rebuild(_ node: TreeNode) async throws(PortError) -> [TreeNode]? {
        let blocks = FlatTree.blocks(below: node.index)
        guard present.firstAbsent(in: blocks) == nil else { return nil }
        var windows: [TreeNode] = []
        var level: [TreeNode] = []
        var upper: [TreeNode] = []
        for start in stride(from: blocks.lowerBound, to: blocks.upperBound, by: 1 << LogAuditor.windowDepth) {
            let index = FlatTree.index(depth: LogAuditor.windowDepth, offset: start >> LogAuditor.windowDepth)
            try await readLeaves(FlatTree.blocks(below: index))
            guard let computed = compute(index)?.last else { return nil }
            windows.append(computed)
            level.append(computed)
            while level.count >= 2, FlatTree.sibling(level[level.count - 1].index) == level[level.count - 2].index {
                let right = level.removeLast()
                let left = level.removeLast()
                level.append(TreeNode(parentOf: left, right))
                upper.append(level[level.count - 1])
            }
        }
        guard level == [node] else { return nil }
        repair.nodes += windows + upper
        return windows
    }

    /// Notes that what is below a node is worthless, or cannot be proven.
    private mutating func giveUp(_ node: TreeNode, isContradicted: Bool) {
        let blocks = FlatTree.blocks(below: node.index)
        guard isContradicted else {
            countUnproven(blocks)
            return
        }
        report.note(.damagedNode(node.index))
        repair.brokenNodes.append(node)
        var position = blocks.lowerBound
        while let block = present.firstPresent(in: position..<blocks.upperBound) {
            repair.droppedBlocks.append(block)
            position = block + 1
        }
    }

    private mutating func countUnproven(_ blocks: Range<UInt64>) {
        var position = blocks.lowerBound
        while let block = present.firstPresent(in: position..<blocks.upperBound) {
            report.unprovenBlockCount += 1
            position = block + 1
        }
    }

    // MARK: Windows

    private mutating func checkWindow(_ root: TreeNode) async throws(PortError) {
        let blocks = FlatTree.blocks(below: root.index)
        nodes.removeAll(keepingCapacity: true)
        let span = keys.nodes(FlatTree.leftSpan(root.index)..<FlatTree.rightSpan(root.index) + 1)
        for entry in try await storage.entries(from: span.start, to: span.end, limit: .max, isReversed: false) {
            guard let index = try? keys.nodeIndex(ofKey: entry.key),
                let node = StoredNodes.decode(entry.value, index)
            else { continue }
            nodes[index] = node
        }
        try await readLeaves(blocks)
        for leaf in leaves.values {
            report.blockCount += 1
            report.byteCount += leaf.byteCount
        }
        check(below: root)
    }

    /// Reads the blocks of a range and keeps their hashes.
    private mutating func readLeaves(_ blocks: Range<UInt64>) async throws(PortError) {
        leaves.removeAll(keepingCapacity: true)
        var position = blocks.lowerBound
        while position < blocks.upperBound {
            let span = keys.blocks(position..<blocks.upperBound)
            let entries = try await storage.entries(
                from: span.start, to: span.end, limit: LogAuditor.blocksPerScan, isReversed: false)
            for entry in entries {
                guard let index = try? keys.blockIndex(ofKey: entry.key) else { continue }
                leaves[index] = Leaf(hash: MerkleHash.leaf(entry.value), byteCount: UInt64(entry.value.count))
                position = index + 1
            }
            if entries.count < LogAuditor.blocksPerScan { return }
        }
    }

    private mutating func check(below node: TreeNode) {
        guard let left = FlatTree.leftChild(node.index), let right = FlatTree.rightChild(node.index) else {
            checkBlock(node)
            return
        }
        if let first = nodes[left], let second = nodes[right], LogAuditor.fits(first, second, below: node) {
            report.nodeCount += 2
            check(below: first)
            check(below: second)
            return
        }
        if nodes[left] == nil && nodes[right] == nil && isEmpty(below: node.index) { return }
        if let computed = compute(node.index), computed.last == node {
            report.note(.damagedNode(node.index))
            repair.nodes += computed.dropLast()
        } else {
            giveUp(node, isContradicted: nodes[left] != nil && nodes[right] != nil)
        }
    }

    private mutating func checkBlock(_ leaf: TreeNode) {
        let index = leaf.index / 2
        let stored = leaves[index]
        let isRight = stored.map { $0.hash == leaf.hash && $0.byteCount == leaf.size } ?? false
        switch (present.contains(index), stored != nil) {
        case (true, false):
            report.note(.missingBlock(index))
            repair.missingBlocks.append(index)
        case (true, true) where !isRight:
            report.note(.damagedBlock(index))
            repair.droppedBlocks.append(index)
        case (false, true) where isRight:
            report.note(.unmarkedBlock(index))
            repair.unmarkedBlocks.append(index)
        case (false, true):
            report.note(.strayRecord(index: index))
            repair.strayBlocks.append(index)
        case (true, true), (false, false): break
        }
    }

    /// All nodes of a sub tree from the hashes of its blocks, its root last; nil if a block is missing.
    private func compute(_ root: UInt64) -> [TreeNode]? {
        var created: [TreeNode] = []
        var level: [TreeNode] = []
        for index in FlatTree.blocks(below: root) {
            guard present.contains(index), let leaf = leaves[index] else { return nil }
            level.append(TreeNode(index: FlatTree.leaf(index), size: leaf.byteCount, hash: leaf.hash))
            created.append(level[level.count - 1])
            while level.count >= 2, FlatTree.sibling(level[level.count - 1].index) == level[level.count - 2].index {
                let right = level.removeLast()
                let left = level.removeLast()
                level.append(TreeNode(parentOf: left, right))
                created.append(level[level.count - 1])
            }
        }
        return created
    }

    // MARK: Behind the end

    private mutating func findStrays() async throws(PortError) {
        var position = tree.length
        while true {
            let span = keys.blocks(from: position)
            let entries = try await storage.entries(
                from: span.start, to: span.end, limit: LogAuditor.blocksPerScan, isReversed: false)
            for entry in entries {
                guard let index = try? keys.blockIndex(ofKey: entry.key) else { continue }
                report.note(.strayRecord(index: index))
                repair.strayBlocks.append(index)
                position = index + 1
            }
            if entries.count < LogAuditor.blocksPerScan { break }
        }
        let span = keys.nodes(2 * tree.length..<ByteReader.integerLimit)
        guard let last = try await storage.entries(from: span.start, to: span.end, limit: 1, isReversed: true).first,
            let index = try? keys.nodeIndex(ofKey: last.key)
        else { return }
        report.note(.strayRecord(index: index))
        repair.strayNodes = 2 * tree.length..<index + 1
    }

    /// The nodes of a whole log whose roots are lost, if all of its blocks are stored; the roots last.
    static func computeRoots(
        keys: DataKeys, storage: any KeyValueStore, length: UInt64, present: AvailabilityMap
    ) async throws(PortError) -> (roots: [TreeNode], nodes: [TreeNode])? {
        var auditor = LogAuditor(keys: keys, storage: storage, tree: MerkleTree(), present: present)
        var roots: [TreeNode] = []
        for root in FlatTree.fullRoots(length: length) {
            guard let computed = try await auditor.computeRoot(root) else { return nil }
            roots.append(computed)
        }
        return (roots, auditor.repair.nodes + roots)
    }

    private mutating func computeRoot(_ root: UInt64) async throws(PortError) -> TreeNode? {
        let blocks = FlatTree.blocks(below: root)
        guard present.firstAbsent(in: blocks) == nil else { return nil }
        var level: [TreeNode] = []
        let depth = min(LogAuditor.windowDepth, FlatTree.depth(root))
        for start in stride(from: blocks.lowerBound, to: blocks.upperBound, by: 1 << depth) {
            let index = FlatTree.index(depth: depth, offset: start >> depth)
            try await readLeaves(FlatTree.blocks(below: index))
            guard let computed = compute(index), let top = computed.last else { return nil }
            repair.nodes += computed
            level.append(top)
            while level.count >= 2, FlatTree.sibling(level[level.count - 1].index) == level[level.count - 2].index {
                let right = level.removeLast()
                let left = level.removeLast()
                level.append(TreeNode(parentOf: left, right))
                repair.nodes.append(level[level.count - 1])
            }
        }
        return level.first
    }
}
