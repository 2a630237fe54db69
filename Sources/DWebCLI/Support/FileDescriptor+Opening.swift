import DWebEssentials

extension FileDescriptor {
    /// Opens a file for reading; a file that cannot be read is a sentence that names it.
    static func opening(_ path: String) throws(CommandFailure) -> FileDescriptor {
        do {
            return try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        } catch {
            throw CommandFailure(.storage, "The file '\(path)' cannot be read: \(error).")
        }
    }
}
