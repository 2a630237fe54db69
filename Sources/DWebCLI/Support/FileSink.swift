import DWebEssentials

/// Writes blocks to a file that appears under its name only when it is whole, or to standard output.
struct FileSink: Sendable {
    private let path: String?
    private let partialPath: String
    private let file: FileDescriptor

    /// Opens a file beside `path`; `-` is standard output.
    init(path: String) throws {
        guard path != "-" else {
            self.path = nil
            partialPath = ""
            file = .standardOutput
            return
        }
        if FileKind(at: path) == .folder {
            throw CommandFailure(.storage, "'\(path)' is a folder; name a file.")
        }
        self.path = path
        partialPath = path + ".partial"
        do {
            file = try FileDescriptor.open(
                partialPath, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
        } catch {
            throw CommandFailure(.storage, "The file '\(path)' cannot be written: \(error).")
        }
    }

    /// Appends one block.
    func write(_ block: [UInt8]) throws {
        do {
            try file.writeAll(block)
        } catch {
            throw CommandFailure(.storage, "The output cannot be written: \(error).")
        }
    }

    /// Gives the file its name.
    func finish() throws {
        guard let path else { return }
        try file.close()
        guard rename(partialPath, path) == 0 else {
            throw CommandFailure(.storage, "The file '\(path)' cannot be replaced.")
        }
    }

    /// Removes what was written so far.
    func discard() {
        guard path != nil else { return }
        try? file.close()
        try? FileManager.default.removeItem(atPath: partialPath)
    }
}
