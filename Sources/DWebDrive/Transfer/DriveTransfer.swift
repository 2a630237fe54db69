import DWebBase
import DWebDatabase
import DWebPorts

/// One download, import or export: run it with ``run()``, watch it with ``progress``.
///
/// It does nothing until it is run, and can be run once. Cancel the task that runs it to stop it: what is done stays
/// done, and another transfer goes on from there.
public actor DriveTransfer {
    /// What a transfer does.
    enum Work: Sendable {
        case download(path: String, stallTimeout: Duration?)
        case imports(folder: String, MirrorOptions)
        case importsFile(String, path: String, MirrorOptions)
        case exports(folder: String, MirrorOptions)
        case exportsFile(String, path: String, MirrorOptions)
    }

    nonisolated let drive: DDrive
    nonisolated let loop: any RuntimeLoop
    private nonisolated let work: Work
    var current = TransferProgress()
    var summary = TransferSummary()
    /// Counts everything that moves, to tell a transfer that stalls from a slow one.
    var activity: UInt64 = 0
    private var meter = RateMeter()
    private var isStarted = false
    private var revision = 0
    private var lastPublished: MonotonicTime?
    private var timer: (any LoopTimer)?
    private var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter = 0

    private static let publishInterval: Duration = .milliseconds(100)

    init(drive: DDrive, work: Work) {
        self.drive = drive
        self.work = work
        loop = drive.engine.loop
    }

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { drive.unownedExecutor }

    /// Does the work, and returns what was done.
    ///
    /// - Throws: ``DDriveError`` with code `noPeers` or `notAvailable` after the stall timeout without progress,
    ///   `localFile`, `notWritable`, `invalidArgument` when run twice, `cancelled`, and as
    /// ``DDrive/entry(at:links:_:)``.
    @discardableResult
    public func run() async throws(DDriveError) -> TransferSummary {
        guard !isStarted else { throw DDriveError(.invalidArgument, "A transfer runs once") }
        isStarted = true
        defer {
            current.phase = .finished
            publish()
        }
        switch work {
        case .download(let path, let stallTimeout): try await download(path, stallTimeout: stallTimeout)
        case .imports(let folder, let options): try await importFolder(folder, options)
        case .importsFile(let file, let path, let options): try await importFile(file, to: path, options)
        case .exports(let folder, let options): try await exportFolder(folder, options)
        case .exportsFile(let file, let path, let options): try await exportFile(path, to: file, options)
        }
        return summary
    }

    /// How far the transfer is, about ten times a second, until it is finished. Can be watched by several.
    public nonisolated var progress: ProgressUpdates { ProgressUpdates(transfer: self) }

    // MARK: Counting

    /// Enters a phase.
    func enter(_ phase: TransferProgress.Phase) {
        current.phase = phase
        note()
    }

    /// Counts bytes that moved.
    func count(bytes: UInt64) {
        current.byteCount += bytes
        note()
    }

    /// Counts a file that is done.
    func countFile() {
        current.fileCount += 1
        note()
    }

    /// Notes that something was left out.
    func refuse(_ path: String, _ reason: String) {
        summary.refusalCount += 1
        if summary.refusals.count < DriveLimits.refusalCount {
            summary.refusals.append(TransferSummary.Refusal(path: path, reason: reason))
        }
    }

    /// Something moved.
    func note() {
        activity &+= 1
        let now = loop.now
        meter.note(current.byteCount, now: now)
        if let lastPublished, now - lastPublished < DriveTransfer.publishInterval {
            guard timer == nil, !waiters.isEmpty else { return }
            timer = loop.schedule(at: lastPublished + DriveTransfer.publishInterval) { [weak self] in
                self?.assumeIsolated { $0.publish() }
            }
        } else {
            publish()
        }
    }

    private func publish() {
        timer?.cancel()
        timer = nil
        let now = loop.now
        lastPublished = now
        revision += 1
        current.bytesPerSecond = meter.rate(current.byteCount, now: now)
        current.peerCount = drive.database.peerCount
        current.remainingTime = nil
        if current.phase != .finished, let total = current.totalByteCount, current.bytesPerSecond > 0 {
            current.remainingTime = .seconds(Double(total - min(total, current.byteCount)) / current.bytesPerSecond)
        }
        let waiting = waiters
        waiters = [:]
        for number in waiting.keys.sorted() { waiting[number]?.resume() }
    }

    /// The newest progress, once there is one that the caller has not seen; nil after the last.
    func next(after seen: Int) async -> (revision: Int, progress: TransferProgress)? {
        if seen == revision {
            if current.phase == .finished { return nil }
            let number = nextWaiter
            nextWaiter += 1
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    if Task.isCancelled {
                        continuation.resume()
                    } else {
                        waiters[number] = continuation
                    }
                }
            } onCancel: {
                loop.execute { [weak self] in
                    self?.assumeIsolated { $0.waiters.removeValue(forKey: number)?.resume() }
                }
            }
            if seen == revision { return nil }
        }
        return (revision, current)
    }

    // MARK: Stalling

    /// Fails once nothing has moved for `timeout`; never returns otherwise, until it is cancelled.
    func watchForStall(_ timeout: Duration, _ log: DDatabase) async -> DDriveError? {
        var seen = (activity, log.statistics.downloadedBlockCount)
        var since = loop.now
        while !Task.isCancelled {
            await pause(.milliseconds(250))
            let now = (activity, log.statistics.downloadedBlockCount)
            if now != seen {
                seen = now
                since = loop.now
            } else if loop.now - since >= timeout {
                return log.peerCount == 0
                    ? DDriveError(.noPeers, "Content is missing here, and there are no peers to ask")
                    : DDriveError(.notAvailable, "No connected peer gave what is missing for \(timeout)")
            }
        }
        return nil
    }

    /// Waits; ends early when the task is cancelled.
    func pause(_ duration: Duration) async {
        let number = nextWaiter
        nextWaiter += 1
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume()
                    return
                }
                pauses[number] = continuation
                _ = loop.schedule(at: loop.now + duration) { [weak self] in
                    self?.assumeIsolated { $0.pauses.removeValue(forKey: number)?.resume() }
                }
            }
        } onCancel: {
            loop.execute { [weak self] in
                self?.assumeIsolated { $0.pauses.removeValue(forKey: number)?.resume() }
            }
        }
    }

    private var pauses: [Int: CheckedContinuation<Void, Never>] = [:]

    /// Progress of a transfer; see ``DriveTransfer/progress``.
    public struct ProgressUpdates: AsyncSequence, Sendable {
        /// What the sequence gives.
        public typealias Element = TransferProgress
        /// How the sequence fails.
        public typealias Failure = Never

        let transfer: DriveTransfer

        /// An independent watch.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(transfer: transfer) }

        /// One watch.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let transfer: DriveTransfer
            private var seen = 0

            init(transfer: DriveTransfer) { self.transfer = transfer }

            /// The newest progress; nil once the transfer is finished, or the task is cancelled.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async -> TransferProgress? {
                guard let update = await transfer.next(after: seen) else { return nil }
                seen = update.revision
                return update.progress
            }
        }
    }
}

