import DWebBase
import DWebLogCore
import DWebPorts

/// What is kept in memory of a draft.
struct DraftState {
    let keys: DataKeys
    /// The draft's own tree nodes.
    let nodes: StoredNodes
    /// How many leading blocks, and the nodes above nothing but those, are the log's.
    var sharedLength: UInt64
    var tree: MerkleTree
    /// What the head record carries along; it belongs to the log's state from which the draft was begun.
    var signature: [UInt8]?

    /// The nodes of the draft: the log's own where they are shared.
    func source(over shared: StoredNodes) -> NodeLookup {
        let (sharedLength, nodes) = (sharedLength, nodes)
        return NodeLookup { (index) throws(ProofError) in
            try (FlatTree.rightSpan(index) < 2 * sharedLength ? shared : nodes).node(at: index)
        }
    }

    /// The head record.
    func headRecord(timestampMilliseconds: UInt64) -> HeadRecord {
        HeadRecord(
            fork: tree.fork, length: tree.length, treeHash: tree.hash, signature: signature,
            timestampMilliseconds: timestampMilliseconds)
    }
}

extension LogEngine {
    private func sessionsRecord() async throws(DDatabaseError) -> SessionsRecord {
        guard let bytes = try await read(StoreRecordKeys.sessions(core: record.corePointer)) else {
            return SessionsRecord(sessions: [])
        }
        do throws(CodecError) {
            return try SessionsRecord(decoding: bytes)
        } catch {
            throw DDatabaseError(.storage, "The list of the drafts of the log \(key) is damaged")
        }
    }

    func draftNames() async throws(DDatabaseError) -> [String] {
        try checkAlive()
        return try await sessionsRecord().sessions.map(\.name)
    }

    /// Loads a draft, or begins it.
    func openDraft(_ name: String, isOverwriting: Bool) async throws(DDatabaseError) {
        try checkAlive()
        if drafts[name] != nil, !isOverwriting { return }
        var newPointer: UInt64?
        if try await !sessionsRecord().sessions.contains(where: { $0.name == name }) {
            // Given out before the log's turn is taken: the store may be waiting for the log.
            guard let pointers else { throw LogEngine.closedError }
            newPointer = try await pointers.data()
        }
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        if drafts[name] != nil, !isOverwriting { return }
        var sessions = try await sessionsRecord()
        let known = sessions.sessions.first { $0.name == name }?.dataPointer
        if let known, !isOverwriting {
            drafts[name] = try await loadDraft(DataKeys(dataPointer: known), name)
            return
        }
        guard let pointer = known ?? newPointer else { throw LogEngine.noDraft(name) }
        let keys = DataKeys(dataPointer: pointer)
        let draft = DraftState(
            keys: keys, nodes: StoredNodes(storage: storage, keys: keys), sharedLength: tree.length, tree: tree,
            signature: signature)
        var batch = WriteBatch()
        if known == nil {
            sessions.sessions.append(SessionsRecord.Session(name: name, dataPointer: pointer))
            batch.put(StoreRecordKeys.sessions(core: record.corePointer), sessions.encoded)
        } else {
            batch.deleteRange(keys.everything.start, keys.everything.end)
        }
        if tree.length > 0 { putHead(of: draft, into: &batch) }
        putDependency(of: draft, into: &batch)
        try await apply(batch)
        drafts[name] = draft
    }

    func putHead(of draft: DraftState, into batch: inout WriteBatch) {
        let timestamp = min(runtime.wallClockMilliseconds(), ByteReader.integerLimit)
        batch.put(draft.keys.head, draft.headRecord(timestampMilliseconds: timestamp).encoded)
    }

    func putDependency(of draft: DraftState, into batch: inout WriteBatch) {
        batch.put(
            draft.keys.dependency,
            DependencyRecord(dataPointer: record.dataPointer, length: draft.sharedLength).encoded)
    }

    private func loadDraft(_ keys: DataKeys, _ name: String) async throws(DDatabaseError) -> DraftState {
        let damaged = DDatabaseError(.storage, "The draft \(name) of the log \(key) is damaged")
        var head: HeadRecord?
        var dependency: DependencyRecord?
        let (headBytes, dependencyBytes) = (try await read(keys.head), try await read(keys.dependency))
        do throws(CodecError) {
            if let headBytes { head = try HeadRecord(decoding: headBytes) }
            if let dependencyBytes { dependency = try DependencyRecord(decoding: dependencyBytes) }
        } catch {
            throw damaged
        }
        var draft = DraftState(
            keys: keys, nodes: StoredNodes(storage: storage, keys: keys), sharedLength: dependency?.length ?? 0,
            tree: MerkleTree(fork: tree.fork), signature: head?.signature)
        guard dependency.map({ $0.dataPointer == record.dataPointer }) ?? true else {
            throw DDatabaseError(.storage, "The draft \(name) of the log \(key) builds on another draft")
        }
        guard let head else { return draft }
        guard head.length <= LogLimits.length, draft.sharedLength <= head.length else { throw damaged }
        let roots = try await repeatingLoads(of: draft) { [nodes, draft] () throws(ProofError) -> [TreeNode] in
            do throws(ProofError) {
                return try draft.source(over: nodes).nodes(at: FlatTree.fullRoots(length: head.length))
            } catch {
                if case .invalidOperation(.missingStoredNode) = error { return [] }
                throw error
            }
        }
        guard let draftTree = MerkleTree(fork: head.fork, length: head.length, roots: roots),
            head.length == 0 || draftTree.hash == head.treeHash
        else { throw head.fork == tree.fork ? damaged : LogEngine.cutDraft(name) }
        draft.tree = draftTree
        return draft
    }

    /// Calls `body` until no node of the draft or the log is left to load.
    func repeatingLoads<Result>(
        of draft: DraftState, _ body: () throws(ProofError) -> Result
    ) async throws(DDatabaseError) -> Result {
        while true {
            let missing: [UInt64]
            do throws(ProofError) {
                return try body()
            } catch {
                guard case .notLoaded(let indices) = error else {
                    if let failure = nodes.failure ?? draft.nodes.failure { throw DDatabaseError(storage: failure) }
                    throw DDatabaseError(.storage, "Tree nodes of a draft of the log \(key) are missing (\(error))")
                }
                missing = indices
            }
            do throws(PortError) {
                try await nodes.load(missing.filter { FlatTree.rightSpan($0) < 2 * draft.sharedLength })
                try await draft.nodes.load(missing.filter { FlatTree.rightSpan($0) >= 2 * draft.sharedLength })
            } catch {
                throw DDatabaseError(storage: error)
            }
        }
    }

    static func cutDraft(_ name: String) -> DDatabaseError {
        DDatabaseError(.snapshotNotAvailable, "The log was cut below the beginning of the draft \(name)")
    }

    static func noDraft(_ name: String) -> DDatabaseError {
        DDatabaseError(.notFound, "There is no draft called \(name)")
    }
}
