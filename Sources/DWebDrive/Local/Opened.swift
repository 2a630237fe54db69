import Synchronization

/// Carries a file from the worker that opened it.
final class Opened: Sendable {
    private let file = Mutex<LocalFileWriter?>(nil)

    /// Puts the file in.
    func set(_ value: LocalFileWriter) { file.withLock { $0 = value } }

    /// Takes the file out.
    func take() -> LocalFileWriter? {
        file.withLock { file in
            defer { file = nil }
            return file
        }
    }
}
