import DWebBase
import DWebLogCore
import DWebPorts

extension LogEngine {
    /// Shortens the log to `newLength` blocks under a higher fork; see ``DDatabase/truncate(to:fork:)``.
    func truncate(to newLength: UInt64, fork: UInt64?) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        try checkTree()
        guard LogEngine.canSign(signerKey, manifest) else { throw notWritable() }
        try check(truncationOf: tree, to: newLength)
        let newFork = fork ?? tree.fork + 1
        guard newFork > tree.fork, newFork <= ByteReader.integerLimit else {
            throw DDatabaseError(.outOfBounds, "A truncation of fork \(tree.fork) begins a higher one, not \(newFork)")
        }
        let change = try await repeatingLoads { [tree, nodes] () throws(ProofError) in
            var change = LogChange(of: tree)
            try change.truncate(to: newLength, fork: newFork, source: nodes)
            return change
        }
        var batch = WriteBatch()
        let write = put(change, signature: try await sign(change.tree), into: &batch)
        try await apply(batch)
        adopt(change, write)
    }

    /// Writes a state that shares only the first `sharedLength` blocks with the present one, and takes it over.
    ///
    /// One batch: deletes blocks and nodes beyond, writes head, new nodes, pages and hints; spec 40 section 14.
    func replaceHistory(
        with newTree: MerkleTree, signature newSignature: [UInt8]?, sharedLength: UInt64, newNodes: [TreeNode],
        newManifest: Manifest? = nil
    ) async throws(DDatabaseError) {
        let oldLength = tree.length
        let removed = sharedLength..<max(oldLength, sharedLength)
        let truncation = TreeTruncation(from: removed.upperBound, to: sharedLength)
        var batch = WriteBatch()
        if !removed.isEmpty {
            let span = keys.blocks(removed)
            batch.deleteRange(span.start, span.end)
        }
        let write = putHead(newTree, newSignature, into: &batch)
        if !truncation.nodes.isEmpty {
            let span = keys.nodes(truncation.nodes)
            batch.deleteRange(span.start, span.end)
        }
        for index in truncation.crossingNodes { batch.delete(keys.node(index)) }
        batch.put(newNodes, keys)
        putPages(clearing: removed, into: &batch)
        var newHints = hints
        newHints.contiguousLength = min(hints.contiguousLength, sharedLength)
        if newHints != hints { batch.put(keys.hints, newHints.encoded) }
        let newAuth = stageManifest(newManifest, into: &batch)
        try await apply(batch)

        tree = newTree
        adopt(write)
        if newHints != hints { writtenHints = newHints }
        hints = newHints
        if let newAuth, let newManifest { adoptManifest(newManifest, newAuth) }
        present.set(removed, present: false)
        nodes.removeAll()
        nodes.store(newNodes)
        published.noteTruncation(fork: newTree.fork, length: sharedLength)
        events.send(.truncated(sharedLength: sharedLength, fork: newTree.fork))
        publishHead()
        endGrowthWaits()
    }

    /// Deletes the stored blocks of `range`; see ``DDatabase/clear(_:)``.
    func clear(_ range: Range<UInt64>) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        let range = range.clamped(to: 0..<tree.length)
        guard let first = present.firstPresent(in: range) else { return }
        var batch = WriteBatch()
        putPages(clearing: range, into: &batch)
        var newHints = hints
        if range.lowerBound < hints.contiguousLength {
            newHints.contiguousLength = range.lowerBound
            batch.put(keys.hints, newHints.encoded)
        }
        if first + 1 == range.upperBound {
            batch.delete(keys.block(first))
        } else {
            let span = keys.blocks(first..<range.upperBound)
            batch.deleteRange(span.start, span.end)
        }
        try await apply(batch)
        if newHints != hints { writtenHints = newHints }
        hints = newHints
        present.set(range, present: false)
        publishHead()
        replicationDidClear(range)
    }

    /// Writes the pages from which bits of `range` disappear.
    private func putPages(clearing range: Range<UInt64>, into batch: inout WriteBatch) {
        guard !range.isEmpty else { return }
        let last = LogEngine.pages(of: range).upperBound
        var page = present.firstOccupiedPage(from: LogEngine.pages(of: range).lowerBound)
        while let number = page, number <= last {
            batch.put(page: number, of: present, removing: range, keys)
            page = present.firstOccupiedPage(from: number + 1)
        }
    }

    /// Adds the auth record with a manifest that was not known before; nil if there is nothing to write.
    func stageManifest(_ newManifest: Manifest?, into batch: inout WriteBatch) -> AuthRecord? {
        guard manifest == nil, let newManifest else { return nil }
        var newAuth = auth
        newAuth.storedManifest = newManifest.storedEncoding
        batch.put(StoreRecordKeys.auth(core: record.corePointer), newAuth.encoded)
        return newAuth
    }

    /// Takes over a manifest that was stored.
    func adoptManifest(_ newManifest: Manifest, _ newAuth: AuthRecord) {
        auth = newAuth
        manifest = newManifest
        published.setWritable(isAppendable())
        published.setCompatible(newManifest.isCompatible(with: key))
    }

    // MARK: User data

    /// The bytes kept under `name`.
    func userData(_ name: String) async throws(DDatabaseError) -> [UInt8]? {
        try checkAlive()
        return try await read(keys.userData(name))
    }

    /// Keeps or removes the bytes under `name`.
    func setUserData(_ name: String, _ value: [UInt8]?) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        var batch = WriteBatch()
        if let value { batch.put(keys.userData(name), value) } else { batch.delete(keys.userData(name)) }
        try await apply(batch)
    }
}
