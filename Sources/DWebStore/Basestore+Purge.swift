package import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts

extension Basestore {
    /// Closes a log, whoever uses it, and deletes everything that is stored of it. Peers keep what they have.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    package func purge(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) {
        try await engine.purge(discoveryKey)
    }
}

extension StoreEngine {
    func purge(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) {
        try await inTurn { engine async throws(BasestoreError) -> Void in
            await engine.logs[discoveryKey]?.close()
            engine.logs[discoveryKey] = nil
            do throws(PortError) {
                guard let bytes = try await engine.storage.read([StoreRecordKeys.core(discoveryKey)])[0],
                    let record = try? CoreRecord(decoding: bytes)
                else { return }
                var batch = WriteBatch()
                if let alias = record.alias { batch.delete(StoreRecordKeys.alias(alias)) }
                batch.delete(StoreRecordKeys.core(discoveryKey))
                batch.delete(StoreRecordKeys.auth(core: record.corePointer))
                batch.delete(StoreRecordKeys.sessions(core: record.corePointer))
                let everything = DataKeys(dataPointer: record.dataPointer).everything
                batch.deleteRange(everything.start, everything.end)
                try await engine.storage.apply(batch, durability: engine.options.durability)
                try await engine.storage.compact(from: everything.start, to: everything.end)
            } catch {
                throw BasestoreError(error)
            }
        }
    }
}
