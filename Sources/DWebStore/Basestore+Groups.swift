public import DWebBase
import DWebDatabase
import DWebLogCore
import DWebPorts

extension Basestore {
    /// A log of a group.
    public struct GroupMember: Sendable, Hashable {
        /// The log.
        public let key: PublicKey
        /// When the log last changed here, in milliseconds since 1970; 0 where that is not known.
        public let changedMilliseconds: UInt64
    }

    /// The logs of the group with this topic, those that changed last first; see `DDatabase.setGroup(_:)`.
    ///
    /// - Throws: ``BasestoreError`` with code `closed`, `storage` or `cancelled`.
    public func logs(inGroup topic: Bytes32, limit: Int = .max) async throws(BasestoreError) -> [GroupMember] {
        try await engine.logs(inGroup: topic, limit: limit)
    }
}

extension StoreEngine {
    func logs(inGroup topic: Bytes32, limit: Int) async throws(BasestoreError) -> [Basestore.GroupMember] {
        try checkOpen()
        guard let pointer = try await storedGroupPointer(topic) else { return [] }
        let span = StoreRecordKeys.groupEntries(pointer)
        let entries: [KeyValueEntry]
        do throws(PortError) {
            entries = try await storage.entries(from: span.start, to: span.end, limit: limit, isReversed: true)
        } catch {
            throw BasestoreError(error)
        }
        return entries.compactMap { entry in
            guard case .groupEntry(_, let timestamp, _)? = try? RecordKind(key: entry.key),
                let key = PublicKey(entry.value)
            else { return nil }
            return Basestore.GroupMember(key: key, changedMilliseconds: timestamp)
        }
    }
}
