import DWebBase
import DWebLogCore
import DWebPorts

// What every change of a log's history has in common: the records of its new state, and taking that state over once
// they are stored.

extension LogEngine {
    /// What a batch will have made of the head record.
    struct HeadWrite {
        let signature: [UInt8]?
        let timestampMilliseconds: UInt64
    }

    /// Adds the head record for a new state, and moves the log to its new place in the order of its group.
    func putHead(_ tree: MerkleTree, _ signature: [UInt8]?, into batch: inout WriteBatch) -> HeadWrite {
        let timestamp = min(runtime.wallClockMilliseconds(), ByteReader.integerLimit)
        let record = HeadRecord(
            fork: tree.fork, length: tree.length, treeHash: tree.hash, signature: signature,
            timestampMilliseconds: timestamp)
        batch.put(keys.head, record.encoded)
        if let group { putGroupEntry(of: group, timestampMilliseconds: timestamp, into: &batch) }
        return HeadWrite(signature: signature, timestampMilliseconds: timestamp)
    }

    /// Moves the log to `timestampMilliseconds` in the order of a group.
    func putGroupEntry(of group: GroupMembership, timestampMilliseconds: UInt64, into batch: inout WriteBatch) {
        let old = headTimestamp ?? 0
        if old != timestampMilliseconds {
            batch.delete(
                StoreRecordKeys.groupEntry(
                    group: group.groupPointer, timestampMilliseconds: old, core: record.corePointer))
        }
        batch.put(
            StoreRecordKeys.groupEntry(
                group: group.groupPointer, timestampMilliseconds: timestampMilliseconds, core: record.corePointer),
            key.bytes)
    }

    /// Takes over what ``putHead(_:_:into:)`` wrote.
    func adopt(_ write: HeadWrite) {
        signature = write.signature
        headTimestamp = write.timestampMilliseconds
    }

    /// Adds the records of a prepared change; spec 40 section 14.
    func put(_ change: LogChange, signature: [UInt8]?, into batch: inout WriteBatch) -> HeadWrite? {
        for (name, value) in change.userData {
            if let value { batch.put(keys.userData(name), value) } else { batch.delete(keys.userData(name)) }
        }
        guard change.changesHistory else { return nil }
        let removed = change.removed
        if !removed.isEmpty {
            let truncation = TreeTruncation(from: change.oldLength, to: change.sharedLength)
            let blocks = keys.blocks(removed)
            batch.deleteRange(blocks.start, blocks.end)
            if !truncation.nodes.isEmpty {
                let nodes = keys.nodes(truncation.nodes)
                batch.deleteRange(nodes.start, nodes.end)
            }
            for index in truncation.crossingNodes { batch.delete(keys.node(index)) }
        }
        batch.put(change.sortedNodes, keys)
        let write = putHead(change.tree, signature, into: &batch)
        var page = change.sharedLength / AvailabilityMap.pageBitCount
        let touchedEnd = max(change.oldLength, change.tree.length)
        while page * AvailabilityMap.pageBitCount < touchedEnd {
            // Pages in the removed part that hold nothing need no record.
            if change.tree.length > page * AvailabilityMap.pageBitCount || present.state(ofPage: page) != .empty {
                batch.put(page: page, of: present, adding: change.added, removing: removed, keys)
            }
            page += 1
        }
        let newHints = hints(after: change)
        if newHints != hints { batch.put(keys.hints, newHints.encoded) }
        var index = change.sharedLength
        for block in change.blocks {
            batch.put(block: block, at: index, keys)
            index += 1
        }
        return write
    }

    private func hints(after change: LogChange) -> HintsRecord {
        var newHints = hints
        newHints.contiguousLength = min(hints.contiguousLength, change.sharedLength)
        if newHints.contiguousLength == change.sharedLength { newHints.contiguousLength = change.tree.length }
        return newHints
    }

    /// Takes over a change whose records are stored, and tells callers and peers.
    func adopt(_ change: LogChange, _ write: HeadWrite?) {
        guard let write else { return }
        let newHints = hints(after: change)
        if newHints != hints { writtenHints = newHints }
        hints = newHints
        tree = change.tree
        adopt(write)
        present.set(change.removed, present: false)
        present.set(change.added, present: true)
        if change.isTruncation {
            nodes.removeAll()
            published.noteTruncation(fork: tree.fork, length: change.sharedLength)
            events.send(.truncated(sharedLength: change.sharedLength, fork: tree.fork))
        }
        nodes.store(change.sortedNodes)
        publishHead()
        if change.isTruncation {
            replicationDidTruncate(to: LogHead(fork: tree.fork, length: change.sharedLength))
        }
        if !change.added.isEmpty { replicationDidAppend(change.added) }
        endGrowthWaits()
    }

    /// Ends the waits of those who wanted the log to grow or change.
    func endGrowthWaits() {
        let (length, fork) = (tree.length, tree.fork)
        waits.endAll(.fulfilled) { WaitList.isGrown($0, length: length, fork: fork) }
    }
}
