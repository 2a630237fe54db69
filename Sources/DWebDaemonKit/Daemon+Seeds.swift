public import DWebBase
import DWebCrypto
import DWebDatabase
import DWebDrive
import DWebPorts
import DWebStore
import DWebTree

extension Daemon {
    /// Keeps logs, trees and drives whole and available.
    ///
    /// Returns once all of them are on the medium, in the list of what is seeded; finding and downloading go on
    /// afterwards. A target that is seeded already gets the new priority, note and kind.
    ///
    /// - Returns: How many were new.
    /// - Throws: ``DaemonError`` with code `limitReached`, `invalidArgument`, `readOnly` or `closed`. Nothing has
    ///   changed then.
    @discardableResult
    public func seed(_ targets: [SeedTarget]) async throws(DaemonError) -> Int {
        try checkRunning()
        for target in targets where target.note.utf8.count > DaemonConstants.noteByteCount {
            throw DaemonError(
                .invalidArgument, "The note of \(target.key) is longer than \(DaemonConstants.noteByteCount) bytes")
        }
        let limit = await state.limits.seedCount
        let now = runtime.wallClockMilliseconds()
        try await state.changeSeeds { (present) throws(DaemonError) in
            var changes: [PublicKey: SeedRecord?] = [:]
            for target in targets {
                var record =
                    present[target.key]
                    ?? SeedRecord(
                        kind: .automatic, priority: target.priority, addedMilliseconds: now,
                        lastActiveMilliseconds: now, isDirect: true, lists: [], note: "")
                record.isDirect = true
                record.priority = target.priority
                if target.kind != .automatic { record.kind = target.kind }
                if !target.note.isEmpty { record.note = target.note }
                changes[target.key] = record
            }
            let added = changes.keys.count { present[$0] == nil }
            guard present.count + added <= limit else {
                throw DaemonError(.limitReached, "\(limit) keys may be seeded, and \(present.count) are already")
            }
            return changes
        }
        return await takeOverSeeds(targets.map(\.key))
    }

    /// Stops to keep seeds.
    ///
    /// - Parameters:
    ///   - keys: The seeds; keys that are not seeded are ignored. One that a list names as well goes on.
    ///   - purge: Whether what is stored of them is deleted, which cannot be undone. Logs that are written here are
    ///     refused.
    /// - Returns: How many there were.
    /// - Throws: ``DaemonError`` with code `invalidArgument`, `storage`, `readOnly` or `closed`.
    @discardableResult
    public func unseed(_ keys: [PublicKey], purge: Bool = false) async throws(DaemonError) -> Int {
        try checkRunning()
        if purge {
            for key in keys where seeds[key]?.isOwn ?? false {
                throw DaemonError(
                    .invalidArgument, "\(key) is written here: purging it would lose it. Unseed it without --purge")
            }
        }
        let before = await state.seeds
        try await state.changeSeeds { present in
            var changes: [PublicKey: SeedRecord?] = [:]
            for key in keys {
                guard var record = present[key] else { continue }
                record.isDirect = false
                changes[key] = .some(record.lists.isEmpty ? nil : record)
            }
            return changes
        }
        await takeOverSeeds(keys)
        if purge {
            for key in keys where seeds[key] == nil && before[key] != nil { try await deleteContent(of: key) }
        }
        return Set(keys).count { before[$0]?.isDirect ?? false }
    }

    /// Makes what is done follow the records of some seeds; returns how many are new.
    @discardableResult
    func takeOverSeeds(_ keys: [PublicKey]) async -> Int {
        let records = await state.seeds
        var added = 0
        for key in Set(keys).sorted() {
            switch (records[key], seeds[key]) {
            case (let record?, nil):
                beginSeed(key, record)
                added += 1
            case (let record?, let seed?):
                // Another kind than was thought: begin again.
                if record.kind != .automatic, seed.kind != .automatic, record.kind != seed.kind {
                    await endSeed(key)
                    beginSeed(key, record)
                } else {
                    seeds[key]?.record = record
                }
            case (nil, _?): await endSeed(key)
            case (nil, nil): break
            }
            hub.send(.seedChanged(key))
        }
        replan()
        return added
    }

    /// Begins to seed.
    func beginSeed(_ key: PublicKey, _ record: SeedRecord) {
        guard seeds[key] == nil else { return }
        let seed = ActiveSeed(record: record, discoveryKey: key.discoveryKey)
        seeds[key] = seed
        seedTopics[seed.discoveryKey] = key
        start(.serve(key)) { [weak self] in await self?.serve(key) }
    }

    private func endSeed(_ key: PublicKey) async {
        // Gone first, so that nothing begins anew while its work is being stopped.
        guard let seed = seeds.removeValue(forKey: key) else { return }
        seedTopics[seed.discoveryKey] = nil
        await stop(.serve(key))
        await stop(.download(key))
        await stop(.clear(key))
        await seed.close()
        updateTopic(seed.discoveryKey)
    }

    private func deleteContent(of key: PublicKey) async throws(DaemonError) {
        do {
            let database = try await store.database(key: key, createIfMissing: false)
            let isDrive = (try? await kind(of: database)) == .drive
            await database.close()
            if isDrive {
                try await DDrive.open(in: store, key: key).purge()
            } else {
                try await store.purge(key.discoveryKey)
            }
        } catch let error as BasestoreError where error.code == .notFound {
            return
        } catch {
            throw DaemonError(.storage, "What is stored of \(key) cannot be deleted: \(error)")
        }
    }

