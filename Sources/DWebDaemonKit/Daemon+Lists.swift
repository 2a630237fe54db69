public import DWebBase
import DWebDatabase
import DWebPorts
import DWebStore
import DWebTree

extension Daemon {
    /// Follows a live list: a tree whose keys are the keys of what is to be seeded. Whatever its author adds is seeded
    /// here, and what is removed is no longer, unless it was asked for otherwise. The limits apply to all of it.
    ///
    /// The list itself is seeded as well. Returns once it is remembered.
    ///
    /// - Parameters:
    ///   - key: The tree's key.
    ///   - priority: The priority of entries that name none.
    /// - Throws: ``DaemonError`` with code `limitReached`, `readOnly` or `closed`.
    public func follow(_ key: PublicKey, priority: UInt8 = SeedTarget.defaultPriority) async throws(DaemonError) {
        try checkRunning()
        let now = runtime.wallClockMilliseconds()
        try await state.setList(key, ListRecord(priority: priority, addedMilliseconds: now)) { present in
            var record =
                present[key]
                ?? SeedRecord(
                    kind: .tree, priority: priority, addedMilliseconds: now, lastActiveMilliseconds: now,
                    isDirect: false, lists: [], note: "")
            record.kind = .tree
            if !record.lists.contains(key) { record.lists.append(key) }
            return [key: record]
        }
        await takeOverSeeds([key])
        beginList(key)
    }

    /// Stops to follow a list, and to seed what only it named.
    ///
    /// - Returns: Whether it was followed.
    /// - Throws: ``DaemonError`` with code `readOnly` or `closed`.
    @discardableResult
    public func unfollow(_ key: PublicKey) async throws(DaemonError) -> Bool {
        try checkRunning()
        guard await state.lists[key] != nil else { return false }
        await stop(.follow(key))
        let before = Set(await state.seeds.keys)
        try await state.setList(key, nil) { present in
            present.filter { $0.value.lists.contains(key) }.mapValues { $0.without(list: key) }
        }
        await takeOverSeeds(Array(before))
        return true
    }

    /// The lists that are followed.
    public var lists: [PublicKey] { get async { await state.lists.keys.sorted() } }

    /// Begins to follow a remembered list.
    func beginList(_ key: PublicKey) { start(.follow(key)) { [weak self] in await self?.followList(key) } }

    private func followList(_ key: PublicKey) async {
        var wait = DaemonConstants.retryInterval.first
        while !Task.isCancelled {
            do {
                let database = try await store.database(key: key)
                let tree = DTree(database, runtime: runtime)
                // Once for what is known, then whenever something changes.
                if database.length > 0 { try await takeOver(tree, of: key) }
                for try await change in tree.changes(.wait(upTo: DaemonConstants.firstBlockWait)) {
                    try await takeOver(change.current, of: key)
                    wait = DaemonConstants.retryInterval.first
                }
            } catch {
                guard !Task.isCancelled else { return }
                hub.send(.problem("The list \(key.text.prefix(8)) cannot be followed: \(error)"))
            }
            await pause(wait)
            wait = min(wait * 2, DaemonConstants.retryInterval.last)
        }
    }

    /// Makes the seeds that a list names those of one version of it.
    private func takeOver(_ tree: DTree, of list: PublicKey) async throws {
        let priority = await state.lists[list]?.priority ?? SeedTarget.defaultPriority
        let limit = await state.limits.seedCount
        var targets: [PublicKey: SeedTarget] = [:]
        for try await entry in tree.entries() {
            guard let target = LiveList.target(entry, defaultPriority: priority) else { continue }
            targets[target.key] = target
            // A list of a stranger may be endless; what is beyond the limit could not be seeded anyway.
            if targets.count >= limit { break }
        }
        let named = targets
        let now = runtime.wallClockMilliseconds()
        try await state.changeSeeds { present in
            var changes: [PublicKey: SeedRecord?] = [:]
            var room = max(0, limit - present.count)
            for key in named.keys.sorted() {
                guard let target = named[key] else { continue }
                guard var record = present[key] else {
                    guard room > 0 else { continue }
                    room -= 1
                    changes[key] = SeedRecord(
                        kind: target.kind, priority: target.priority, addedMilliseconds: now,
                        lastActiveMilliseconds: now, isDirect: false, lists: [list], note: target.note)
                    continue
                }
                if !record.lists.contains(list) { record.lists.append(list) }
                // What somebody asked for here is not changed by a list from elsewhere.
                if !record.isDirect {
                    record.priority = target.priority
                    record.note = target.note
                }
                changes[key] = record
            }
            for (key, record) in present
            where key != list && record.lists.contains(list) && named[key] == nil {
                changes[key] = .some(record.without(list: list))
            }
            return changes
        }
        await takeOverSeeds(Array(Set(await state.seeds.keys).union(seeds.keys)))
    }
}

extension SeedRecord {
    /// The record once a list no longer names the seed; nil if nobody does any more.
    func without(list: PublicKey) -> SeedRecord? {
        var record = self
        record.lists.removeAll { $0 == list }
        return record.isDirect || !record.lists.isEmpty ? record : nil
    }
}
