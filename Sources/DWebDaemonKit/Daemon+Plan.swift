import DWebBase
import DWebDatabase
import DWebPorts
import DWebStore

extension Daemon {
    /// What moved and what is stored, over all seeds.
    struct Totals {
        var downloadedByteCount: UInt64 = 0
        var uploadedByteCount: UInt64 = 0
        var downloadRate: UInt64 = 0
        var uploadRate: UInt64 = 0
        /// The blocks of all seeds when the plan was last made: a plan is made anew when it changes.
        var plannedBlockCount: UInt64 = 0
        var limits = SeedLimits()
    }

    /// Whether nothing is downloaded because the disk is nearly full.
    var isPaused: Bool {
        guard let freeByteCount else { return false }
        return freeByteCount < totals.limits.freeSpaceFloor
    }

    /// Decides for which seeds there is room, and starts and stops downloads accordingly.
    func replan() {
        guard phase == .running else { return }
        let demands = seeds.map { key, seed in
            QuotaPlan.Demand(
                key: key, priority: seed.record.priority,
                lastActiveMilliseconds: seed.record.lastActiveMilliseconds, byteCount: seed.byteCount,
                isOwn: seed.isOwn)
        }
        let plan = QuotaPlan(demands, byteLimit: totals.limits.storageByteCount)
        totals.plannedBlockCount = seeds.values.reduce(0) { $0 &+ $1.blockCount }
        for key in seeds.keys.sorted() {
            guard let seed = seeds[key], seed.isResolved else { continue }
            let isAdmitted = plan.admitted.contains(key)
            seeds[key]?.isAdmitted = isAdmitted
            if isAdmitted {
                seeds[key]?.isCleared = false
                updateTopic(seed.discoveryKey)
                if isPaused {
                    work[.download(key)]?.stop.set()
                } else {
                    start(.download(key)) { [weak self] in await self?.download(key) }
                }
            } else if !seed.isCleared {
                seeds[key]?.isCleared = true
                start(.clear(key)) { [weak self] in await self?.clear(key) }
            }
        }
    }

    /// Reads all counters, computes rates, notices changes.
    func tick() async {
        let now = runtime.loop.now
        totals.limits = await state.limits
        freeByteCount = await configuration.freeByteCount()
        await recoverState(now: now)
        var (downloaded, uploaded): (UInt64, UInt64) = (0, 0)
        let wallClock = runtime.wallClockMilliseconds()
        for key in seeds.keys {
            for index in seeds[key]?.logs.indices ?? 0..<0 {
                guard let moved = seeds[key]?.logs[index].takeTraffic() else { continue }
                downloaded += moved.downloaded
                uploaded += moved.uploaded
                if moved.uploaded > 0 { seeds[key]?.record.lastActiveMilliseconds = wallClock }
            }
        }
        totals.downloadedByteCount += downloaded
        totals.uploadedByteCount += uploaded
        let seconds = lastSample.map { (now - $0).seconds } ?? 0
        lastSample = now
        if seconds > 0 {
            totals.downloadRate = UInt64(Double(downloaded) / seconds)
            totals.uploadRate = UInt64(Double(uploaded) / seconds)
        }
        history.add(
            TrafficHistory.Sample(
                milliseconds: wallClock, downloadRate: totals.downloadRate, uploadRate: totals.uploadRate,
                peerCount: store.connectionCount))
        await measure(now: now)
        replan()
        reportChanges()
        if let lastActivitySave {
            if now - lastActivitySave >= DaemonConstants.activityInterval {
                self.lastActivitySave = now
                await saveActivity()
            }
        } else {
            lastActivitySave = now
        }
    }

    /// Counts what is stored of logs that are not whole.
    private func measure(now: MonotonicTime) async {
        for key in seeds.keys.sorted() {
            for index in seeds[key]?.logs.indices ?? 0..<0 {
                guard let log = seeds[key]?.logs[index], log.needsMeasuring(now: now) else { continue }
                guard let use = try? await store.diskUse(of: log.database.key) else { continue }
                guard let count = seeds[key]?.logs.count, index < count else { break }
                seeds[key]?.logs[index].measure(use.blockByteCount, now: now)
            }
        }
    }

    private func reportChanges() {
        for key in seeds.keys.sorted() {
            guard let seed = seeds[key] else { continue }
            let state = seed.state(isPaused: isPaused)
            guard state != seed.reported else { continue }
            seeds[key]?.reported = state
            hub.send(.seedChanged(key))
        }
    }

    private func recoverState(now: MonotonicTime) async {
        guard await state.failure != nil else { return }
        if let lastReopen, now - lastReopen < DaemonConstants.reopenInterval { return }
        lastReopen = now
        if await state.recover() { hub.send(.problem("The daemon's state can be written again")) }
    }

    /// Remembers when seeds were last active. It is worth little, so a failure is not reported.
    func saveActivity() async {
        let times = seeds.mapValues(\.record.lastActiveMilliseconds)
        try? await state.changeSeeds { present in
            var changes: [PublicKey: SeedRecord?] = [:]
            for (key, time) in times {
                guard var record = present[key], record.lastActiveMilliseconds < time else { continue }
                record.lastActiveMilliseconds = time
                changes[key] = record
            }
            return changes
        }
    }
}
