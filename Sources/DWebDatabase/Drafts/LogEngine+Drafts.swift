import DWebBase
import DWebCrypto
import DWebLogCore
import DWebPorts

extension LogEngine {
    private func draft(_ name: String) throws(DDatabaseError) -> DraftState {
        try checkAlive()
        guard let draft = drafts[name] else { throw LogEngine.noDraft(name) }
        return draft
    }

    func draftHead(_ name: String) throws(DDatabaseError) -> Draft.Head {
        let draft = try draft(name)
        return Draft.Head(
            length: draft.tree.length, byteLength: draft.tree.byteLength, sharedLength: draft.sharedLength)
    }

    /// A block of the draft's own; nil for one that the log has.
    func draftBlock(_ name: String, at index: UInt64) async throws(DDatabaseError) -> [UInt8]? {
        let draft = try draft(name)
        guard index < draft.tree.length else {
            throw DDatabaseError(.outOfBounds, "The draft has \(draft.tree.length) blocks, there is no block \(index)")
        }
        if index < draft.sharedLength {
            try await checkShared(draft, LogEngine.cutDraft(name))
            return nil
        }
        if let bytes = try await read(draft.keys.block(index)) { return bytes }
        throw DDatabaseError(.storage, "Block \(index) of the draft \(name) is missing")
    }

    /// Refuses to go on where the log no longer has what the draft shares with it.
    private func checkShared(_ draft: DraftState, _ cut: DDatabaseError) async throws(DDatabaseError) {
        if draft.tree.fork == tree.fork { return }
        guard draft.sharedLength <= tree.length else { throw cut }
        let theirs = try await repeatingLoads { [tree, nodes] () throws(ProofError) in
            try tree.truncated(to: draft.sharedLength, fork: 0, source: nodes).hash
        }
        let ours = try? draft.tree.truncated(to: draft.sharedLength, fork: 0, source: draft.source(over: nodes)).hash
        guard ours == theirs else { throw cut }
    }

    func appendToDraft(
        _ name: String, _ blocks: [[UInt8]], cipher: BlockCipher?
    ) async throws(DDatabaseError) -> Range<UInt64> {
        await enterMutation()
        defer { mutations.leave() }
        var draft = try draft(name)
        try check(blocks, isEncrypted: cipher != nil, after: draft.tree)
        let range = draft.tree.length..<draft.tree.length + UInt64(blocks.count)
        if blocks.isEmpty { return range }
        var batch = WriteBatch()
        var created: [TreeNode] = []
        // The log may come to have other blocks at these indices: the same key stream must never serve for both. The
        // fork in a block's padding is not checked by anybody, so that it can make the difference.
        let fork = cipher == nil ? 0 : drawNumber()
        for (offset, block) in blocks.enumerated() {
            let index = range.lowerBound + UInt64(offset)
            let stored = cipher?.seal(block, index: index, fork: fork) ?? block
            draft.tree.append(block: stored, collecting: &created)
            batch.put(block: stored, at: index, draft.keys)
        }
        created.sort { $0.index < $1.index }
        batch.put(created, draft.keys)
        putHead(of: draft, into: &batch)
        try await apply(batch)
        draft.nodes.store(created)
        drafts[name] = draft
        return range
    }

    private func drawNumber() -> UInt64 {
        runtime.entropy.seed().bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    func truncateDraft(_ name: String, to length: UInt64) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        var draft = try draft(name)
        let oldLength = draft.tree.length
        guard length <= oldLength else {
            throw DDatabaseError(.outOfBounds, "The draft has \(oldLength) blocks, fewer than \(length)")
        }
        draft.tree = try await repeatingLoads(of: draft) { [nodes, draft] () throws(ProofError) in
            try draft.tree.truncated(to: length, fork: draft.tree.fork, source: draft.source(over: nodes))
        }
        let sharedLength = min(draft.sharedLength, length)
        var batch = WriteBatch()
        deleteOwn(from: length, to: oldLength, of: draft, into: &batch)
        draft.sharedLength = sharedLength
        putHead(of: draft, into: &batch)
        putDependency(of: draft, into: &batch)
        try await apply(batch)
        draft.nodes.removeAll()
        drafts[name] = draft
    }

    private func deleteOwn(
        from length: UInt64, to oldLength: UInt64, of draft: DraftState, into batch: inout WriteBatch
    ) {
        guard length < oldLength else { return }
        let truncation = TreeTruncation(from: oldLength, to: length)
        let blocks = draft.keys.blocks(length..<oldLength)
        let nodes = draft.keys.nodes(truncation.nodes)
        batch.deleteRange(blocks.start, blocks.end)
        batch.deleteRange(nodes.start, nodes.end)
        for index in truncation.crossingNodes { batch.delete(draft.keys.node(index)) }
    }

    func discardDraft(_ name: String) async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        guard let bytes = try await read(StoreRecordKeys.sessions(core: record.corePointer)),
            var sessions = try? SessionsRecord(decoding: bytes),
            let position = sessions.sessions.firstIndex(where: { $0.name == name })
        else { return }
        let everything = DataKeys(dataPointer: sessions.sessions[position].dataPointer).everything
        sessions.sessions.remove(at: position)
        var batch = WriteBatch()
        let key = StoreRecordKeys.sessions(core: record.corePointer)
        if sessions.sessions.isEmpty { batch.delete(key) } else { batch.put(key, sessions.encoded) }
        batch.deleteRange(everything.start, everything.end)
        try await apply(batch)
        drafts[name] = nil
    }

    /// Signs the draft's blocks into the log; one batch, which also makes the log's blocks those of the draft.
    func commitDraft(_ name: String) async throws(DDatabaseError) -> Range<UInt64> {
        await enterMutation()
        defer { mutations.leave() }
        try checkChangeable()
        var draft = try draft(name)
        guard isAppendable() else { throw notWritable() }
        let start = tree.length
        let range = start..<max(start, draft.tree.length)
        let differs = DDatabaseError(.conflict, "The log went on with other blocks than the draft \(name)")
        guard draft.tree.fork == tree.fork, draft.tree.length >= start else { throw differs }
        let common = try await repeatingLoads(of: draft) { [nodes, draft] () throws(ProofError) in
            try draft.tree.truncated(to: start, fork: draft.tree.fork, source: draft.source(over: nodes))
        }
        guard common.hash == tree.hash else { throw differs }
        if range.isEmpty { return range }
        var change = LogChange(of: tree)
        _ = change.append(try await ownBlocks(of: draft, range), cipher: nil)
        guard change.tree.hash == draft.tree.hash else {
            throw DDatabaseError(.storage, "The blocks of the draft \(name) are not those of its tree")
        }
        try checkPrologue(change.tree, change.created.values)
        let newSignature = try await sign(change.tree)
        var batch = WriteBatch()
        let write = put(change, signature: newSignature, into: &batch)
        deleteOwn(from: draft.sharedLength, to: draft.tree.length, of: draft, into: &batch)
        draft.sharedLength = draft.tree.length
        draft.signature = newSignature
        putHead(of: draft, into: &batch)
        putDependency(of: draft, into: &batch)
        try await apply(batch)
        adopt(change, write)
        draft.nodes.removeAll()
        drafts[name] = draft
        return range
    }

    private func ownBlocks(of draft: DraftState, _ range: Range<UInt64>) async throws(DDatabaseError) -> [[UInt8]] {
        let span = draft.keys.blocks(range)
        do throws(PortError) {
            return try await storage.entries(from: span.start, to: span.end, limit: range.count, isReversed: false)
                .map(\.value)
        } catch {
            throw DDatabaseError(storage: error)
        }
    }
}
