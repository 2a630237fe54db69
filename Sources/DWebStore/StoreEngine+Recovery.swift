import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts

extension StoreEngine {
    // Logs whose hints share one write.
    private static let markedLogCount = 1_024

    /// Writes down, for every log, that its newest writes may be lost: its writer then waits for peers before it goes
    /// on; spec 40 section 12.
    func markLogsAsRecovering() async throws(BasestoreError) {
        let time = min(runtime.wallClockMilliseconds(), ByteReader.integerLimit)
        var batch = WriteBatch()
        for entry in try await entries(StoreRecordKeys.cores) {
            guard let discoveryKey = StoreRecordKeys.discoveryKey(ofCoreKey: entry.key) else { continue }
            let record = try decode(discoveryKey) { () throws(CodecError) in try CoreRecord(decoding: entry.value) }
            let key = DataKeys(dataPointer: record.dataPointer).hints
            let bytes = try await read(key)
            var hints = try decode(discoveryKey) { () throws(CodecError) in
                if let bytes { try HintsRecord(decoding: bytes) } else { HintsRecord() }
            }
            if hints.recoveringMilliseconds != 0 { continue }
            hints.recoveringMilliseconds = time
            batch.put(key, hints.encoded)
            if batch.count >= StoreEngine.markedLogCount { try await write(&batch) }
        }
        if !batch.isEmpty { try await write(&batch) }
        do throws(PortError) { try await storage.acknowledgeLoss() } catch { throw BasestoreError(error) }
    }

    private func write(_ batch: inout WriteBatch) async throws(BasestoreError) {
        let written = batch
        batch = WriteBatch()
        // On the medium before the mark of the loss is gone.
        do throws(PortError) {
            try await storage.apply(written, durability: .powerFailure)
        } catch {
            throw BasestoreError(error)
        }
    }
}
