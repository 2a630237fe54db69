import Dispatch

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A queue of its own for calls that wait for a disk, so that they never hold a thread of the cooperative pool.
struct FileWorker: Sendable {
    private let queue = DispatchQueue(label: "dweb.drive.files")

    /// Runs `body` on the queue and waits for it without blocking the caller's thread.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable () throws(LocalFault) -> Result
    ) async throws(DDriveError) -> Result {
        let outcome: Swift.Result<Result, LocalFault> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(LocalFault) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        switch outcome {
        case .success(let result): return result
        case .failure(let fault): throw DDriveError(.localFile, fault.description)
        }
    }
}

/// Why the local file system refused.
struct LocalFault: Error, Sendable, CustomStringConvertible {
    /// The path, as people know it.
    let path: String
    /// The system's error number; 0 where a rule of ours refused.
    let number: Int32
    /// What happened.
    let reason: String

    var description: String { "\(path): \(reason)" }

    /// Whether nothing else on the same disk will fare better.
    var concernsTheWholeDisk: Bool { [ENOSPC, EDQUOT, EIO, EROFS, EMFILE, ENFILE].contains(number) }

    /// Whether there is nothing at the path: a part of it is missing, a file or a link, or too long to exist.
    var meansAbsence: Bool { [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG].contains(number) }
}
