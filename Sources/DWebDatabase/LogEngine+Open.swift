package import DWebLogCore
package import DWebPorts

extension LogEngine {
    /// The keys of what is read first of a log, beside its core and auth records.
    package static func firstKeys(of record: CoreRecord) -> [[UInt8]] {
        let keys = DataKeys(dataPointer: record.dataPointer)
        return [keys.head, keys.hints, StoreRecordKeys.group(core: record.corePointer), keys.local(freezeKey)]
    }

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
