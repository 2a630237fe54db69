public import DWebBase
public import DWebPorts
import NIOCore
import NIOPosix
import Synchronization

/// The loop of a real process: one thread of a SwiftNIO event loop, on which sockets, timers and all actors run.
public final class PosixLoop: RuntimeLoop {
    let eventLoop: any EventLoop
    private let group: MultiThreadedEventLoopGroup
    let receiveScratch: NIOLoopBoundBox<ReceiveScratch>

    private struct Queue {
        var jobs: [UnownedJob] = []
        var isScheduled = false
    }

    private let queue = Mutex(Queue())
    // Jobs that one turn runs before sockets get their turn again.
    private static let turnJobLimit = 256

    /// Starts a loop on a thread of its own; ``shutdown()`` ends it.
    public init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        eventLoop = group.next()
        receiveScratch = .makeBoxSendingValue(ReceiveScratch(), eventLoop: eventLoop)
    }

    /// Nanoseconds of the system's monotonic clock.
    public var now: MonotonicTime { MonotonicTime(nanoseconds: Int64(NIODeadline.now().uptimeNanoseconds)) }

    /// Whether the caller runs on the loop's thread.
    public var isCurrent: Bool { eventLoop.inEventLoop }

    /// Runs `body` on the loop once `deadline` has passed; see ``RuntimeLoop/schedule(at:_:)``.
    public func schedule(at deadline: MonotonicTime, _ body: @escaping @Sendable () -> Void) -> any LoopTimer {
        let at = NIODeadline.uptimeNanoseconds(UInt64(clamping: deadline.nanoseconds))
        return PosixTimer(scheduled: eventLoop.scheduleTask(deadline: at, body))
    }

    /// Runs `body` on the loop as soon as possible; see ``RuntimeLoop/execute(_:)``.
    public func execute(_ body: @escaping @Sendable () -> Void) { eventLoop.execute(body) }

    /// Takes a job of the concurrency runtime; not for direct use.
    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let mustSchedule = queue.withLock { queue in
            queue.jobs.append(unowned)
            defer { queue.isScheduled = true }
            return !queue.isScheduled
        }
        // One entry in the event loop's queue serves every job that arrives before it runs.
        if mustSchedule { eventLoop.execute { self.runJobs() } }
    }

    private func runJobs() {
        var ranCount = 0
        while true {
            let jobs = queue.withLock { queue -> [UnownedJob] in
                if queue.jobs.isEmpty { queue.isScheduled = false }
                defer { queue.jobs = [] }
                return queue.jobs
            }
            if jobs.isEmpty { return }
            for job in jobs {
                job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
            }
            ranCount += jobs.count
            if ranCount >= PosixLoop.turnJobLimit {
                eventLoop.execute { self.runJobs() }
                return
            }
        }
    }

    /// This loop as the executor of actors.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// This loop as the executor that tasks prefer.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// Traps unless the caller runs on the loop.
    public func checkIsolated() { eventLoop.preconditionInEventLoop() }

    /// Whether the caller runs on the loop.
    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Ends the loop's thread. Close everything that runs on it first; not callable from the loop itself.
    public func shutdown() async {
        try? await group.shutdownGracefully()
    }
}

private struct PosixTimer: LoopTimer {
    let scheduled: Scheduled<Void>
    func cancel() { scheduled.cancel() }
}
