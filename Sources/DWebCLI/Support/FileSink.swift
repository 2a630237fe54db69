import Foundation

/// Writes blocks to a file that appears under its name only when it is whole, or to standard output.
final class FileSink {
    private let path: String?
    private let partialPath: String
    private let handle: FileHandle
    /// The bytes written.
    private(set) var byteCount: UInt64 = 0

    /// Opens a file beside `path`; `-` is standard output.
    init(path: String) throws {
        guard path != "-" else {
            self.path = nil
            partialPath = ""
            handle = .standardOutput
            return
        }
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
            throw CommandFailure(.storage, "'\(path)' is a folder; name a file.")
        }
        self.path = path
        partialPath = path + ".partial"
        guard FileManager.default.createFile(atPath: partialPath, contents: nil),
            let handle = FileHandle(forWritingAtPath: partialPath)
        else { throw CommandFailure(.storage, "The file '\(path)' cannot be written.") }
        self.handle = handle
    }

    /// Appends one block.
    func write(_ block: [UInt8]) throws {
        do {
            try handle.write(contentsOf: block)
        } catch {
            throw CommandFailure(.storage, "The output cannot be written: \(error.localizedDescription)")
        }
        byteCount += UInt64(block.count)
    }

    /// Gives the file its name.
    func finish() throws {
        guard let path else { return }
        try handle.close()
        guard rename(partialPath, path) == 0 else {
            throw CommandFailure(.storage, "The file '\(path)' cannot be replaced.")
        }
    }

    /// Removes what was written so far.
    func discard() {
        guard path != nil else { return }
        try? handle.close()
        try? FileManager.default.removeItem(atPath: partialPath)
    }
}
