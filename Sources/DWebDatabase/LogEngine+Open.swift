import DWebLogCore
package import DWebPorts

extension LogEngine {
    /// Opens a log whose core and auth records exist.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` for damaged records.
    package static func open(
        _ source: Source, storage: any KeyValueStore, runtime: DWebRuntime, durability: Durability = .processCrash
    ) async throws(DDatabaseError) -> LogEngine {
        let state = try await LoadedLog.load(source, from: storage)
        if !state.lostNodes.isEmpty, !source.isReadOnly {
            let keys = DataKeys(dataPointer: source.record.dataPointer)
            var batch = WriteBatch()
            batch.put(state.lostNodes, keys)
            do throws(PortError) {
                try await storage.apply(batch, durability: durability)
            } catch {
                throw DDatabaseError(storage: error)
            }
        }
        return LogEngine(source: source, state: state, storage: storage, runtime: runtime, durability: durability)
    }
}
