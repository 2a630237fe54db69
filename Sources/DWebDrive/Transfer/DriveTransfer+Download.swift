import DWebDatabase

extension DriveTransfer {
    /// Downloads files; see ``DDrive/download(_:stallTimeout:)``.
    func download(_ path: String, stallTimeout: Duration?) async throws(DDriveError) {
        enter(.listing)
        let options = ReadOptions.wait(upTo: stallTimeout ?? .seconds(86_400 * 365))
        let log = try await drive.engine.content(options)
        var missing = BlockRanges(limit: .max)
        var total: UInt64 = 0
        let drive = try await drive.settled(options)
        summary.version = drive.version
        var iterator = drive.targets(path, options).makeAsyncIterator()
        while let entry = try await iterator.next() {
            current.path = entry.path
            guard let blob = entry.blob, blob.blockLength > 0 else {
                countFile()
                continue
            }
            total += blob.byteLength
            current.totalFileCount = (current.totalFileCount ?? current.fileCount) + 1
            if try await drive.isStored(entry) {
                summary.equalCount += 1
                count(bytes: blob.byteLength)
                countFile()
                continue
            }
            missing.add(blob.blocks)
            if blob.isMapped {
                for piece in try await BlobReader.map(blob, path: entry.path, log: log, options).pieces {
                    missing.add(piece.block..<piece.block + 1)
                }
            }
        }
        current.totalByteCount = total
        enter(.transferring)
        try await fetch(missing.merged, log, stallTimeout)
        summary.addedCount = (current.totalFileCount ?? 0) - summary.equalCount
        current.fileCount = current.totalFileCount ?? current.fileCount
        note()
    }

    /// Downloads ranges, several at a time, and watches that something happens.
    private func fetch(
        _ ranges: [Range<UInt64>], _ log: DDatabase, _ stallTimeout: Duration?
    ) async throws(DDriveError) {
        guard !ranges.isEmpty else { return }
        let base = (bytes: current.byteCount, downloaded: log.statistics.downloadedByteCount)
        enum Outcome: Sendable { case range, counter, failed(DDriveError) }
        let loop = loop
        let failure = await withTaskGroup(of: Outcome.self, returning: DDriveError?.self) { group in
            var next = 0
            var running = 0
            func start() {
                let range = ranges[next]
                next += 1
                running += 1
                group.addTask(executorPreference: loop) {
                    do throws(DDatabaseError) {
                        try await log.download(range)
                        return .range
                    } catch {
                        return .failed(DDriveError(error))
                    }
                }
            }
            while next < ranges.count, running < DriveLimits.parallelFileCount { start() }
            if let stallTimeout {
                group.addTask(executorPreference: loop) {
                    await self.watchForStall(stallTimeout, log).map { .failed($0) } ?? .counter
                }
            }
            group.addTask(executorPreference: loop) {
                await self.countDownloads(base, log)
                return .counter
            }
            var failure: DDriveError?
            while running > 0, failure == nil, let outcome = await group.next() {
                switch outcome {
                case .range:
                    running -= 1
                    if next < ranges.count { start() }
                case .counter: if Task.isCancelled { failure = DDriveError(.cancelled, "The task was cancelled") }
                case .failed(let error): failure = error
                }
            }
            group.cancelAll()
            return failure
        }
        if let failure { throw failure }
        let fetched = log.statistics.downloadedByteCount - base.downloaded
        summary.byteCount += fetched
        if let total = current.totalByteCount { current.byteCount = total }
    }

    /// Downloads what an export will need while `body` runs: peers are asked for long runs of blocks, not file by file.
    func fetchingAhead(
        _ missing: BlockRanges, _ options: MirrorOptions, _ body: () async throws(DDriveError) -> Void
    ) async throws(DDriveError) {
        let ranges = options.isDryRun ? [] : missing.merged
        guard !ranges.isEmpty else { return try await body() }
        let log = try await drive.engine.content(.wait(upTo: options.stallTimeout ?? .seconds(86_400 * 365)))
        let loop = loop
        let failure = await withTaskGroup(of: Void.self, returning: DDriveError?.self) { group in
            group.addTask(executorPreference: loop) {
                for range in ranges {
                    // Whoever reads the blocks meets the same failure where it matters.
                    do throws(DDatabaseError) { try await log.download(range) } catch { return }
                }
            }
            defer { group.cancelAll() }
            do throws(DDriveError) {
                try await body()
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    /// Keeps the progress up to date until it is cancelled.
    private func countDownloads(_ base: (bytes: UInt64, downloaded: UInt64), _ log: DDatabase) async {
        while !Task.isCancelled {
            await pause(.milliseconds(100))
            let bytes = base.bytes + (log.statistics.downloadedByteCount - base.downloaded)
            guard bytes > current.byteCount else { continue }
            current.byteCount = min(bytes, current.totalByteCount ?? bytes)
            note()
        }
    }
}
