package import DWebBase
import DWebCrypto
package import DWebLogCore
import DWebPorts
import Synchronization

/// One open log: its state, its storage and its replication with peers. All sessions of a log share one.
///
/// Changes happen one at a time and become visible once they are stored: every operation builds one write batch (spec
/// 40 section 14) from a copy of the state, applies it, and then replaces the state.
package actor LogEngine {
    /// The log's key.
    package nonisolated let key: PublicKey
    /// The log's public name.
    package nonisolated let discoveryKey: DiscoveryKey
    /// What any thread may read without waiting.
    package nonisolated let published = PublishedState()
    /// What happens to the log, for those who listen.
    nonisolated let events = Broadcast<DDatabase.Event>()
    /// Messages of applications, for those who listen.
    nonisolated let extensions = ExtensionHub()
    nonisolated let runtime: DWebRuntime
    nonisolated let loop: any RuntimeLoop
    nonisolated let storage: any KeyValueStore
    nonisolated let durability: Durability
    private nonisolated let life: Mutex<Life>
    private let onIdle: (@Sendable (LogEngine) -> Void)?
    let onUnfreeze: (@Sendable (LogEngine) -> Void)?
    let pointers: PointerSource?
    /// Whether the store was opened read-only: the log serves peers, but takes nothing from them.
    nonisolated let isReadOnly: Bool

    nonisolated let record: CoreRecord
    /// Where the log's content is stored.
    package nonisolated let keys: DataKeys
    var auth: AuthRecord
    var manifest: Manifest?
    var signer: KeyPair?
    var tree: MerkleTree
    var signature: [UInt8]?
    /// When the head was written; nil in logs of old stores.
    var headTimestamp: UInt64?
    /// The group that the log belongs to.
    var group: GroupMembership?
    /// The drafts that were opened, by their names.
    var drafts: [String: DraftState] = [:]
    /// Signs the log in place of a key pair.
    var externalSigner: (any LogSigner)?
    var present: AvailabilityMap
    var hints: HintsRecord
    /// The hints as stored; they may lag behind.
    var writtenHints: HintsRecord
    let nodes: StoredNodes
    /// What was read ahead for readers here.
    var reading = ReadingWindow()
    var mutations = MutationQueue()
    var pendingAppends: [PendingAppend] = []
    var waits = WaitList()
    var statistics = DDatabase.Statistics()
    /// Why the log refuses changes; set by a failed write.
    var failure: DDatabaseError?
    /// Set once the log's key is known to have signed two histories: the log is read, but neither changed nor exchanged.
    var conflict: DDatabaseError?
    /// Whether ``conflict`` is to be written down, so that it outlives this run.
    var hasUnwrittenConflict = false
    /// The head of a log whose roots are lost, until a peer gives them back.
    var damagedHead: HeadRecord?
    var replication: LogReplication
    /// Whether a networker searches for peers, and how many others do.
    var isNetworkSearching = false
    var findingCount = 0
    /// Proofs of truncations that are not complete or not applied yet, by fork.
    var reorganisations: [UInt64: ReorgSearch] = [:]

    private struct Life {
        var sessionCount = 0
        var linkCount = 0
        var isClosed = false
        var nextSession: UInt64 = 0
    }

    /// What a log is opened from.
    package struct Source: Sendable {
        /// Where its records are.
        package var record: CoreRecord
        /// Its keys.
        package var auth: AuthRecord
        /// The values of ``LogEngine/firstKeys(of:)``, if they were read already.
        package var firstRecords: [[UInt8]?]?
        /// Called on the loop, possibly more than once, when the last session and the last peer are gone.
        package var onIdle: (@Sendable (LogEngine) -> Void)?
        /// Where pointers come from.
        package var pointers: PointerSource?
        /// Whether nothing may be written.
        package var isReadOnly = false
        /// Called on the loop when a log that peers were refused is to be offered to them again.
        package var onUnfreeze: (@Sendable (LogEngine) -> Void)?

        /// A log by its records.
        package init(
            record: CoreRecord, auth: AuthRecord, onIdle: (@Sendable (LogEngine) -> Void)? = nil,
            pointers: PointerSource? = nil
        ) {
            self.record = record
            self.auth = auth
            self.onIdle = onIdle
            self.pointers = pointers
        }
    }

    init(
        source: Source, state: LoadedLog, storage: any KeyValueStore, runtime: DWebRuntime, durability: Durability
    ) {
        key = PublicKey(source.auth.key)
        discoveryKey = DiscoveryKey(source.auth.discoveryKey)
        self.runtime = runtime
        loop = runtime.loop
        self.storage = storage
        self.durability = durability
        life = Mutex(Life())
        onIdle = source.onIdle
        pointers = source.pointers
        isReadOnly = source.isReadOnly
        onUnfreeze = source.onUnfreeze
        record = source.record
        keys = DataKeys(dataPointer: source.record.dataPointer)
        auth = source.auth
        manifest = state.manifest
        signer = state.signer
        tree = state.tree
        signature = state.signature
        headTimestamp = state.headTimestamp
        conflict = state.isFrozen ? LogEngine.conflictError(PublicKey(source.auth.key)) : nil
        damagedHead = state.damagedHead
        group = state.group
        present = state.present
        hints = state.hints
        writtenHints = state.hints
        let nodes = StoredNodes(storage: storage, keys: DataKeys(dataPointer: source.record.dataPointer))
        self.nodes = nodes
        replication = LogReplication(
            state: state, key: key, nodes: nodes, seed: runtime.entropy.seed(), now: runtime.loop.now)
        var head = DDatabase.Head()
        head.length = state.tree.length
        head.byteLength = state.tree.byteLength
        head.fork = state.tree.fork
        head.contiguousLength = state.hints.contiguousLength
        published.setHead(head)
        let isUnfinished = state.manifest?.prologue.map { state.tree.length < $0.length } ?? false
        published.setWritable(
            !source.isReadOnly && (isUnfinished || LogEngine.canSign(state.signer?.publicKey, state.manifest)))
        published.setCompatible(state.manifest?.isCompatible(with: key))
        published.setFrozen(state.isFrozen)
        published.setRemoteContiguousLength(state.hints.remoteContiguousLength)
        published.setDamaged(state.damagedHead != nil)
        published.setRecovering(state.hints.recoveringMilliseconds != 0)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    // MARK: Lifetime

    /// Whether the log was closed.
    package nonisolated var isClosed: Bool { life.withLock { $0.isClosed } }
    /// Whether neither a session nor a peer uses the log.
    package nonisolated var isIdle: Bool { life.withLock { $0.sessionCount == 0 && $0.linkCount == 0 } }
    /// Whether a session uses the log.
    package nonisolated var hasSessions: Bool { life.withLock { $0.sessionCount > 0 } }

    /// Counts a session, unless it is weak, and names it.
    nonisolated func retainSession(isWeak: Bool) -> SessionID {
        let (isFirst, number) = life.withLock { life in
            if !isWeak { life.sessionCount += 1 }
            life.nextSession += 1
            return (!isWeak && life.sessionCount == 1, life.nextSession - 1)
        }
        if isFirst { noteUse() }
        return SessionID(number: number)
    }

    /// Uncounts a session and ends its waiting calls; the last one makes the log idle if there is no peer.
    nonisolated func releaseSession(_ session: SessionID, isWeak: Bool) {
        events.finish(session)
        extensions.finish(session)
        // A closed log has no waiting calls, and its loop may be gone.
        guard !isClosed else { return }
        loop.execute { [self] in assumeIsolated { $0.endWaits(of: session) } }
        if isWeak { return }
        let isLast = life.withLock { life in
            life.sessionCount -= 1
            return life.sessionCount == 0
        }
        if isLast { noteUse() }
    }

    /// Counts a peer, or the end of one.
    func countLink(_ change: Int) {
        let isLast = life.withLock { life in
            life.linkCount += change
            return life.linkCount == 0
        }
        if isLast { noteUse() }
    }

    /// Tells peers and the store, on the loop, that the log is used or not used any more.
    private nonisolated func noteUse() {
        loop.execute { [self] in
            assumeIsolated { engine in
                engine.updateActivity()
                if engine.isIdle, !engine.isClosed { engine.onIdle?(engine) }
            }
        }
    }

    /// Closes the log at once if nobody uses it and nothing is being written; false if that is not so.
    package func closeIfIdle() -> Bool {
        guard isIdle, mutations.tryEnter() else { return isClosed }
        shutDown()
        mutations.leave()
        return true
    }

    /// Closes the log: everybody who waits gets an error, peers lose their channel. Callable more than once.
    package func close() async {
        shutDown()
        // Whoever is inside a mutation finishes it; the storage must not go away below it.
        await enterMutation()
        if failure == nil, hints != writtenHints, !isReadOnly {
            var batch = WriteBatch()
            batch.put(keys.hints, hints.encoded)
            // Only a hint: what is not written is found again when the log is opened.
            do throws(DDatabaseError) { try await apply(batch) } catch {}
            writtenHints = hints
        }
        mutations.leave()
    }

    private func shutDown() {
        let wasClosed = life.withLock { life in
            defer { life.isClosed = true }
            return life.isClosed
        }
        guard !wasClosed else { return }
        waits.endEverything(.failed(LogEngine.closedError))
        closeReplication()
        events.finish()
        extensions.finish()
    }

    static let closedError = DDatabaseError(.closed, "The log was closed")

    /// Refuses if the log was closed or its storage failed.
    func checkAlive() throws(DDatabaseError) {
        if isClosed { throw LogEngine.closedError }
        if let failure { throw failure }
    }

    /// Refuses changes that a log with two histories, or with a damaged tree, cannot take.
    func checkChangeable() throws(DDatabaseError) {
        try checkAlive()
        if let conflict { throw conflict }
        try checkTree()
    }

    /// Refuses what needs the tree if its roots are lost.
    func checkTree() throws(DDatabaseError) {
        if damagedHead != nil {
            throw DDatabaseError(.storage, "The tree of the log \(key) is damaged; a peer may restore it")
        }
    }

    /// Reports a refusal of the storage; a refused write makes the log refuse all further changes.
    func poison(_ error: PortError) -> DDatabaseError {
        let failure = DDatabaseError(storage: error)
        self.failure = failure
        waits.endEverything(.failed(failure))
        return failure
    }

    /// The signed state.
    package var signedTree: SignedTree { SignedTree(tree: tree, signature: signature) }

    // MARK: Mutations

    /// Waits for the turn to change the log. Not ended by cancellation: a change in the queue is cheap to finish.
    func enterMutation() async {
        if mutations.tryEnter() { return }
        await withCheckedContinuation { mutations.enqueue($0) }
    }

    /// Makes the state visible to sessions.
    func publishHead() {
        let oldLength = published.head.length
        var head = DDatabase.Head()
        head.length = tree.length
        head.byteLength = tree.byteLength
        head.fork = tree.fork
        head.contiguousLength = hints.contiguousLength
        published.setHead(head)
        if manifest?.prologue != nil { published.setWritable(isAppendable()) }
        if head.length > oldLength, !events.isIdle { events.send(.appended(length: head.length)) }
    }

    /// The numbers of the bitfield pages that `range` touches.
    static func pages(of range: Range<UInt64>) -> ClosedRange<UInt64> {
        range.lowerBound / AvailabilityMap.pageBitCount...(range.upperBound - 1) / AvailabilityMap.pageBitCount
    }
}
