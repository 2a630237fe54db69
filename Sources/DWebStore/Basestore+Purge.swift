public import DWebBase

extension Basestore {
    /// Closes a log, whoever uses it, deletes everything that is stored of it, drafts and names included, and gives
    /// its space back. Peers keep what they have.
    ///
    /// A log that was written here must never be written again under the same name or key: its readers know a history
    /// that is lost here.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    public func purge(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) {
        try await engine.purge(discoveryKey)
    }
}
