public import DWebBase
import DWebLogCore
import DWebPorts

extension DDatabase {
    // MARK: Groups

    /// The topic of the group that the log belongs to, if any; see `Basestore.logs(inGroup:)`.
    ///
    /// - Throws: ``DDatabaseError`` with code `closed`.
    public func group() async throws(DDatabaseError) -> Bytes32? {
        try checkOpen()
        return await engine.group?.topic
    }

    /// Puts the log into the group with this topic, out of any other one; nil takes it out. Groups are local.
    ///
    /// - Throws: ``DDatabaseError`` with code `storage` or `closed`.
    public func setGroup(_ topic: Bytes32?) async throws(DDatabaseError) {
        try checkOpen()
        try await engine.setGroup(topic)
    }
}

extension LogEngine {
    fileprivate func setGroup(_ topic: Bytes32?) async throws(DDatabaseError) {
        try checkAlive()
        // Given out before the log's turn is taken: the store may be waiting for the log.
        var membership: GroupMembership?
        if let topic {
            guard let pointers else { throw DDatabaseError(.closed, "The store is closed") }
            membership = GroupMembership(topic: topic, groupPointer: try await pointers.group(topic))
        }
        await enterMutation()
        defer { mutations.leave() }
        try checkAlive()
        guard membership != group else { return }
        var batch = WriteBatch()
        let timestamp = headTimestamp ?? 0
        if let group {
            batch.delete(
                StoreRecordKeys.groupEntry(
                    group: group.groupPointer, timestampMilliseconds: timestamp, core: record.corePointer))
        }
        let key = StoreRecordKeys.group(core: record.corePointer)
        if let membership {
            batch.put(key, membership.encoded)
            batch.put(
                StoreRecordKeys.groupEntry(
                    group: membership.groupPointer, timestampMilliseconds: timestamp, core: record.corePointer),
                self.key.bytes)
        } else {
            batch.delete(key)
        }
        try await apply(batch)
        group = membership
    }
}
