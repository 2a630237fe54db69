import DWebBase
import DWebDatabase
import DWebDrive
public import DWebNetworker
public import DWebPorts
public import DWebStore
import DequeModule
import Synchronization

/// Keeps logs, trees and drives whole and available for years: what it is told to do on the network and to seed is
/// remembered on disk, and goes on by itself after a restart.
///
/// ```swift
/// let daemon = try await Daemon.open(store: store, networker: networker, statePath: "state")
/// try await withThrowingTaskGroup(of: Void.self) { group in
///     group.addTask { try await daemon.run() }
///     try await daemon.seed([SeedTarget(key: key)])
///     ...
///     await daemon.close()
/// }
/// ```
///
/// The work is done inside ``run()``. A change of configuration is on the medium before the call that made it returns,
/// so a daemon that is killed loses nothing that it acknowledged. Where the disk refuses, changes are refused with code
/// `readOnly` until it takes writes again, and everything else goes on.
///
/// Map: this file has the daemon's life and the work that runs inside ``run()``; `Daemon+Network` topics,
/// `Daemon+Seeds` seeds, `Daemon+Lists` live lists, `Daemon+Plan` space and rates, `Daemon+Reports` what it tells.
public actor Daemon {
    /// What a daemon needs beside a store and a network.
    public struct Configuration: Sendable {
        /// The free bytes of the disk that holds the store; nil where that cannot be told. It must not block.
        public var freeByteCount: @Sendable () async -> UInt64? = { nil }

        /// A daemon that does not look at the disk.
        public init() {}
    }

    enum Phase {
        case idle
        case running
        case closing
        case closed
    }

    /// Work that can be stopped by itself.
    final class Work: Sendable {
        let stop = StopSignal()
        let ended = StopSignal()
        let body: @Sendable () async -> Void

        init(_ body: @escaping @Sendable () async -> Void) { self.body = body }
    }

    /// The names of work that is under way.
    enum WorkName: Hashable, Sendable {
        case join(DiscoveryKey)
        case serve(PublicKey)
        case download(PublicKey)
        case clear(PublicKey)
        case follow(PublicKey)
        case tick
        case events
    }

    /// The store that is replicated.
    public nonisolated let store: Basestore
    /// The network.
    public nonisolated let networker: SwarmNetworker
    nonisolated let runtime: DWebRuntime
    nonisolated let state: DaemonState
    nonisolated let configuration: Configuration
    nonisolated let hub = DaemonEventHub()
    /// When the daemon was opened, in milliseconds since 1970.
    public nonisolated let startedMilliseconds: UInt64

    var phase = Phase.idle
    private nonisolated let begun = StopSignal()
    private var queue = Deque<(name: WorkName, work: Work)>()
    private var queueWaiter: CheckedContinuation<Void, Never>?
    var work: [WorkName: Work] = [:]
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []
    private var joinPermits = Permits(count: DaemonConstants.parallelJoinCount)
    /// Seeds while the daemon runs.
    var seeds: [PublicKey: ActiveSeed] = [:]
    /// What was configured by hand; remembered settings are also in the state.
    var configured: [DiscoveryKey: TopicSetting] = [:]
    /// Which seed a topic belongs to.
    var seedTopics: [DiscoveryKey: PublicKey] = [:]
    /// What the network was last told.
    var applied: [DiscoveryKey: TopicSetting] = [:]
    var history = TrafficHistory()
    var totals = Totals()
    var freeByteCount: UInt64?
    var storeFailure: String?
    var lastActivitySave: MonotonicTime?
    var lastReopen: MonotonicTime?
    var lastSample: MonotonicTime?

    /// The runtime's loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { runtime.loop.asUnownedSerialExecutor() }

    private init(store: Basestore, networker: SwarmNetworker, state: DaemonState, configuration: Configuration) {
        self.store = store
        self.networker = networker
        self.state = state
        self.configuration = configuration
        runtime = store.runtime
        startedMilliseconds = store.runtime.wallClockMilliseconds()
    }

    /// Opens the daemon's own state, which must not be inside the store's directory.
    ///
    /// - Parameters:
    ///   - store: The store whose logs are seeded and served.
    ///   - networker: A networker on that store, which somebody runs.
    ///   - statePath: Where the daemon remembers what it was told: a directory, or a name in memory.
    ///   - configuration: What else it needs.
    /// - Throws: ``PortError`` with code `locked` if another daemon uses the state, or as the storage refuses.
    public static func open(
        store: Basestore, networker: SwarmNetworker, statePath: String, configuration: Configuration = .init()
    ) async throws(PortError) -> Daemon {
        let state = try await DaemonState.open(statePath, runtime: store.runtime)
        return Daemon(store: store, networker: networker, state: state, configuration: configuration)
    }

    /// The limits that were remembered, for a networker that is made before the daemon.
    ///
    /// - Throws: ``PortError`` as ``open(store:networker:statePath:configuration:)``.
    public static func rememberedLimits(
        statePath: String, runtime: DWebRuntime
    ) async throws(PortError) -> SeedLimits {
        let state = try await DaemonState.open(statePath, runtime: runtime)
        let limits = await state.limits
        await state.close()
        return limits
    }

    // MARK: Life

    /// Rejoins what was remembered and does the daemon's work until ``close()`` is called or the task is cancelled.
    ///
    /// The networker must run beside it, and is not closed by it.
    ///
    /// - Throws: ``DaemonError`` with code `closed` when it runs or ran already.
    public func run() async throws(DaemonError) {
        guard phase == .idle else { throw .closed }
        phase = .running
        await resumeRemembered()
        begun.set()
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while phase == .running {
                    while let (name, work) = queue.popFirst() {
                        group.addTask(executorPreference: runtime.loop) {
                            if !work.stop.isSet { await Daemon.run(work) }
                            await self.forget(work, name)
                            work.ended.set()
                        }
                    }
                    guard phase == .running else { break }
                    await withCheckedContinuation { waiter in
                        // Looked at again: work may have come while this call was on its way.
                        if queue.isEmpty, phase == .running { queueWaiter = waiter } else { waiter.resume() }
                    }
                }
                while let (_, work) = queue.popFirst() { work.ended.set() }
                for work in work.values { work.stop.set() }
                group.cancelAll()
            }
        } onCancel: {
            runtime.loop.execute { self.assumeIsolated { $0.beginClosing() } }
        }
        await finish()
    }

    /// Waits until what was remembered has been read and changes are taken, or the daemon was closed.
    public nonisolated func started() async { await begun.wait() }

    /// Ends ``run()`` and closes the state; returns once that is done. Callable more than once.
    public func close() async {
        switch phase {
        case .idle:
            phase = .closed
            begun.set()
            hub.close()
            await state.close()
        case .running, .closing:
            beginClosing()
            await withCheckedContinuation { waiter in
                if phase == .closed { waiter.resume() } else { closeWaiters.append(waiter) }
            }
        case .closed: break
        }
    }

    private func beginClosing() {
        guard phase == .running else { return }
        phase = .closing
        queueWaiter?.resume()
        queueWaiter = nil
    }

    private func finish() async {
        await saveActivity()
        for key in seeds.keys.sorted() { await seeds[key]?.close() }
        seeds = [:]
        work = [:]
        hub.close()
        await state.close()
        phase = .closed
        for waiter in closeWaiters { waiter.resume() }
        closeWaiters = []
    }

    func checkRunning() throws(DaemonError) {
        guard phase == .running else { throw .closed }
    }

    // MARK: Work

    /// Runs work until it is done or stopped.
    private static func run(_ work: Work) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await work.body() }
            group.addTask { await work.stop.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Starts work under a name that nothing has.
    func start(_ name: WorkName, _ body: @escaping @Sendable () async -> Void) {
        guard phase == .running, work[name] == nil else { return }
        let new = Work(body)
        work[name] = new
        queue.append((name, new))
        queueWaiter?.resume()
        queueWaiter = nil
    }

    private func forget(_ ended: Work, _ name: WorkName) {
        if work[name] === ended { work[name] = nil }
    }

    /// Stops work and waits until it has ended.
    func stop(_ name: WorkName) async {
        guard let running = work.removeValue(forKey: name) else { return }
        running.stop.set()
        await running.ended.wait()
    }

    /// Lets time pass; returns early when the task is cancelled.
    func pause(_ duration: Duration) async {
        let over = StopSignal()
        let timer = runtime.loop.schedule(at: runtime.loop.now + duration) { over.set() }
        await over.wait()
        timer.cancel()
    }

    /// Runs `body` with one of the permits to query the network.
    func withJoinPermit(_ body: () async -> Void) async {
        if !joinPermits.tryTake() { await withCheckedContinuation { joinPermits.enqueue($0) } }
        defer { joinPermits.giveBack() }
        guard !Task.isCancelled else { return }
        await body()
    }

    /// Begins everything that was remembered.
    private func resumeRemembered() async {
        configured = await state.topics
        for key in configured.keys.sorted() { updateTopic(key) }
        for (key, record) in await state.seeds.sorted(by: { $0.key < $1.key }) { beginSeed(key, record) }
        for key in await state.lists.keys.sorted() { beginList(key) }
        totals.limits = await state.limits
        freeByteCount = await configuration.freeByteCount()
        start(.tick) { [weak self] in
            while !Task.isCancelled, let self {
                await self.pause(DaemonConstants.tickInterval)
                if !Task.isCancelled { await self.tick() }
            }
        }
        start(.events) { [weak self, networker] in
            for await event in networker.events(bufferingNewest: DaemonConstants.eventCount) {
                await self?.note(event)
            }
        }
    }
}
