import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts

// Names, space and deletion of stored logs.

extension StoreEngine {
    /// The record of a stored log.
    func coreRecord(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) -> CoreRecord? {
        guard let bytes = try await read(StoreRecordKeys.core(discoveryKey)) else { return nil }
        return try decode(discoveryKey) { () throws(CodecError) in try CoreRecord(decoding: bytes) }
    }

    func setName(_ alias: LogAlias, of key: PublicKey) async throws(BasestoreError) {
        try await inTurn { engine async throws(BasestoreError) -> Void in
            guard var record = try await engine.coreRecord(key.discoveryKey) else {
                throw BasestoreError(.notFound, "The log \(key) is not in the store")
            }
            if let known = try await engine.read(StoreRecordKeys.alias(alias)), known != key.discoveryKey.bytes {
                throw BasestoreError(.conflict, "The name \(alias.name) belongs to another log")
            }
            var batch = WriteBatch()
            batch.put(StoreRecordKeys.alias(alias), key.discoveryKey.bytes)
            if record.alias == nil {
                record.alias = alias
                batch.put(StoreRecordKeys.core(key.discoveryKey), record.encoded)
            }
            try await engine.apply(batch)
        }
    }

    func removeName(_ alias: LogAlias) async throws(BasestoreError) {
        try await inTurn { engine async throws(BasestoreError) -> Void in
            guard let bytes = try await engine.read(StoreRecordKeys.alias(alias)) else { return }
            var batch = WriteBatch()
            batch.delete(StoreRecordKeys.alias(alias))
            if let discoveryKey = DiscoveryKey(bytes), var record = try await engine.coreRecord(discoveryKey),
                record.alias == alias
            {
                record.alias = nil
                batch.put(StoreRecordKeys.core(discoveryKey), record.encoded)
            }
            try await engine.apply(batch)
        }
    }

    func diskUse(of discoveryKey: DiscoveryKey) async throws(BasestoreError) -> Basestore.DiskUse {
        guard let log = try await log(stored: discoveryKey) else {
            throw BasestoreError(.notFound, "There is no log with the discovery key \(discoveryKey) in the store")
        }
        let blockByteCount: UInt64
        do throws(DDatabaseError) {
            blockByteCount = try await log.storedByteCount()
        } catch {
            throw BasestoreError(error)
        }
        do throws(PortError) {
            let everything = log.keys.everything
            return Basestore.DiskUse(
                blockByteCount: blockByteCount,
                fileByteCount: try await storage.approximateByteCount(from: everything.start, to: everything.end))
        } catch {
            throw BasestoreError(error)
        }
    }

    private func log(stored discoveryKey: DiscoveryKey) async throws(BasestoreError) -> LogEngine? {
        try await inTurn { engine async throws(BasestoreError) -> LogEngine? in
            try await engine.storedLog(discoveryKey)
        }
    }

    /// Deletes a log and everything that belongs to it; see ``Basestore/purge(_:)``.
    func purge(_ discoveryKey: DiscoveryKey) async throws(BasestoreError) {
        try await inTurn { engine async throws(BasestoreError) -> Void in
            await engine.logs[discoveryKey]?.close()
            engine.logs[discoveryKey] = nil
            guard let record = try await engine.coreRecord(discoveryKey) else { return }
            var batch = WriteBatch()
            if let alias = record.alias { batch.delete(StoreRecordKeys.alias(alias)) }
            for entry in try await engine.entries(StoreRecordKeys.aliases) where entry.value == discoveryKey.bytes {
                batch.delete(entry.key)
            }
            batch.delete(StoreRecordKeys.core(discoveryKey))
            let sessionsKey = StoreRecordKeys.sessions(core: record.corePointer)
            var contents = [DataKeys(dataPointer: record.dataPointer)]
            if let bytes = try await engine.read(sessionsKey), let drafts = try? SessionsRecord(decoding: bytes) {
                contents += drafts.sessions.map { DataKeys(dataPointer: $0.dataPointer) }
            }
            try await engine.putGroupRemoval(record, contents[0], into: &batch)
            batch.delete(StoreRecordKeys.auth(core: record.corePointer))
            batch.delete(sessionsKey)
            batch.delete(StoreRecordKeys.group(core: record.corePointer))
            for keys in contents { batch.deleteRange(keys.everything.start, keys.everything.end) }
            try await engine.apply(batch)
            do throws(PortError) {
                for keys in contents {
                    try await engine.storage.compact(from: keys.everything.start, to: keys.everything.end)
                }
            } catch {
                throw BasestoreError(error)
            }
        }
    }

    private func putGroupRemoval(
        _ record: CoreRecord, _ keys: DataKeys, into batch: inout WriteBatch
    ) async throws(BasestoreError) {
        guard let bytes = try await read(StoreRecordKeys.group(core: record.corePointer)),
            let group = try? GroupMembership(decoding: bytes)
        else { return }
        let head = try await read(keys.head).flatMap { try? HeadRecord(decoding: $0) }
        batch.delete(
            StoreRecordKeys.groupEntry(
                group: group.groupPointer, timestampMilliseconds: head?.timestampMilliseconds ?? 0,
                core: record.corePointer))
    }
}