extension DDrive {
    /// Downloads the content of the file at `path`, or of everything below a folder. What is here already costs
    /// nothing.
    ///
    /// - Parameters:
    ///   - path: A file or a folder.
    ///   - stallTimeout: How long to go on without any progress; nil for ever.
    public nonisolated func download(
        _ path: String = "/", stallTimeout: Duration? = .seconds(30)
    ) -> DriveTransfer {
        DriveTransfer(drive: self, work: .download(path: path, stallTimeout: stallTimeout))
    }

    /// Makes a folder of the drive equal to a local folder: only what differs is written.
    ///
    /// Contents are compared, not dates. Links are kept if they lead to something in the folder.
    public nonisolated func mirror(
        fromFolder folder: String, _ options: MirrorOptions = MirrorOptions()
    ) -> DriveTransfer {
        DriveTransfer(drive: self, work: .imports(folder: folder, options))
    }

    /// Makes a local folder equal to a folder of the drive: only what differs is written.
    ///
    /// Every file appears complete or not at all. Nothing is ever written through a link, and links that lead out of
    /// the folder are refused: a drive of a stranger can do no harm outside.
    public nonisolated func mirror(
        toFolder folder: String, _ options: MirrorOptions = MirrorOptions()
    ) -> DriveTransfer {
        DriveTransfer(drive: self, work: .exports(folder: folder, options))
    }

    /// Makes a file of the drive equal to a local file. What is at the path is only written again if it differs.
    ///
    /// - Parameters:
    ///   - file: The local file.
    ///   - path: The path in the drive.
    ///   - options: As for folders; the prefix and ignore rules do not matter.
    public nonisolated func mirror(
        fromFile file: String, to path: String, _ options: MirrorOptions = MirrorOptions()
    ) -> DriveTransfer {
        DriveTransfer(drive: self, work: .importsFile(file, path: path, options))
    }

    /// Makes a local file equal to a file of the drive. It appears complete or not at all.
    ///
    /// - Parameters:
    ///   - file: The local file; the folders on the way to it are created.
    ///   - path: The path in the drive; a link is followed.
    ///   - options: As for folders; the prefix and ignore rules do not matter.
    public nonisolated func mirror(
        toFile file: String, from path: String, _ options: MirrorOptions = MirrorOptions()
    ) -> DriveTransfer {
        DriveTransfer(drive: self, work: .exportsFile(file, path: path, options))
    }
}
