import DWebLogCore
import DWebPorts

extension DDatabase {
    // MARK: Searching for peers

    /// Says that peers of the log are being searched for until `body` ends.
    ///
    /// Meanwhile ``update(upTo:)`` waits for the first peer; afterwards it returns at once if there is none. A networker
    /// says so by itself. This is for programs that bring their own connections.
    ///
    /// - Throws: What `body` throws.
    public nonisolated(nonsending) func findingPeers<Result, Failure: Error>(
        while body: () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        await engine.changeFindingCount(by: 1)
        do throws(Failure) {
            let result = try await body()
            await engine.changeFindingCount(by: -1)
            return result
        } catch {
            await engine.changeFindingCount(by: -1)
            throw error
        }
    }
}

extension LogEngine {
    fileprivate func changeFindingCount(by change: Int) {
        findingCount += change
        noteFinding()
    }

    /// Tells the machine that the log is searched for on the network, so that updates wait for the first peer.
    package func setFindingPeers(_ isFinding: Bool) {
        isNetworkSearching = isFinding
        noteFinding()
    }

    private func noteFinding() {
        replication.machine.setFindingPeers(isNetworkSearching || findingCount > 0, now: loop.now)
        drainOutputs()
    }
}
