import Dispatch
import DWebEssentials
import Synchronization
import UnixSignals

/// Runs `body` until it ends or the person presses Ctrl-C (or the system asks to terminate), which cancels it.
///
/// Of two such calls inside each other only the inner one is ended, so that what is around it can clean up.
///
/// - Throws: What `body` throws; ``CommandFailure`` with status `interrupted` if it was cut short.
func untilInterrupted<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let outer = Interruptible.current
    let own = Interruptible()
    outer?.innerCount.withLock { $0 += 1 }
    defer { outer?.innerCount.withLock { $0 -= 1 } }
    return try await withThrowingTaskGroup(of: InterruptibleOutcome<Result>.self) { group in
        group.addTask {
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
            for await _ in signals where own.innerCount.withLock({ $0 == 0 }) { return .signalled }
            return .signalled
        }
        group.addTask {
            try await Interruptible.$current.withValue(own) { .finished(try await body()) }
        }
        defer { group.cancelAll() }
        switch try await group.next() {
        case .finished(let result): return result
        case .signalled, nil:
            Farewell.begin()
            group.cancelAll()
            while let outcome = try? await group.next() {
                // The body may have been done, or have cleaned up with a result, when the signal came.
                if case .finished(let result) = outcome { return result }
            }
            throw CommandFailure(.interrupted, "Interrupted.")
        }
    }
}

/// A call of ``untilInterrupted(_:)``.
private final class Interruptible: Sendable {
    @TaskLocal static var current: Interruptible?

    /// The calls inside this one that handle interruptions in its place.
    let innerCount = Mutex(0)
}

/// The time between Ctrl-C and the end of the program, in which it takes back what it announced.
enum Farewell {
    /// A program that ends sooner says nothing about it.
    private static let patience = DispatchTimeInterval.milliseconds(700)
    private static let sources = Mutex<[any DispatchSourceSignal]>([])

    /// Lets a second Ctrl-C end the program on the spot, and tells a person who waits that it would.
    static func begin() {
        sources.withLock { sources in
            guard sources.isEmpty else { return }
            for number in [SIGINT, SIGTERM] {
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { _exit(ExitStatus.interrupted.rawValue) }
                source.resume()
                sources.append(source)
            }
            guard Console.isTerminal else { return }
            DispatchQueue.global().asyncAfter(deadline: .now() + patience) {
                Console(isJSON: false, isQuiet: false).say(
                    "Taking back what was announced, some seconds at most. Ctrl-C again ends at once.")
            }
        }
    }
}

/// Runs a command whose normal end is Ctrl-C, such as a server: being interrupted is no failure.
func servingUntilInterrupted(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await interruptionIsSuccess { try await untilInterrupted(body) }
}

/// Runs a server that handles Ctrl-C itself, so that it can say goodbye to the network: being interrupted is no failure.
func interruptionIsSuccess(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let failure as CommandFailure where failure.status == .interrupted {
        return
    } catch is CancellationError {
        return
    }
}

private enum InterruptibleOutcome<Result: Sendable>: Sendable {
    case finished(Result)
    case signalled
}
