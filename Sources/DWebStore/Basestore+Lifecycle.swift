public import DWebBase
import DWebCrypto
import DWebDatabase
import DWebLogCore
import DWebPorts
import Synchronization

extension Basestore {
    // MARK: Suspending

    /// Closes the store's files and gives its lock back, without closing logs: for a program that is about to be put
    /// to sleep. Reads and writes wait until ``resume()``; connections are not touched.
    ///
    /// Returns once everything that was acknowledged is in the files. Callable more than once.
    public func suspend() async { await engine.files.suspend() }

    /// Opens the store's files again and lets everything that waits go on. Callable more than once.
    ///
    /// - Throws: ``BasestoreError`` with code `locked` (another process took the store meanwhile; it stays suspended)
    ///   or `storage`.
    public func resume() async throws(BasestoreError) {
        do throws(PortError) { try await engine.files.resume() } catch { throw BasestoreError(error) }
    }

    // MARK: Sessions

    /// A view of the same store with a life of its own: closing it closes the logs that were opened through it, and
    /// nothing else.
    public nonisolated func session() -> Basestore {
        Basestore(engine: engine, namespaceKey: namespaceKey, session: StoreSession())
    }

    // MARK: Watching

    /// The keys of logs that are opened from now on, by this program or because a peer asked for them; ends when the
    /// store is closed.
    ///
    /// - Parameter limit: The most keys that are kept for a reader who is behind; the oldest are lost first.
    public nonisolated func openings(bufferingNewest limit: Int = 256) -> Openings {
        Openings(stream: engine.openings.listen(bufferingNewest: limit))
    }

    /// The keys of logs as they are opened.
    public struct Openings: AsyncSequence, Sendable {
        /// A log's key.
        public typealias Element = PublicKey
        /// Watching never fails.
        public typealias Failure = Never

        let stream: AsyncStream<PublicKey>

        /// The one pass over the keys.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }

        /// The one pass over the keys.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: AsyncStream<PublicKey>.Iterator

            /// The next key; nil once the store is closed or the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> PublicKey? {
                await base.next(isolation: actor)
            }
        }
    }

    // MARK: Space

    /// What a log takes of the disk.
    public struct DiskUse: Sendable, Hashable {
        /// The bytes of the blocks that are stored.
        public let blockByteCount: UInt64
        /// An estimate of the bytes that all records of the log take in files; 0 for what is not in tables yet.
        public let fileByteCount: UInt64
    }

    /// How much the log with this key takes.
    ///
    /// - Throws: ``BasestoreError`` with code `notFound`, `closed`, `storage` or `cancelled`.
    public func diskUse(of key: PublicKey) async throws(BasestoreError) -> DiskUse {
        try await engine.diskUse(of: key.discoveryKey)
    }

    /// Rewrites the store's files without what was deleted, so that cleared blocks and purged logs give back their
    /// space. Takes as long as it takes to copy what is left.
    ///
    /// - Throws: ``BasestoreError`` with code `closed` or `storage`.
    public func reclaimSpace() async throws(BasestoreError) {
        do throws(PortError) {
            try await engine.storage.compact(
                from: StoreRecordKeys.everything.start, to: StoreRecordKeys.everything.end)
        } catch {
            throw BasestoreError(error)
        }
    }

    // MARK: Names

    /// Gives a stored log a name in this namespace; ``database(named:encryption:)`` opens it by that name from now on,
    /// instead of the log whose key pair follows from the name.
    ///
    /// - Throws: ``BasestoreError`` with code `notFound` (no such log), `conflict` (the name belongs to another log),
    ///   `closed` or `storage`.
    public func setName(_ name: String, of key: PublicKey) async throws(BasestoreError) {
        try await engine.setName(LogAlias(name: name, namespace: namespaceKey), of: key)
    }

    /// Takes a name of this namespace away; the log stays. A name that does not exist is ignored.
    ///
    /// - Throws: ``BasestoreError`` with code `closed` or `storage`.
    public func removeName(_ name: String) async throws(BasestoreError) {
        try await engine.removeName(LogAlias(name: name, namespace: namespaceKey))
    }
}

/// The logs that were opened through one view of a store.
final class StoreSession: Sendable {
    private struct WeakDatabase {
        weak var database: DDatabase?
    }

    private struct State {
        var databases: [WeakDatabase] = []
        var isClosed = false
        var checkCount = 16
    }

    private let state = Mutex(State())

    init() {}

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Remembers a log; false if the view was closed meanwhile.
    func add(_ database: DDatabase) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            if state.databases.count >= state.checkCount {
                state.databases.removeAll { $0.database == nil }
                state.checkCount = max(16, 2 * state.databases.count)
            }
            state.databases.append(WeakDatabase(database: database))
            return true
        }
    }

    /// Closes the view's logs.
    func close() async {
        let databases = state.withLock { state in
            state.isClosed = true
            defer { state.databases = [] }
            return state.databases.compactMap(\.database)
        }
        for database in databases { await database.close() }
    }
}

/// Tells those who watch which logs are opened.
final class OpeningHub: Sendable {
    private struct State {
        var listeners: [Int: AsyncStream<PublicKey>.Continuation] = [:]
        var nextNumber = 0
        var isFinished = false
    }

    private let state = Mutex(State())

    init() {}

    func listen(bufferingNewest limit: Int) -> AsyncStream<PublicKey> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PublicKey.self, bufferingPolicy: .bufferingNewest(max(1, limit)))
        let number = state.withLock { state -> Int? in
            guard !state.isFinished else { return nil }
            defer { state.nextNumber += 1 }
            state.listeners[state.nextNumber] = continuation
            return state.nextNumber
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[number] = nil } }
        return stream
    }

    func send(_ key: PublicKey) {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(key) }
    }

    func finish() {
        let listeners = state.withLock { state in
            state.isFinished = true
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
