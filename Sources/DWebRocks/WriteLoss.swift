import DWebPorts
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What is done where the database cannot read its own log of newest writes: the log is given up and a file says so,
/// until whoever opens the store next has taken note; spec 40 section 12.
enum WriteLoss {
    private static let markerName = "RECOVERING"
    private static let logSuffix = ".log"

    /// Whether opening failed for a reason that goes away with the log of newest writes.
    static func isRemedy(for error: PortError) -> Bool {
        error.detail.contains("equence number is being set backwards")
    }

    /// Gives up the newest writes of the database in `directory`: first the marker, then the logs, so that a loss that
    /// was begun is never forgotten.
    static func giveUpNewestWrites(in directory: String) throws(PortError) {
        let marker = directory + "/" + markerName
        let descriptor = openFile(marker, O_WRONLY | O_CREAT)
        guard descriptor >= 0 else { throw PortError(.failed, "\(marker) cannot be written: \(systemReason)") }
        let isKept = fsync(descriptor) == 0
        closeFile(descriptor)
        guard isKept else { throw PortError(.failed, "\(marker) cannot be written: \(systemReason)") }
        for name in fileNames(in: directory) where name.hasSuffix(logSuffix) { removeFile(directory + "/" + name) }
    }

    /// Whether writes of the database in `directory` were given up and nobody has taken note yet.
    static func isMarked(in directory: String) -> Bool { fileExists(directory + "/" + markerName) }

    /// Takes note.
    static func removeMark(in directory: String) { removeFile(directory + "/" + markerName) }

    private static func fileNames(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                        String(cString: $0)
                    }
                })
        }
        return names
    }
}
