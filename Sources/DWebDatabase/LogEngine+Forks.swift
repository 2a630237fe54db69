import DWebBase
import DWebLogCore
import DWebPorts

extension LogEngine {
    /// Takes part of a proof that the log's writer truncated it; nothing changes before it is applied.
    func collectReorganisation(_ data: DataMessage, fork: UInt64) async -> VerificationOutcome {
        var loadCount = 0
        while true {
            do throws(ProofError) {
                if var search = reorganisations[fork], search.isApplicable(to: tree) {
                    if try search.handle(data, source: nodes) { reorganisations[fork] = search }
                } else {
                    reorganisations[fork] = try ReorgSearch(
                        data, against: tree, verifier: ProofVerifier(key: key, signatureVerifier: verifier),
                        source: nodes)
                }
                guard let wanted = reorganisations[fork]?.wanted else { return .reorganisationReady }
                return .searching(window: wanted.blocks, levelCount: wanted.levels)
            } catch {
                guard case .notLoaded(let indices) = error else { return LogEngine.outcome(of: error) }
                loadCount += 1
                guard loadCount <= 64, await loadNodes(indices) else { return .storageFailed }
            }
        }
    }

    /// Replaces the history by the one collected for `fork`.
    func applyReorganisation(fork: UInt64) async {
        await enterMutation()
        defer { mutations.leave() }
        guard let search = reorganisations.removeValue(forKey: fork), search.isFinished,
            search.isApplicable(to: tree), failure == nil, !isClosed
        else {
            replication.machine.reorganisationFailed(fork: fork, now: loop.now)
            return
        }
        do throws(DDatabaseError) {
            try await replaceHistory(
                with: search.signed.tree, signature: search.signed.signature, sharedLength: search.ancestors,
                newNodes: search.nodes, newManifest: search.manifest)
        } catch {
            replication.machine.reorganisationFailed(fork: fork, now: loop.now)
            return
        }
        if search.manifest != nil {
            replication.machine.localManifest(
                isKnown: manifest != nil, isOffered: manifest.map { !$0.isCompatible(with: key) } ?? false,
                now: loop.now)
        }
        replication.machine.reorganised(
            to: LogHead(fork: tree.fork, length: tree.length), ancestors: search.ancestors, now: loop.now)
    }

    /// Forgets what was collected for `fork`.
    func discardReorganisation(fork: UInt64) { reorganisations[fork] = nil }

    /// Compares a peer's signed history with the log's own.
    func compareHistory(_ data: DataMessage) async -> VerificationOutcome {
        var loadCount = 0
        while true {
            do throws(ProofError) {
                // The proof goes on to the peer's whole log; what is compared is the part that was asked for.
                let theirs = try ProofVerifier(key: key, signatureVerifier: verifier).verifyStandalone(data)
                guard let upgrade = data.upgrade, data.block == nil, data.hash == nil, data.seek == nil,
                    theirs.signed.tree.fork == tree.fork, upgrade.length <= tree.length
                else { return .stale }
                let ours = try tree.truncated(to: upgrade.length, fork: tree.fork, source: nodes)
                return ours.roots.map(\.hash) == upgrade.nodes.map(\.hash) ? .sameHistory : .conflict
            } catch {
                // Where our own tree has a gap there is nothing to compare with, and nobody to blame.
                if case .invalidOperation(.missingStoredNode) = error { return .stale }
                guard case .notLoaded(let indices) = error else { return LogEngine.outcome(of: error) }
                loadCount += 1
                guard loadCount <= 64, await loadNodes(indices) else { return .storageFailed }
            }
        }
    }
}
