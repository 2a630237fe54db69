public import DWebBase
public import DWebPorts
import HeapModule
import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A loop on virtual time: it runs what is ready in the order it was queued, and when nothing is, it jumps to the next
/// timer. A run is a function of its inputs alone.
public final class SimulatedLoop: RuntimeLoop {
    private struct Timer: Comparable {
        let deadline: MonotonicTime
        let sequence: UInt64
        let handle: SimulatedTimer

        static func < (left: Timer, right: Timer) -> Bool {
            (left.deadline, left.sequence) < (right.deadline, right.sequence)
        }

        static func == (left: Timer, right: Timer) -> Bool { left.sequence == right.sequence }
    }

    private enum Work {
        case job(UnownedJob)
        case body(@Sendable () -> Void)
    }

    private struct State {
        var now: MonotonicTime
        var ready: [Work] = []
        var timers = Heap<Timer>()
        var nextSequence: UInt64 = 0
        var runningThread: UInt?
    }

    private let state: Mutex<State>

    /// A loop whose clock starts at `start`.
    public init(start: MonotonicTime = MonotonicTime(milliseconds: 1_000)) {
        state = Mutex(State(now: start))
    }

    /// The virtual moment.
    public var now: MonotonicTime { state.withLock { $0.now } }

    /// Whether the caller is run by this loop.
    public var isCurrent: Bool { state.withLock { $0.runningThread == SimulatedLoop.currentThread } }

    /// Runs `body` on the loop once `deadline` has passed; see ``RuntimeLoop/schedule(at:_:)``.
    public func schedule(at deadline: MonotonicTime, _ body: @escaping @Sendable () -> Void) -> any LoopTimer {
        let handle = SimulatedTimer(body)
        state.withLock { state in
            state.timers.insert(
                Timer(deadline: max(deadline, state.now), sequence: state.nextSequence, handle: handle))
            state.nextSequence += 1
        }
        return handle
    }

    /// Runs `body` on the loop as soon as possible; see ``RuntimeLoop/execute(_:)``.
    public func execute(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.ready.append(.body(body)) }
    }

    /// Takes a job of the concurrency runtime; not for direct use.
    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        state.withLock { $0.ready.append(.job(unowned)) }
    }

    /// This loop as the executor of actors.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// This loop as the executor that tasks prefer.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// Traps unless the caller runs on the loop.
    public func checkIsolated() { precondition(isCurrent, "this must run on the simulation's loop") }

    /// Whether the caller runs on the loop.
    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Runs `body` as a task of this loop and drives the loop on the calling thread until it ends.
    ///
    /// - Parameter timeLimit: Virtual time after which the run counts as stuck.
    /// - Throws: What `body` throws, or ``SimulationError`` when nothing is left to run, time is up, or a moment does
    ///   not end.
    public func run<Result: Sendable>(
        timeLimit: Duration = .seconds(3_600), _ body: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
        let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
        let limit = now + timeLimit
        // The one unstructured task of the simulator: it is the simulated program's main.
        let task = Task(executorPreference: self) {
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            outcome.withLock { $0 = result }
        }
        defer { task.cancel() }
        while true {
            if let result = outcome.withLock({ $0 }) { return try result.get() }
            try step(limit: limit)
        }
    }

    /// Runs what is left after a program ended, such as tasks that were cancelled, without moving the clock.
    public func drain() throws {
        while try runReady() {}
    }

    private func step(limit: MonotonicTime) throws {
        if try runReady() { return }
        let due: [SimulatedTimer] = try state.withLock { state in
            guard let first = state.timers.min else { throw SimulationError.stuck }
            guard first.deadline <= limit else { throw SimulationError.timeLimitReached }
            state.now = max(state.now, first.deadline)
            var due: [SimulatedTimer] = []
            while let timer = state.timers.min, timer.deadline <= state.now {
                due.append(state.timers.removeMin().handle)
            }
            return due
        }
        entering { for timer in due { timer.fire() } }
    }

    /// Runs everything that is ready; false if nothing was.
    private func runReady() throws -> Bool {
        var roundCount = 0
        while true {
            let work = state.withLock { state -> [Work] in
                defer { state.ready.removeAll(keepingCapacity: true) }
                return state.ready
            }
            if work.isEmpty { return roundCount > 0 }
            roundCount += 1
            // Work that endlessly queues more work at one moment is a livelock, which virtual time would hide.
            guard roundCount < 1_000_000 else { throw SimulationError.livelock }
            entering {
                for item in work {
                    switch item {
                    case .job(let job):
                        job.runSynchronously(
                            isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
                    case .body(let body): body()
                    }
                }
            }
        }
    }

    private func entering(_ body: () -> Void) {
        let previous = state.withLock { state in
            defer { state.runningThread = SimulatedLoop.currentThread }
            return state.runningThread
        }
        body()
        state.withLock { $0.runningThread = previous }
    }

    private static var currentThread: UInt {
        #if canImport(Darwin)
            UInt(bitPattern: pthread_self())
        #else
            UInt(pthread_self())
        #endif
    }
}

/// Why a simulation could not go on.
public enum SimulationError: Error, Equatable, Sendable {
    /// Nothing is ready and no timer is set, but the program has not ended.
    case stuck
    /// The program did not end within its virtual time.
    case timeLimitReached
    /// Work keeps creating work at one moment.
    case livelock
}

/// A timer of the simulation.
final class SimulatedTimer: LoopTimer {
    private let body: Mutex<(@Sendable () -> Void)?>

    init(_ body: @escaping @Sendable () -> Void) { self.body = Mutex(body) }

    func cancel() { body.withLock { $0 = nil } }

    func fire() {
        let body = body.withLock { body -> (@Sendable () -> Void)? in
            defer { body = nil }
            return body
        }
        body?()
    }
}
