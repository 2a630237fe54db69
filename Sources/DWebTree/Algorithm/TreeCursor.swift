/// A walk through the keys of one version in order, up or down, within bounds; spec 50 section 3.7.
///
/// Every step fails with ``TreeStop/missing(_:)`` where a block is not in memory and can be tried again without loss.
package struct TreeCursor: Sendable {
    /// What comes next.
    package enum Head: Equatable {
        /// A subtree.
        case child(TreePointer)
        /// A key, by its block.
        case key(UInt64)
        /// Nothing.
        case end
    }

    private struct Frame {
        let pointer: TreePointer
        let node: TreeNode
        /// 2k stands before child k, 2k+1 before key k.
        var position: Int
        /// Whether the position must still be found by the bound at which the walk starts.
        var isUnplaced: Bool
    }

    /// The version that is walked.
    package let version: UInt64
    private let range: KeyRange
    private let isReversed: Bool
    private var stack: [Frame] = []
    private var isOpen = false
    /// Whether the walk still looks for the place where its range starts.
    private var isSeeking: Bool
    private var lastKey: [UInt8]?
    /// Steps taken so far, and those after which peers are asked again.
    private var stepCount = 0
    private var nextQuestion = 0

    /// A walk through `range` of a version.
    package init(version: UInt64, range: KeyRange, isReversed: Bool = false) {
        self.version = version
        self.range = range
        self.isReversed = isReversed
        isSeeking = isReversed ? range.upper != nil : range.lower != nil
    }

    /// The next key with its value, or nil at the end.
    package mutating func next(_ source: some TreeSource) throws(TreeStop) -> TreeContent? {
        while true {
            switch try head(source) {
            case .end: return nil
            case .child: try descend(source)
            case .key(let sequence):
                let content = try source.content(sequence)
                guard try accept(content.key, of: sequence) else { return nil }
                skip()
                return content
            }
        }
    }

    /// What comes next. Does not look at the key's block, so a key may turn out to lie beyond the range's end.
    package mutating func head(_ source: some TreeSource) throws(TreeStop) -> Head {
        if !isOpen {
            if let root = try source.root(version: version), !root.keys.isEmpty {
                stack = [frame(TreePointer(block: version - 1, offset: 0), root)]
            }
            isOpen = true
        }
        while let top = stack.last {
            if top.isUnplaced {
                let position = try place(top.node, block: top.pointer.block, source)
                stack[stack.count - 1].position = position
                stack[stack.count - 1].isUnplaced = false
                if position & 1 == 1 { isSeeking = false }
                continue
            }
            let position = top.position
            guard position >= 0, position <= 2 * top.node.keys.count else {
                stack.removeLast()
                continue
            }
            if position & 1 == 1 { return .key(top.node.keys[position >> 1]) }
            if top.node.isLeaf {
                skip()
                continue
            }
            return .child(top.node.children[position >> 1])
        }
        return .end
    }

    /// Goes past what comes next.
    package mutating func skip() {
        guard !stack.isEmpty else { return }
        stepCount += 1
        isSeeking = false
        stack[stack.count - 1].position += isReversed ? -1 : 1
    }

    /// Enters the subtree that comes next.
    package mutating func descend(_ source: some TreeSource) throws(TreeStop) {
        guard let top = stack.last, top.position & 1 == 0, !top.node.isLeaf else { return }
        let pointer = top.node.children[top.position >> 1]
        guard stack.count < TreeLimits.depth else { throw .fault(.tooDeep, block: pointer.block) }
        guard pointer.block <= top.pointer.block else { throw .fault(.invalidStructure, block: top.pointer.block) }
        let node = try source.child(pointer)
        stack[stack.count - 1].position += isReversed ? -1 : 1
        stack.append(frame(pointer, node))
    }

    /// Checks a key that comes next; says no at the end of the range.
    package mutating func accept(_ key: [UInt8], of sequence: UInt64) throws(TreeStop) -> Bool {
        if let lastKey {
            let order = KeyOrder.compare(key, lastKey)
            guard isReversed ? order < 0 : order > 0 else { throw .fault(.unsortedKeys, block: sequence) }
        } else if isReversed ? range.isAbove(key) : range.isBelow(key) {
            throw .fault(.unsortedKeys, block: sequence)
        }
        guard !(isReversed ? range.isBelow(key) : range.isAbove(key)) else {
            stack = []
            return false
        }
        lastKey = key
        return true
    }

    /// Blocks that the walk will need soon: what the current node still names.
    package var wanted: [UInt64] {
        guard let top = stack.last else { return isOpen || version < 2 ? [] : [version - 1] }
        var result: [UInt64] = []
        let positions =
            isReversed
            ? Array(stride(from: top.position, through: 0, by: -1))
            : Array(stride(from: max(0, top.position), through: 2 * top.node.keys.count, by: 1))
        for position in positions where position >= 0 && position <= 2 * top.node.keys.count {
            if position & 1 == 1 {
                result.append(top.node.keys[position >> 1])
            } else if !top.node.isLeaf {
                result.append(top.node.children[position >> 1].block)
            }
        }
        return result
    }

    /// The walk's stack for a cache request; spec 50 section 7.5.
    package var checkpoint: [UInt64] {
        stack.flatMap { [$0.pointer.block, $0.pointer.offset, UInt64(max(0, $0.position))] }
    }

    /// What to ask peers about the rest of the walk; nil if they were asked not long ago; spec 50 section 7.4.
    package mutating func question() -> TreeHint? {
        guard stepCount >= nextQuestion else { return nil }
        nextQuestion = stepCount + TreeLimits.hintScanBlockCount
        return TreeHint(
            scan: TreeHint.Scan(
                version: version, range: range, limit: 0, isReversed: isReversed, checkpoint: checkpoint))
    }

    /// Takes up a walk at the checkpoint of a peer, whose numbers may be anything.
    package mutating func resume(at checkpoint: [UInt64], _ source: some TreeSource) throws(TreeStop) {
        var frames: [Frame] = []
        var index = 0
        while index + 2 < checkpoint.count {
            let pointer = TreePointer(block: checkpoint[index], offset: checkpoint[index + 1])
            guard pointer.block > 0, pointer.block < version, frames.count < TreeLimits.depth else {
                throw .fault(.invalidStructure, block: version - 1)
            }
            let node = try source.node(pointer)
            guard checkpoint[index + 2] <= UInt64(2 * node.keys.count + 1) else {
                throw .fault(.invalidStructure, block: pointer.block)
            }
            frames.append(
                Frame(pointer: pointer, node: node, position: Int(checkpoint[index + 2]), isUnplaced: false))
            index += 3
        }
        guard !frames.isEmpty else { return }
        stack = frames
        isOpen = true
        isSeeking = false
    }

    /// Blocks that a walk will need, in the order of the walk: those that are not in memory, and others.
    package struct Missing: Sendable {
        /// Those that hold keys.
        package fileprivate(set) var keys: [UInt64] = []
        /// Nodes in others, of which the keys are not known yet.
        package fileprivate(set) var nodes: [TreePointer] = []
        /// Those that hold keys and are in memory.
        package fileprivate(set) var held: [UInt64] = []
    }

    /// Blocks that are not in `source` and that the walk will need, found by walking ahead through what is there. A
    /// block may be named twice.
    ///
    /// - Parameters:
    ///   - limit: The most blocks.
    ///   - nodeLimit: The most blocks that hold nodes.
    ///   - steps: The most keys and subtrees that are looked at.
    package func missingAhead(
        _ source: some TreeSource, limit: Int, nodeLimit: Int = .max, steps: Int = 4_096
    ) -> Missing {
        var ahead = self
        var missing = Missing()
        for _ in 0..<steps {
            guard missing.keys.count + missing.nodes.count < limit, missing.nodes.count < nodeLimit else { break }
            do throws(TreeStop) {
                switch try ahead.head(source) {
                case .end: return missing
                case .key(let key):
                    if source.holds(key) { missing.held.append(key) } else { missing.keys.append(key) }
                    ahead.skip()
                case .child(let pointer):
                    do throws(TreeStop) {
                        try ahead.descend(source)
                    } catch {
                        guard case .missing = error else { return missing }
                        missing.nodes.append(pointer)
                        ahead.skip()
                    }
                }
            } catch {
                guard case .missing(let block) = error else { return missing }
                missing.keys.append(block)
                return missing
            }
        }
        return missing
    }

    private func frame(_ pointer: TreePointer, _ node: TreeNode) -> Frame {
        Frame(
            pointer: pointer, node: node, position: isReversed ? 2 * node.keys.count : 0, isUnplaced: isSeeking)
    }

    /// The position in `node` at which the bound lies.
    private func place(_ node: TreeNode, block: UInt64, _ source: some TreeSource) throws(TreeStop) -> Int {
        guard let bound = isReversed ? range.upper : range.lower else { return 0 }
        var low = 0
        var high = node.keys.count
        while low < high {
            let middle = (low + high) >> 1
            let order = KeyOrder.compare(try source.key(node.keys[middle]), bound.key)
            if order == 0 {
                switch bound {
                case .including: return 2 * middle + 1
                case .excluding: return isReversed ? 2 * middle : 2 * middle + 2
                }
            }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return 2 * low
    }
}
