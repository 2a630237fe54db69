package import DWebBase
package import DWebDatabase
import DWebLogCore
package import DWebPorts
import Synchronization

/// One open store: its logs by discovery key, its head record, and its connections. All namespaces share one.
package actor StoreEngine {
    package nonisolated let runtime: DWebRuntime
    package nonisolated let primaryKey: Bytes32
    nonisolated let storage: any KeyValueStore
    nonisolated let options: BasestoreOptions
    private nonisolated let life = Mutex(Life())
    var head: StoreHead
    var logs: [DiscoveryKey: LogEngine] = [:]
    /// Opening and creating logs happens one at a time: it reads, decides and writes across suspensions.
    var openings = MutationQueue()
    /// Logs that became idle, with the timer that closes them.
    private var idle: [DiscoveryKey: any LoopTimer] = [:]
    var connections: [UInt64: Connection] = [:]
    var nextConnection: UInt64 = 0
    private var closing: [CheckedContinuation<Void, Never>] = []

    private struct Life {
        var isClosed = false
        var connectionCount = 0
    }

    /// A connection and how to end it.
    struct Connection {
        let session: ReplicationSession
    }

    /// How long a log that nobody uses stays open; spec 30 section F.
    private static let idleTime: Duration = .seconds(5)

    init(
        storage: any KeyValueStore, head: StoreHead, primaryKey: Bytes32, runtime: DWebRuntime,
        options: BasestoreOptions
    ) {
        self.storage = storage
        self.head = head
        self.primaryKey = primaryKey
        self.runtime = runtime
        self.options = options
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { runtime.loop.asUnownedSerialExecutor() }

    /// The number of connections.
    package nonisolated var connectionCount: Int { life.withLock { $0.connectionCount } }
    private nonisolated var isClosed: Bool { life.withLock { $0.isClosed } }

    func checkOpen() throws(BasestoreError) {
        guard !isClosed else { throw BasestoreError(.closed, "The store is closed") }
    }

    // MARK: Logs

    /// Opens or creates a named log; see ``Basestore/database(named:)``.
    package func database(named name: String, in namespace: Bytes32) async throws(BasestoreError) -> DDatabase {
        try await inTurn { engine throws(BasestoreError) in
            DDatabase(engine: try await engine.log(LogAlias(name: name, namespace: namespace)))
        }
    }

    /// Opens a log by its key; see ``Basestore/database(key:createIfMissing:)``.
    package func database(key: PublicKey, createIfMissing: Bool) async throws(BasestoreError) -> DDatabase {
        try await inTurn { engine throws(BasestoreError) in
            DDatabase(engine: try await engine.log(key, createIfMissing: createIfMissing))
        }
    }

    /// Runs `body` when nobody else opens or creates logs.
    func inTurn<Result: Sendable>(
        _ body: (isolated StoreEngine) async throws(BasestoreError) -> Result
    ) async throws(BasestoreError) -> Result {
        if !openings.tryEnter() { await withCheckedContinuation { openings.enqueue($0) } }
        defer { openings.leave() }
        try checkOpen()
        return try await body(self)
    }

    /// Remembers an open log and offers it to all peers.
    func adopt(_ engine: LogEngine) async {
        logs[engine.discoveryKey] = engine
        for number in connections.keys.sorted() { await connections[number]?.session.attach(engine) }
    }

    /// A log may have lost its last user; if it stays so for a while, it is closed.
    nonisolated func noteIdle(_ engine: LogEngine) {
        runtime.loop.execute { [weak self] in self?.assumeIsolated { $0.scheduleClosing(engine) } }
    }

    private func scheduleClosing(_ engine: LogEngine) {
        guard logs[engine.discoveryKey] === engine else { return }
        Task.immediateActivity(engine)
        guard engine.isIdle else { return }
        idle[engine.discoveryKey]?.cancel()
        idle[engine.discoveryKey] = runtime.loop.schedule(at: runtime.loop.now + StoreEngine.idleTime) {
            [weak self] in
            self?.assumeIsolated { $0.closeIfIdle(engine) }
        }
    }
}
