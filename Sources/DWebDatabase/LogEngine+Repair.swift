import DWebBase
import DWebLogCore
import DWebPorts

extension DDatabase {
    // MARK: Conflicts and damage

    /// Whether the log's key is known to have signed two different histories, because it was in use in two places.
    ///
    /// Such a log can be read, but it neither grows nor replicates, also after a restart; see ``unfreeze()``.
    public nonisolated var isFrozen: Bool { engine.published.isFrozen }

    /// Whether the roots of the log's tree were lost. What is stored can be read; everything else waits until a peer
    /// with the same log gives them back.
    public nonisolated var isDamaged: Bool { engine.published.isDamaged }

    /// Lets a log replicate and grow again that a conflict froze.
    ///
    /// The writer first truncates the log, which it may while it is frozen: the new fork overrules both histories. With
    /// the two histories still there the log soon freezes again.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func unfreeze() async throws(DDatabaseError) {
        try checkOpen()
        try await engine.unfreeze()
    }
}

extension LogEngine {
    /// The local record that says that the log is frozen; the network's schema has no place for it.
    static let freezeKey = Array("dweb/conflict".utf8)

    static func conflictError(_ key: PublicKey) -> DDatabaseError {
        DDatabaseError(.conflict, "The key of the log \(key) signed two different histories")
    }

    /// Writes down that the log is frozen.
    func writeConflict() async {
        hasUnwrittenConflict = false
        await enterMutation()
        defer { mutations.leave() }
        guard failure == nil, !isClosed, !isReadOnly else { return }
        var batch = WriteBatch()
        batch.put(keys.local(LogEngine.freezeKey), [1])
        // A refusal poisons the log, which then is not exchanged either.
        do throws(DDatabaseError) { try await apply(batch) } catch {}
    }

    fileprivate func unfreeze() async throws(DDatabaseError) {
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        guard conflict != nil else { return }
        var batch = WriteBatch()
        batch.delete(keys.local(LogEngine.freezeKey))
        try await apply(batch)
        conflict = nil
        published.setFrozen(false)
        replication.machine.unfreeze(now: loop.now)
        onUnfreeze?(self)
    }

    /// Takes the lost roots from a peer's proof, if it has the hash that our own head states.
    func repair(with data: DataMessage, _ token: VerificationToken) async {
        await enterMutation()
        let outcome = await takeRoots(from: data)
        mutations.leave()
        replication.machine.verified(token, outcome, now: loop.now)
        guard case .sameHistory = outcome else { return }
        replication.machine.repaired(
            knowsManifest: manifest != nil, offersManifest: manifest.map { !$0.isCompatible(with: key) } ?? false,
            now: loop.now)
    }

    private func takeRoots(from data: DataMessage) async -> VerificationOutcome {
        guard let head = damagedHead, !isClosed, failure == nil, let upgrade = data.upgrade else { return .stale }
        let proof: ProofVerifier.StandaloneResult
        do throws(ProofError) {
            proof = try ProofVerifier(key: key, signatureVerifier: verifier).verifyStandalone(data)
        } catch {
            return LogEngine.outcome(of: error)
        }
        guard upgrade.length == head.length,
            let restored = MerkleTree(fork: head.fork, length: head.length, roots: upgrade.nodes),
            restored.hash == head.treeHash,
            let rules = verifier ?? proof.manifest.map({ SignatureVerifier(key: key, manifest: $0) }),
            rules.isValid(SignedTree(tree: restored, signature: signature))
        else { return .stale }
        var batch = WriteBatch()
        batch.put(upgrade.nodes, keys)
        let newAuth = stageManifest(proof.manifest, into: &batch)
        do throws(DDatabaseError) { try await apply(batch) } catch { return .storageFailed }
        tree = restored
        damagedHead = nil
        if let newAuth, let manifest = proof.manifest { adoptManifest(manifest, newAuth) }
        nodes.removeAll()
        nodes.store(upgrade.nodes)
        published.setDamaged(false)
        publishHead()
        return .sameHistory
    }
}
