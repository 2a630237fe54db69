import DWebPorts
import Dispatch

/// A queue of its own for calls that wait for a disk, so that they never hold a thread of the cooperative pool.
struct DiskWorker: Sendable {
    private let queue: DispatchQueue

    init(label: String, isConcurrent: Bool = false) {
        queue = DispatchQueue(label: label, attributes: isConcurrent ? .concurrent : [])
    }

    /// Runs `body` on the queue and waits for it without blocking the caller's thread.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable () throws(PortError) -> Result
    ) async throws(PortError) -> Result {
        let outcome: Swift.Result<Result, PortError> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(PortError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try outcome.get()
    }

    /// Waits until everything that was begun has ended and has let go of what it held.
    func drain() async {
        await withCheckedContinuation { continuation in
            queue.async(flags: .barrier) { continuation.resume() }
        }
    }
}
