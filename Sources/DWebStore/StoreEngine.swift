package import DWebBase
import DWebDatabase
import DWebLogCore
package import DWebPorts
import Synchronization

/// One open store: its logs by discovery key, its head record, and its connections. All namespaces share one.
package actor StoreEngine {
    package nonisolated let runtime: DWebRuntime
    package nonisolated let primaryKey: Bytes32
    nonisolated let storage: any KeyValueStore
    /// The same, for suspending.
    nonisolated let files: SuspendableStore
    /// Who watches for newly opened logs.
    nonisolated let openings = OpeningHub()
    nonisolated let options: BasestoreOptions
    private nonisolated let life = Mutex(Life())
    var head: StoreHead
    var logs: [DiscoveryKey: LogEngine] = [:] {
        didSet { life.withLock { $0.logCount = logs.count } }
    }
    /// Opening and creating logs happens one at a time: it reads, decides and writes across suspensions.
    private var turns = MutationQueue()
    /// Logs that became idle, with the timer that closes them.
    private var idle: [DiscoveryKey: any LoopTimer] = [:]
    private var connections: [UInt64: ReplicationSession] = [:]
    private var nextConnection: UInt64 = 0
    private var closing: [CheckedContinuation<Void, Never>] = []

    private struct Life {
        var isClosed = false
        var connectionCount = 0
        var logCount = 0
    }

    /// How long a log that nobody uses stays open; spec 30 section F.
    private static let idleTime: Duration = .seconds(5)

    init(
        storage: SuspendableStore, head: StoreHead, primaryKey: Bytes32, runtime: DWebRuntime,
        options: BasestoreOptions
    ) {
        self.storage = storage
        files = storage
        self.head = head
        self.primaryKey = primaryKey
        self.runtime = runtime
        self.options = options
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { runtime.loop.asUnownedSerialExecutor() }

    /// The number of connections.
    package nonisolated var connectionCount: Int { life.withLock { $0.connectionCount } }
    /// The number of logs in memory.
    package nonisolated var logCount: Int { life.withLock { $0.logCount } }
    nonisolated var isClosed: Bool { life.withLock { $0.isClosed } }

    func checkOpen() throws(BasestoreError) {
        guard !isClosed else { throw BasestoreError(.closed, "The store is closed") }
    }

    /// Runs `body` when nobody else opens or creates logs.
    func inTurn<Result: Sendable>(
        _ body: (isolated StoreEngine) async throws(BasestoreError) -> Result
    ) async throws(BasestoreError) -> Result {
        if !turns.tryEnter() { await withCheckedContinuation { turns.enqueue($0) } }
        defer { turns.leave() }
        try checkOpen()
        return try await body(self)
    }

    // MARK: Idle logs

    /// Remembers an open log and offers it to all peers.
    func adopt(_ engine: LogEngine) async {
        logs[engine.discoveryKey] = engine
        openings.send(engine.key)
        await offer(engine)
    }

    /// Offers a log to all peers.
    func offer(_ engine: LogEngine) async {
        for number in connections.keys.sorted() { await connections[number]?.attach(engine) }
    }

    /// Offers a log whose channels were closed to all peers, from outside of any task.
    func offerAgain(_ engine: LogEngine) {
        for number in connections.keys.sorted() { connections[number]?.outbox.push(.reopen(engine)) }
    }

    /// What a log calls when its last user is gone: if that stays so for a while, it is closed.
    nonisolated var idleHandler: @Sendable (LogEngine) -> Void {
        { [weak self] engine in self?.assumeIsolated { $0.scheduleClosing(engine) } }
    }

    private func scheduleClosing(_ engine: LogEngine) {
        guard logs[engine.discoveryKey] === engine else { return }
        idle[engine.discoveryKey]?.cancel()
        idle[engine.discoveryKey] = runtime.loop.schedule(at: runtime.loop.now + StoreEngine.idleTime) {
            [weak self] in
            self?.assumeIsolated { $0.closeIfIdle(engine) }
        }
    }

    private func closeIfIdle(_ engine: LogEngine) {
        idle[engine.discoveryKey] = nil
        guard logs[engine.discoveryKey] === engine, engine.isIdle else { return }
        if engine.assumeIsolated({ $0.closeIfIdle() }) {
            logs[engine.discoveryKey] = nil
        } else {
            scheduleClosing(engine)
        }
    }

    // MARK: Connections

    /// Runs a connection until it ends; see ``Basestore/replicate(over:isInitiator:keyPair:)``.
    func run(
        _ setup: ReplicationSession.Setup, over stream: any DuplexStream, openHandler: (@Sendable () -> Void)? = nil
    ) async throws(BasestoreError) {
        try checkOpen()
        var sessionOptions = ReplicationSession.Options(keepAliveInterval: options.keepAliveInterval)
        sessionOptions.openHandler = openHandler
        let session = ReplicationSession(
            stream: stream, setup: setup, source: self, runtime: runtime, options: sessionOptions)
        let number = nextConnection
        nextConnection += 1
        connections[number] = session
        life.withLock { $0.connectionCount += 1 }
        let failure: BasestoreError?
        do throws(DDatabaseError) {
            try await session.run()
            failure = nil
        } catch {
            failure = BasestoreError(error)
        }
        connections[number] = nil
        life.withLock { $0.connectionCount -= 1 }
        if connections.isEmpty {
            for waiter in closing { waiter.resume() }
            closing = []
        }
        if isClosed { throw BasestoreError(.closed, "The store was closed") }
        if let failure { throw failure }
    }

    // MARK: Closing

    /// Ends connections, logs and storage. Callable more than once.
    package func close() async {
        let wasClosed = life.withLock { life in
            defer { life.isClosed = true }
            return life.isClosed
        }
        guard !wasClosed else { return }
        // Whoever waits for a suspended store to come back learns that it does not.
        if files.isSuspended { await files.close() }
        for number in connections.keys.sorted() { connections[number]?.stop() }
        if !connections.isEmpty { await withCheckedContinuation { closing.append($0) } }
        for timer in idle.values { timer.cancel() }
        idle = [:]
        // A log that is being opened becomes part of the store before it is closed with it.
        if !turns.tryEnter() { await withCheckedContinuation { turns.enqueue($0) } }
        openings.finish()
        for discoveryKey in logs.keys.sorted() { await logs[discoveryKey]?.close() }
        logs = [:]
        turns.leave()
        await storage.close()
    }
}
