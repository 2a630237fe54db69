import Synchronization

/// What mirrors from a local folder remember between them: which files the drive has already, by their size, times and
/// number on the disk. Holds a few dozen bytes for each file.
public final class FolderMemory: Sendable {
    private struct Known {
        let mark: FileMark
        let sequence: UInt64
    }

    private let known = Mutex<[DrivePath: Known]>([:])

    /// Remembers nothing yet.
    public init() {}

    /// Whether the file is the one that the drive got with the block `sequence`.
    func holds(_ path: DrivePath, _ mark: FileMark, sequence: UInt64) -> Bool {
        known.withLock { $0[path].map { $0.mark == mark && $0.sequence == sequence } ?? false }
    }

    /// Remembers what a file looked like just before it was read; a file that changed only now may change again and
    /// look the same, so it is not trusted.
    func note(_ path: DrivePath, _ mark: FileMark, sequence: UInt64) {
        guard !mark.isFresh(at: FileMark.now) else { return forget(path) }
        known.withLock { $0[path] = Known(mark: mark, sequence: sequence) }
    }

    func forget(_ path: DrivePath) { known.withLock { $0[path] = nil } }
}
