/// What a path leads to, links followed.
public enum FileKind: Sendable {
    /// A folder.
    case folder
    /// A file, or something else that can be opened.
    case file

    /// Looks at `path`; nil if nothing is there, or nothing that may be seen.
    public init?(at path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self = status.st_mode & S_IFMT == S_IFDIR ? .folder : .file
    }

    /// The size of the file at `path`, a link not followed; nil if there is no file.
    public static func byteCount(at path: String) -> UInt64? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return UInt64(status.st_size)
    }
}
