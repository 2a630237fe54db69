public import DWebPorts
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A small file on disk, replaced by a rename.
public struct DiskFile: SmallFile {
    /// Where it is; its directory must exist when it is written.
    public let path: String
    /// A file that is larger than this is none of ours, and is not read.
    public static let byteLimit = 1 << 20
    private static let worker = DiskWorker(label: "dweb.small-file")

    /// The file at `path`, which need not exist.
    public init(path: String) { self.path = path }

    /// The whole content; nil if there is no file.
    ///
    /// - Throws: ``PortError`` with code `permissionDenied`, `corrupted` or `failed`. Runs on a thread that may wait.
    public func read() async throws(PortError) -> [UInt8]? {
        let path = path
        return try await DiskFile.worker.run { () throws(PortError) -> [UInt8]? in
            let descriptor = openFile(path, O_RDONLY)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == ENOTDIR { return nil }
                throw failure("read", path)
            }
            defer { closeFile(descriptor) }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 16_384)
            while true {
                let count = readFile(descriptor, into: &chunk)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw failure("read", path) }
                guard count > 0 else { return bytes }
                bytes += chunk[..<count]
                guard bytes.count <= DiskFile.byteLimit else {
                    throw PortError(.corrupted, "The file \(path) is too large")
                }
            }
        }
    }

    /// Replaces the content, on the medium before the old one is given up.
    ///
    /// - Throws: ``PortError`` with code `permissionDenied`, `noSpace` or `failed`. Runs on a thread that may wait.
    public func replace(with bytes: [UInt8]) async throws(PortError) {
        let path = path
        try await DiskFile.worker.run { () throws(PortError) in
            let temporary = path + ".new"
            let descriptor = openFile(temporary, O_WRONLY | O_CREAT | O_TRUNC)
            guard descriptor >= 0 else { throw failure("written", path) }
            var isWritten = true
            var offset = 0
            while offset < bytes.count {
                let count = writeFile(descriptor, bytes[offset...])
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    isWritten = false
                    break
                }
                offset += count
            }
            isWritten = isWritten && fsync(descriptor) == 0
            let error = isWritten ? nil : failure("written", path)
            closeFile(descriptor)
            if let error {
                removeFile(temporary)
                throw error
            }
            guard rename(temporary, path) == 0 else { throw failure("written", path) }
        }
    }
}

/// What the last system call ran into.
private func failure(_ verb: String, _ path: String) -> PortError {
    let code: PortError.Code =
        switch errno {
        case EACCES, EPERM, EROFS: .permissionDenied
        case ENOSPC, EDQUOT: .noSpace
        default: .failed
        }
    return PortError(code, "The file \(path) cannot be \(verb): \(systemReason)")
}
