import DWebBase
import DWebDatabase
import DWebDrive

/// How far a seed is.
public enum SeedState: Sendable, Hashable, CaseIterable {
    /// No peer has told anything about it yet.
    case searching
    /// Blocks are missing.
    case downloading
    /// Stored whole, and followed.
    case complete
    /// There is no room for it; nothing of its content is kept.
    case evicted
    /// The disk is nearly full: nothing is downloaded until there is space.
    case paused
    /// It cannot be seeded.
    case failed
}

/// A seed while the daemon runs. Owned by the daemon's actor.
struct ActiveSeed {
    var record: SeedRecord
    let discoveryKey: DiscoveryKey
    /// What it was found to be; `automatic` until then.
    var kind: SeedKind
    /// Its logs once they are open: of the log or tree, or of a drive's tree and content.
    var logs: [SeedLog] = []
    var drive: DDrive?
    /// Whether all its logs are known, so that it can be downloaded.
    var isResolved = false
    /// Whether there is room for it.
    var isAdmitted = true
    /// Whether its content was deleted for want of room, so that this is done once.
    var isCleared = false
    /// Why it cannot be seeded at the moment.
    var problem: String?
    /// What was last reported.
    var reported: SeedState?

    init(record: SeedRecord, discoveryKey: DiscoveryKey) {
        self.record = record
        self.discoveryKey = discoveryKey
        kind = record.kind
    }

    /// Whether it is announced and looked up: what was given up is not.
    var wantsNetwork: Bool { isAdmitted || !isResolved }
    var isOwn: Bool { logs.first?.database.isWritable ?? false }
    var blockCount: UInt64 { logs.reduce(0) { $0 + $1.database.length } }
    var storedBlockCount: UInt64 { logs.reduce(0) { $0 + $1.database.contiguousLength } }
    var byteCount: UInt64 { logs.reduce(0) { $0.addingReportingOverflow($1.database.byteLength).partialValue } }
    var storedByteCount: UInt64 { logs.reduce(0) { $0.addingReportingOverflow($1.storedByteCount).partialValue } }
    var isWhole: Bool {
        isResolved && logs.allSatisfy { $0.database.contiguousLength == $0.database.length }
            && logs.first.map { $0.database.length > 0 } ?? false
    }

    func state(isPaused: Bool) -> SeedState {
        if problem != nil { return .failed }
        if !isResolved { return .searching }
        if !isAdmitted { return .evicted }
        if isWhole { return .complete }
        return isPaused ? .paused : .downloading
    }

    /// Gives up the logs.
    func close() async {
        await drive?.close()
        for log in logs { await log.database.close() }
    }
}

/// A log of a seed, with what was last read of its counters.
struct SeedLog {
    let database: DDatabase
    var downloadedByteCount: UInt64 = 0
    var uploadedByteCount: UInt64 = 0
    /// The bytes counted when the log was last measured.
    private var measured: (bytes: UInt64, downloaded: UInt64)?
    private(set) var measureTime: MonotonicTime?

    init(_ database: DDatabase) {
        self.database = database
        let statistics = database.statistics
        downloadedByteCount = statistics.downloadedByteCount
        uploadedByteCount = statistics.uploadedByteCount
    }

    var isWhole: Bool { database.contiguousLength == database.length }

    /// The bytes of the blocks that are stored; of a log that is not whole, what was counted last and came since.
    var storedByteCount: UInt64 {
        if isWhole { return database.byteLength }
        guard let measured else { return 0 }
        let came = database.statistics.downloadedByteCount
        return min(measured.bytes + (came - min(came, measured.downloaded)), database.byteLength)
    }

    /// Whether the stored bytes should be counted again.
    func needsMeasuring(now: MonotonicTime) -> Bool {
        guard !isWhole else { return false }
        guard let measured, let measureTime else { return true }
        return database.statistics.downloadedByteCount != measured.downloaded
            && now - measureTime >= DaemonConstants.measureInterval
    }

    mutating func measure(_ byteCount: UInt64, now: MonotonicTime) {
        measured = (byteCount, database.statistics.downloadedByteCount)
        measureTime = now
    }

    /// What moved since the last call.
    mutating func takeTraffic() -> (downloaded: UInt64, uploaded: UInt64) {
        let statistics = database.statistics
        defer {
            downloadedByteCount = statistics.downloadedByteCount
            uploadedByteCount = statistics.uploadedByteCount
        }
        return (
            statistics.downloadedByteCount - min(statistics.downloadedByteCount, downloadedByteCount),
            statistics.uploadedByteCount - min(statistics.uploadedByteCount, uploadedByteCount)
        )
    }
}