    // MARK: Serving

    /// Opens a seed, finds out what it is and lets it be downloaded; tries again until it works.
    private func serve(_ key: PublicKey) async {
        var wait = DaemonConstants.retryInterval.first
        while !Task.isCancelled {
            do {
                try await open(key)
                seeds[key]?.problem = nil
                replan()
                hub.send(.seedChanged(key))
                return
            } catch {
                guard !Task.isCancelled else { return }
                note("\(error)", of: key)
                await pause(wait)
                wait = min(wait * 2, DaemonConstants.retryInterval.last)
            }
        }
    }

    func note(_ problem: String, of key: PublicKey) {
        seeds[key]?.problem = problem
        hub.send(.problem("The seed \(key.text.prefix(8)) has a problem: \(problem)"))
        hub.send(.seedChanged(key))
    }

    private func open(_ key: PublicKey) async throws {
        guard let seed = seeds[key] else { return }
        let database: DDatabase
        if let log = seed.logs.first {
            database = log.database
        } else {
            database = try await store.database(key: key)
            seeds[key]?.logs = [SeedLog(database)]
        }
        updateTopic(seed.discoveryKey)
        if seed.kind == .automatic {
            let kind = try await waitForKind(of: database)
            seeds[key]?.kind = kind
            // Remembered so that it is known offline; when it cannot be, it is found out again.
            try? await state.changeSeeds { present in
                guard var record = present[key], record.kind == .automatic else { return [:] }
                record.kind = kind
                return [key: record]
            }
        }
        if seeds[key]?.kind == .drive, seeds[key]?.drive == nil {
            let drive = try await DDrive.open(in: store, key: key)
            let content = try await waitForContent(of: drive)
            seeds[key]?.drive = drive
            seeds[key]?.logs.append(SeedLog(content))
        }
        seeds[key]?.isResolved = true
    }

    /// Waits for ever until a peer gives the first block.
    private func waitForKind(of database: DDatabase) async throws -> SeedKind {
        while true {
            let outcome: Result<SeedKind, DDatabaseError>
            do throws(DDatabaseError) {
                outcome = .success(try await kind(of: database, .wait(upTo: DaemonConstants.firstBlockWait)))
            } catch {
                outcome = .failure(error)
            }
            switch outcome {
            case .success(let kind): return kind
            case .failure(let error):
                guard DDatabaseError.Code.missing.contains(error.code) else { throw error }
                await pause(DaemonConstants.retryInterval.first)
                try Task.checkCancellation()
            }
        }
    }

    /// What a log is, by its first block.
    private func kind(
        of database: DDatabase, _ options: ReadOptions = .localOnly
    ) async throws(DDatabaseError) -> SeedKind {
        let block = try await database.block(at: 0, options)
        do throws(TreeFault) { return try TreeHeader(decoding: block).metadata == nil ? .tree : .drive } catch {
            return .log
        }
    }

    private func waitForContent(of drive: DDrive) async throws -> DDatabase {
        while true {
            do {
                return try await drive.contentDatabase(.wait(upTo: DaemonConstants.firstBlockWait)).session()
            } catch let error as DDriveError where [.noPeers, .notAvailable, .deadlineExceeded].contains(error.code) {
                await pause(DaemonConstants.retryInterval.first)
                try Task.checkCancellation()
            }
        }
    }

    // MARK: Downloading

    /// Downloads all logs of a seed, and what is appended to them, until it is stopped.
    func download(_ key: PublicKey) async {
        var wait = DaemonConstants.retryInterval.first
        while !Task.isCancelled, let seed = seeds[key] {
            let failure = await withTaskGroup(of: DDatabaseError?.self) { group in
                for log in seed.logs {
                    group.addTask(executorPreference: runtime.loop) {
                        do throws(DDatabaseError) { try await log.database.download(0...) } catch { return error }
                        return nil
                    }
                }
                var failure: DDatabaseError?
                for await outcome in group {
                    failure = failure ?? outcome
                    group.cancelAll()
                }
                return failure
            }
            guard !Task.isCancelled, let failure else { return }
            if failure.code == .storage { storeFailure = failure.detail }
            note(failure.detail, of: key)
            await pause(wait)
            wait = min(wait * 2, DaemonConstants.retryInterval.last)
            guard !Task.isCancelled else { return }
            seeds[key]?.problem = nil
        }
    }

    /// Deletes the content of a seed for which there is no room, all but the first block, by which it is known.
    func clear(_ key: PublicKey) async {
        await stop(.download(key))
        guard let seed = seeds[key], !seed.isAdmitted, !seed.isOwn else { return }
        for (index, log) in seed.logs.enumerated() {
            let start: UInt64 = index == 0 ? 1 : 0
            guard log.database.length > start else { continue }
            do throws(DDatabaseError) {
                try await log.database.clear(start..<log.database.length)
            } catch {
                note("Its content cannot be deleted: \(error.detail)", of: key)
                return
            }
        }
        for index in seeds[key]?.logs.indices ?? 0..<0 { seeds[key]?.logs[index].measure(0, now: runtime.loop.now) }
        updateTopic(seed.discoveryKey)
        hub.send(.seedChanged(key))
    }
}

extension DDatabaseError.Code {
    /// What a read fails with where the data may still come.
    static let missing: [DDatabaseError.Code] = [.noPeers, .blockNotAvailable, .deadlineExceeded, .outOfBounds]
}
