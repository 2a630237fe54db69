/// Makes the proofs that peers ask for; spec 30 section D.2.
package struct ProofProducer<Source: NodeSource> {
    private let signed: SignedTree
    private let prologue: Manifest.Prologue?
    private let local: LocalTree<Source>

    /// A producer for one state of a log.
    ///
    /// - Parameters:
    ///   - signed: The log's tree and its signature.
    ///   - prologue: The fixed beginning, if the manifest has one.
    ///   - source: Where the stored nodes are.
    package init(signed: SignedTree, prologue: Manifest.Prologue?, source: Source) {
        self.signed = signed
        self.prologue = prologue
        local = LocalTree(tree: signed.tree, source: source)
    }

    /// The answer to a request, with its id and the log's fork. The caller has checked that forks agree and that it
    /// has the block.
    ///
    /// - Parameters:
    ///   - request: What a peer asks for.
    ///   - blockValue: The stored bytes of the block, if one is asked for.
    ///   - manifest: The manifest, attached if the request wants it; nil for a log that does not give it away.
    /// - Throws: `notLoaded` with all nodes still needed, except that a seek finds its way level by level;
    ///   `invalidOperation` for a request that makes no sense or needs nodes that are not stored.
    package func answer(
        to request: RequestMessage, blockValue: [UInt8] = [], manifest: Manifest? = nil
    ) throws(ProofError) -> DataMessage {
        var message = try proof(for: request.proof, blockValue: blockValue)
        message.request = request.id
        if request.manifest { message.manifest = manifest }
        return message
    }

    /// The proof for a request, as a message with request id 0.
    package func proof(for request: ProofRequest, blockValue: [UInt8] = []) throws(ProofError) -> DataMessage {
        var message = DataMessage(request: 0, fork: signed.tree.fork)
        guard signed.tree.length > 0 else { return message }
        if let block = request.block, request.seek == nil, request.upgrade == nil {
            // Nearly every request.
            message.block = DataMessage.Block(index: block.index, value: blockValue, nodes: try siblings(of: block))
            return message
        }
        let plan = try plan(for: request)
        var nodes = try local.nodes(at: plan.indices)[...]
        func next(_ indices: [UInt64]) -> [TreeNode] {
            let part = Array(nodes.prefix(indices.count))
            nodes = nodes.dropFirst(indices.count)
            return part
        }
        let pathNodes = plan.path.map(next)
        let seekNodes = plan.seek.map(next)
        let upgradeNodes = next(plan.upgrade)
        let additionalNodes = next(plan.additional)
        if let block = request.block {
            guard let pathNodes else { throw .invalidOperation(.outOfBounds) }
            message.block = DataMessage.Block(index: block.index, value: blockValue, nodes: pathNodes)
        } else if let hash = request.hash {
            guard let pathNodes else { throw .invalidOperation(.outOfBounds) }
            message.hash = DataMessage.Hash(index: hash.index, nodes: pathNodes)
        }
        if let seek = request.seek, let seekNodes {
            message.seek = DataMessage.Seek(bytes: seek.bytes, nodes: seekNodes)
        }
        if let upgrade = adjusted(request.upgrade) {
            message.upgrade = DataMessage.Upgrade(
                start: upgrade.start, length: upgrade.length, nodes: upgradeNodes, additionalNodes: additionalNodes,
                signature: signed.signature)
        }
        return message
    }

    /// All nodes that the proof for a request consists of, so that they can be loaded at once.
    ///
    /// - Throws: As ``proof(for:blockValue:)``; `notLoaded` only for requests with a seek.
    package func requiredNodes(for request: ProofRequest) throws(ProofError) -> [UInt64] {
        signed.tree.length == 0 ? [] : try plan(for: request).indices
    }

    /// Below the prologue there is only one upgrade: to its end.
    private func adjusted(_ upgrade: ProofRequest.Upgrade?) -> ProofRequest.Upgrade? {
        guard let prologue, let upgrade, upgrade.start < prologue.length else { return upgrade }
        return ProofRequest.Upgrade(start: 0, length: prologue.length)
    }

    // MARK: Plan

    /// The tree indices of every section, in order; nil for a section that does not exist.
    private struct Plan {
        var path: [UInt64]?
        var seek: [UInt64]?
        var upgrade: [UInt64] = []
        var additional: [UInt64] = []

        var indices: [UInt64] { (path ?? []) + (seek ?? []) + upgrade + additional }
    }

    /// The node a block or hash request starts from.
    private struct Start {
        var index: UInt64
        var levels: UInt64
        var isHash: Bool

        init?(_ request: ProofRequest) {
            if let block = request.block {
                self.init(index: FlatTree.leaf(block.index), levels: block.nodes, isHash: false)
            } else if let hash = request.hash {
                self.init(index: hash.index, levels: hash.nodes, isHash: true)
            } else {
                return nil
            }
        }

        init(index: UInt64, levels: UInt64, isHash: Bool) {
            self.index = index
            self.levels = levels
            self.isHash = isHash
        }
    }

    private func plan(for request: ProofRequest) throws(ProofError) -> Plan {
        let upgrade = adjusted(request.upgrade)
        let length = signed.tree.length
        let from = upgrade?.start ?? 0
        let to = upgrade.map { $0.start &+ $0.length } ?? length
        guard from < to, to <= length else { throw .invalidOperation(.invalidUpgrade) }
        let start = Start(request)
        if request.seek != nil, upgrade != nil, let start, start.index >= FlatTree.leaf(from) {
            throw .invalidOperation(.seekWithUpgradedBlock)
        }
        var plan = Plan()
        var subTree: UInt64?
        if let start, upgrade == nil || FlatTree.rightSpan(start.index) < 2 &* from {
            let top = try climb(start, below: to)
            var target: UInt64?
            if let seek = request.seek { target = try seekInside(top, seek) }
            addPath(from: start, to: top, seekTarget: target, plan: &plan)
        } else if upgrade != nil {
            if let seek = request.seek {
                subTree = try seekFromHead(of: to, seek)
            } else {
                subTree = start?.index
            }
        }
        guard upgrade != nil else { return plan }
        try addUpgrade(from: from, to: to, start: start, hasSeek: request.seek != nil, subTree: subTree, plan: &plan)
        if to < length { plan.additional = FlatTree.connection(from: to, to: length) }
        return plan
    }

    /// The siblings on the way up from a block's leaf.
    private func siblings(of block: ProofRequest.Block) throws(ProofError) -> [TreeNode] {
        let start = FlatTree.leaf(block.index)
        let top = try climb(Start(index: start, levels: block.nodes, isHash: false), below: signed.tree.length)
        guard start != top else { return [] }
        var nodes: [TreeNode] = []
        var notLoaded: [UInt64] = []
        nodes.reserveCapacity(Int(FlatTree.depth(top)))
        var current = start
        while current != top {
            let sibling = FlatTree.sibling(current)
            do throws(ProofError) {
                nodes.append(try local.requiredNode(at: sibling))
            } catch {
                guard case .notLoaded(let more) = error else { throw error }
                notLoaded += more
            }
            current = FlatTree.parent(current)
        }
        guard notLoaded.isEmpty else { throw .notLoaded(notLoaded) }
        return nodes
    }

    private func climb(_ start: Start, below to: UInt64) throws(ProofError) -> UInt64 {
        guard FlatTree.rightSpan(start.index) < 2 &* to else { throw .invalidOperation(.outOfBounds) }
        var current = start.index
        var levels = start.levels
        while levels > 0 {
            current = FlatTree.parent(current)
            guard !FlatTree.contains(current, 2 &* to) else { throw .invalidOperation(.outOfBounds) }
            levels -= 1
        }
        return current
    }

    private func addPath(from start: Start, to top: UInt64, seekTarget: UInt64?, plan: inout Plan) {
        var path = start.isHash ? [start.index] : []
        var current = start.index
        while current != top {
            let sibling = FlatTree.sibling(current)
            if let seekTarget, sibling != seekTarget, FlatTree.contains(sibling, seekTarget) {
                plan.seek = seekPath(from: seekTarget, to: sibling)
            } else {
                path.append(sibling)
            }
            current = FlatTree.parent(current)
        }
        plan.path = path
    }

    private func seekPath(from target: UInt64, to top: UInt64) -> [UInt64] {
        var path = [target]
        var current = target
        while current != top {
            path.append(FlatTree.sibling(current))
            current = FlatTree.parent(current)
        }
        return path
    }

    /// Lists the nodes that connect two lengths. A sub tree that the message proves by its other sections takes the
    /// place of the node above it.
    private func addUpgrade(
        from: UInt64, to: UInt64, start: Start?, hasSeek: Bool, subTree: UInt64?, plan: inout Plan
    ) throws(ProofError) {
        for node in FlatTree.connection(from: from, to: to) {
            guard let subTree, plan.path == nil, plan.seek == nil, FlatTree.contains(node, subTree) else {
                plan.upgrade.append(node)
                continue
            }
            if let start {
                guard FlatTree.contains(node, start.index) else { throw .invalidOperation(.outOfBounds) }
                addPath(from: start, to: node, seekTarget: hasSeek ? subTree : nil, plan: &plan)
            } else {
                plan.seek = seekPath(from: subTree, to: node)
            }
        }
    }

    // MARK: Seek

    /// The node at a byte offset among the first `length` blocks; nil behind them.
    private func seekFromHead(of length: UInt64, _ seek: ProofRequest.Seek) throws(ProofError) -> UInt64? {
        var remainder = seek.bytes
        for root in try local.nodes(at: FlatTree.fullRoots(length: length)) {
            let size = root.unpaddedSize(padding: seek.padding)
            if remainder == size { return root.index }
            if remainder < size { return try descend(from: root.index, remainder: remainder, padding: seek.padding) }
            remainder -= size
        }
        return nil
    }

    /// The node at a byte offset below `top`; nil if there is no help.
    ///
    /// The network's peers know byte offsets below the first root only; elsewhere they neither help nor refuse. We do
    /// the same, so that every peer gives the same answer.
    private func seekInside(_ top: UInt64, _ seek: ProofRequest.Seek) throws(ProofError) -> UInt64? {
        guard let first = signed.tree.roots.first, FlatTree.contains(first.index, top) else { return nil }
        let bytesBefore = try signed.tree.byteOffset(ofNode: top, source: local)
        let size = try local.requiredNode(at: top).unpaddedSize(padding: seek.padding)
        let (paddingBefore, overflow) = seek.padding.multipliedReportingOverflow(by: FlatTree.leftSpan(top) / 2)
        let offset = overflow || paddingBefore > bytesBefore ? 0 : bytesBefore - paddingBefore
        if seek.bytes == offset { return top }
        guard seek.bytes > offset, seek.bytes - offset < size else { throw .invalidOperation(.invalidSeek) }
        return try descend(from: top, remainder: seek.bytes - offset, padding: seek.padding)
    }

    private func descend(from top: UInt64, remainder: UInt64, padding: UInt64) throws(ProofError) -> UInt64 {
        var current = top
        var remainder = remainder
        while remainder > 0, let left = FlatTree.leftChild(current), let right = FlatTree.rightChild(current) {
            guard let node = try local.node(at: left) else { return current }
            let size = node.unpaddedSize(padding: padding)
            if size == remainder { return left }
            if size > remainder {
                current = left
            } else {
                remainder -= size
                current = right
            }
        }
        return current
    }
}
